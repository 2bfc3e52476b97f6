# SPDX-License-Identifier: Apache-2.0
"""plan.launch.py itself, wherever launch is installed (it is in no package registry)."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('launch_ros', reason='launch comes only with an installed ROS 2')
yaml = pytest.importorskip('yaml')

from launch import LaunchContext  # noqa: E402
from launch.launch_description_sources import get_launch_description_from_python_launch_file  # noqa: E402

from jepa_wm_ros import bringup, resources  # noqa: E402
from support.paths import ROOT  # noqa: E402

pytestmark = pytest.mark.installed_ros

LAUNCH_FILE = ROOT / 'launch' / 'plan.launch.py'
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]),
    launch_arguments=[word.split(':=') for word in sys.argv[2:]])]))
sys.exit(service.run())
"""
# Stands in for a node: notes its command line and parameters, then waits for SIGINT, or for END.
NODE = """#!{python}
import os, signal, sys
from pathlib import Path
name, notes = Path(sys.argv[0]).name, Path({notes!r})
files = [Path(b).read_text() for a, b in zip(sys.argv, sys.argv[1:]) if a == '--params-file']
(notes / (name + '.args')).write_text(chr(10).join(sys.argv[1:]))
(notes / (name + '.yaml')).write_text(files[-1])
(notes / (name + '.dds')).write_text(os.environ.get({variable!r}, ''))
try:
    if name == {ends!r}:
        signal.sigtimedwait([], 4.0)
        sys.exit(3)
    signal.pause()
except KeyboardInterrupt:
    (notes / (name + '.stopped')).touch()
"""


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """Runs the launch file with stand-ins for the nodes; one of them ends by itself."""
    monkeypatch.delenv('FASTRTPS_DEFAULT_PROFILES_FILE', raising=False)
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    prefix, notes = tmp_path / 'prefix', tmp_path / 'notes'
    notes.mkdir()
    marker = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages' / 'jepa_wm_ros'
    share = prefix / 'share' / 'jepa_wm_ros'
    for folder in (marker.parent, share, prefix / 'lib' / 'jepa_wm_ros'):
        folder.mkdir(parents=True)
    marker.touch()
    (share / 'config').symlink_to(resources.find('config'))
    for process in bringup.plan_processes('sim'):
        path = prefix / 'lib' / 'jepa_wm_ros' / process.executable
        path.write_text(
            NODE.format(
                python=sys.executable,
                notes=str(notes),
                ends='world_model',
                variable=next(iter(process.environment)),
            )
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(
        'AMENT_PREFIX_PATH', os.pathsep.join([str(prefix), os.environ.get('AMENT_PREFIX_PATH', '')])
    )

    def run(*words):
        subprocess.run(
            [sys.executable, '-c', RUN, str(LAUNCH_FILE), *words],
            check=False,
            timeout=60,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return notes

    return run


def test_every_argument_is_described():
    description = get_launch_description_from_python_launch_file(str(LAUNCH_FILE))
    declared = {argument.name: argument for argument in description.get_launch_arguments()}
    assert list(declared) == [argument.name for argument in bringup.ARGUMENTS]
    for argument in bringup.ARGUMENTS:
        assert argument.description in declared[argument.name].description
        assert tuple(declared[argument.name].choices or ()) == argument.choices


def test_a_wrong_choice_is_refused():
    description = get_launch_description_from_python_launch_file(str(LAUNCH_FILE))
    robot = next(a for a in description.get_launch_arguments() if a.name == 'robot')
    context = LaunchContext()
    context.launch_configurations['robot'] = 'toaster'
    with pytest.raises(RuntimeError, match='toaster'):
        robot.execute(context)


def test_the_same_nodes_start_as_by_hand_and_the_end_of_one_ends_all(launched):
    words = ['robot:=sim', 'arm_address:=127.0.0.9', 'namespace:=left', 'planner:=mppi']
    notes = launched(*words)
    expected = bringup.plan_processes(**bringup.read_arguments(words))
    assert {path.stem for path in notes.glob('*.args')} == {p.name for p in expected}
    for process in expected:
        given = (notes / f'{process.name}.args').read_text().splitlines()
        assert f'__node:={process.name}' in given and '__ns:=/left' in given
        assert str(process.params_file) in given
        if process.parameters:
            values = yaml.safe_load((notes / f'{process.name}.yaml').read_text())
            (section,) = values.values()
            assert section['ros__parameters'] == dict(process.parameters)
        assert Path((notes / f'{process.name}.dds').read_text()).name == 'fastdds_localhost.xml'
    assert {path.stem for path in notes.glob('*.stopped')} == (
        {p.name for p in expected} - {'world_model'}
    )


def test_a_real_arm_gets_no_simulated_cell(launched):
    notes = launched('robot:=real', 'arm_address:=172.16.0.2')
    assert {path.stem for path in notes.glob('*.args')} == {
        'franka_controller',
        'world_model',
        'planner',
    }
