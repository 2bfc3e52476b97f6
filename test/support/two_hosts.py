# SPDX-License-Identifier: Apache-2.0
"""Two hosts on one cable, in one machine: network namespaces with shared memory of their own.

`run` runs a script on the near one; a process on the far one reaches back with ON_NEAR and `Cable`.
"""

from __future__ import annotations

import subprocess
import textwrap

NEAR, FAR = '10.9.0.1', '10.9.0.2'

# This shell is the near host, and process 1 of its own process namespace; $other is the far host.
HOSTS = f"""
    mount -t tmpfs tmpfs /dev/shm
    ip link set lo up
    ip link add near type veth peer name far
    unshare --net --mount sleep infinity & other=$!
    until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
    enter() {{ nsenter --target $other --net --mount "$@"; }}
    ip link set far netns $other
    ip address add {NEAR}/24 dev near
    ip link set near up
    enter ip address add {FAR}/24 dev far
    enter ip link set far up
    enter ip link set lo up
    enter mount -t tmpfs tmpfs /dev/shm
    echo joined
"""
UNSHARE = 'unshare --net --mount --pid --fork --mount-proc --kill-child bash -e'.split()
ON_NEAR = 'nsenter --target 1 --net --mount'.split()  # in front of a command, from the far host


def run(script: str, timeout: float) -> subprocess.CompletedProcess:
    """Run a shell script on the near host, `enter COMMAND` on the far one; 'joined' is the first
    line of its output when the hosts could be made.
    """
    return subprocess.run(
        UNSHARE,
        input=textwrap.dedent(HOSTS) + textwrap.dedent(script),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


class Cable:
    """The cable between the hosts, pulled from the near one; for a process on the far host."""

    def cut(self) -> None:
        """Pull it out."""
        self._set('down')

    def mend(self) -> None:
        """Put it back."""
        self._set('up')

    def _set(self, state: str) -> None:
        subprocess.run([*ON_NEAR, 'ip', 'link', 'set', 'near', state], check=True)


def environment(peer: str) -> dict[str, str]:
    """What lets a process find those of the other host, whose address is `peer`, and of its own."""
    return {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_STATIC_PEERS': peer}
