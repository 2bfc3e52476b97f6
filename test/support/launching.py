# SPDX-License-Identifier: Apache-2.0
"""A workspace whose executables only note how they were called, and `ros2 launch` in it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jepa_wm_ros import cli, resources
from support.paths import ROOT

SECONDS = 60.0
# What `ros2 launch FILE name:=value ...` does.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
file, *words = sys.argv[1:]
service = LaunchService(argv=words, noninteractive=True)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(file),
    launch_arguments=[word.split(':=') for word in words])]))
sys.exit(service.run())
"""
# Notes its command line, parameters and environment, and that it was asked to stop. With a file
# NAME.ends it ends by itself when all that are named in there have begun.
STAND_IN = """#!{python}
import os, signal, sys, time
from pathlib import Path
name, notes = Path(sys.argv[0]).name, Path({notes!r})
def stop(*_):
    (notes / (name + '.stopped')).touch()
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
files = [Path(b).read_text() for a, b in zip(sys.argv, sys.argv[1:]) if a == '--params-file']
(notes / (name + '.yaml')).write_text(files[-1] if files else '')
profiles = [value for key, value in os.environ.items() if key.endswith('PROFILES_FILE')]
(notes / (name + '.dds')).write_text(chr(10).join(profiles))
(notes / (name + '.new')).write_text(chr(10).join([str(os.getpid()), *sys.argv[1:]]))
(notes / (name + '.new')).rename(notes / (name + '.args'))
ends = notes / (name + '.ends')
while not ends.exists():
    time.sleep(0.02)  # a file, the only word between stand-ins: nothing to await
while not all((notes / (other + '.args')).exists() for other in ends.read_text().split()):
    time.sleep(0.02)
sys.exit(3)
"""


class Workspace:
    """A sourced workspace with stand-ins for every executable of the package, and for `ros2`."""

    def __init__(self, folder: Path) -> None:
        self.prefix, self.notes = folder / 'prefix', folder / 'notes'
        self.notes.mkdir()
        self.install('jepa_wm_ros', *cli.CALLED)
        share = self.prefix / 'share' / 'jepa_wm_ros'
        share.mkdir(parents=True)
        for name in ('config', 'launch'):
            (share / name).symlink_to(ROOT / name)
        self._executable(self.prefix / 'bin' / 'ros2')

    def install(self, package: str, *names: str) -> None:
        """Another package of this workspace, with these executables."""
        index = self.prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
        index.mkdir(parents=True, exist_ok=True)
        (index / package).touch()
        for name in names:
            self._executable(self.prefix / 'lib' / package / name)

    def ends(self, name: str, *after: str) -> None:
        """Let an executable end by itself when these have begun."""
        (self.notes / f'{name}.ends').write_text('\n'.join(after))

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a shell that has sourced it."""
        others = {k: v for k, v in os.environ.items() if not k.endswith('_PROFILES_FILE')}
        before = os.environ.get('AMENT_PREFIX_PATH', '')
        return others | {
            'AMENT_PREFIX_PATH': os.pathsep.join(filter(None, [str(self.prefix), before])),
            'PATH': os.pathsep.join([str(self.prefix / 'bin'), os.environ['PATH']]),
        }

    @contextlib.contextmanager
    def launching(self, file: str, *words: str):
        """A running launch."""
        path = str(resources.find('launch', file))
        launch = subprocess.Popen(
            [sys.executable, '-c', LAUNCH, path, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        )
        try:
            yield launch
        finally:
            launch.kill()
            self._end_what_is_left()
            launch.communicate()

    def launch(self, file: str, *words: str) -> tuple[int, str]:
        """Launch until it ends by itself; its exit status and what it said."""
        with self.launching(file, *words) as launch:
            output, _ = launch.communicate(timeout=SECONDS)
            return launch.returncode, output

    def begun(self) -> set[str]:
        """The names of what has been started."""
        return {path.stem for path in self.notes.glob('*.args')}

    def stopped(self) -> set[str]:
        """The names of what was asked to stop, and did."""
        return {path.stem for path in self.notes.glob('*.stopped')}

    def words(self, name: str) -> list[str]:
        """The command line of what was started, without the executable."""
        return (self.notes / f'{name}.args').read_text().splitlines()[1:]

    def _end_what_is_left(self) -> None:
        """Where a test has failed, some may be."""
        for note in self.notes.glob('*.args'):
            pid = int(note.read_text().splitlines()[0])
            with contextlib.suppress(OSError):
                if str(self.prefix) in Path(f'/proc/{pid}/cmdline').read_text():
                    os.kill(pid, signal.SIGKILL)

    def _executable(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STAND_IN.format(python=sys.executable, notes=str(self.notes)))
        path.chmod(0o755)


def until(condition: Callable[[], object], seconds: float = SECONDS) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
