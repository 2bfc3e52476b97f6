# SPDX-License-Identifier: Apache-2.0
"""Who can hear and command the arm: this host, and others only where somebody has said so."""

import sys
import textwrap

import pytest

pytest.importorskip('rclpy')

from jepa_wm_ros import dds  # noqa: E402
from support import two_hosts  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.slow]

SPEAK = """
    import sys, rclpy
    from std_msgs.msg import String
    rclpy.init()
    node = rclpy.create_node('speaker')
    topic = node.create_publisher(String, sys.argv[1], 10)
    timer = node.create_timer(0.1, lambda: topic.publish(String()))
    rclpy.spin(node)
"""
# Hears on `control` that the hosts are joined, then listens for what it should not hear.
LISTEN = """
    import sys, time, rclpy
    from std_msgs.msg import String
    rclpy.init()
    node = rclpy.create_node('listener')
    heard = {}
    for name in ('control', 'arm'):
        node.create_subscription(
            String, name, lambda _, name=name: heard.setdefault(name, time.monotonic()), 10)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (
        heard.keys() >= set(sys.argv[2:])
        and time.monotonic() > heard['control'] + float(sys.argv[1])
    ):
        rclpy.spin_once(node, timeout_sec=0.1)
    print(' '.join(sorted(heard)))
"""


@pytest.fixture
def bare_environment(monkeypatch):
    """As in a user's shell: ROS's own defaults."""
    for name in (dds.RANGE, 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    'discovery, here, there, heard_there',
    [
        ('', {}, {'ROS_STATIC_PEERS': '10.9.0.1'}, 'control'),
        ('subnet', {}, {}, 'arm control'),
        # each names the other
        (
            '',
            {dds.RANGE: 'LOCALHOST', 'ROS_STATIC_PEERS': '10.9.0.2'},
            {dds.RANGE: 'LOCALHOST', 'ROS_STATIC_PEERS': '10.9.0.1'},
            'arm control',
        ),
    ],
    ids=['by default', 'subnet', 'peers'],
)
def test_another_host_hears_the_arm_only_where_it_was_let_in(
    ros_domain, bare_environment, monkeypatch, tmp_path, discovery, here, there, heard_there
):
    for name, value in here.items():
        monkeypatch.setenv(name, value)
    for name, text in (('speak', SPEAK), ('listen', LISTEN)):
        (tmp_path / f'{name}.py').write_text(textwrap.dedent(text))
    arm = words(dds.dds_environment(discovery) | here)
    for name in here:
        monkeypatch.delenv(name)
    speak, listen = (f'{sys.executable} {tmp_path}/{name}.py' for name in ('speak', 'listen'))
    script = f"""
        {speak} control & env {arm} {speak} arm &
        # an ordinary tool of ROS on the same host, and one on the other host
        {listen} 0 control arm
        enter env {words(there)} {listen} 3 control
    """
    done = two_hosts.run(script, timeout=90.0)
    if 'joined' not in done.stdout:
        pytest.skip(f'may not make networks: {done.stderr}')
    assert done.stdout.splitlines()[1:] == ['arm control', heard_there], done.stderr


def words(environment) -> str:
    return ' '.join(f'{name}={value}' for name, value in environment.items())
