# SPDX-License-Identifier: Apache-2.0
"""The launch files themselves, wherever launch is installed (it is in no package registry)."""

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip('launch_ros', reason='launch comes only with an installed ROS 2')
yaml = pytest.importorskip('yaml')

from launch import LaunchContext  # noqa: E402
from launch.launch_description_sources import get_launch_description_from_python_launch_file  # noqa: E402

from jepa_wm_ros import arguments, bringup  # noqa: E402
from support.launching import Workspace, until  # noqa: E402
from support.paths import ROOT  # noqa: E402

pytestmark = pytest.mark.installed_ros
FILES = sorted(path.name for path in (ROOT / 'launch').glob('*.launch.py'))
NODES = {'sim_cell', 'world_model', 'planner', 'franka_controller'}


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def described(file):
    return get_launch_description_from_python_launch_file(str(ROOT / 'launch' / file))


def test_every_argument_is_described():
    declared = {a.name: a for a in described('plan.launch.py').get_launch_arguments()}
    assert list(declared) == [argument.name for argument in arguments.PLAN]
    for argument in arguments.PLAN:
        assert argument.description in declared[argument.name].description
        assert tuple(declared[argument.name].choices or ()) == argument.choices


@pytest.mark.parametrize('file', ['goal.launch.py', 'record.launch.py'])
def test_what_includes_the_system_takes_its_arguments(file):
    taken = {argument.name for argument in described(file).get_launch_arguments()}
    assert taken > {argument.name for argument in arguments.PLAN}


def test_a_wrong_choice_is_refused():
    robot = next(a for a in described('plan.launch.py').get_launch_arguments() if a.name == 'robot')
    context = LaunchContext()
    context.launch_configurations['robot'] = 'toaster'
    with pytest.raises(RuntimeError, match='toaster'):
        robot.execute(context)


def test_the_same_nodes_start_as_by_hand_and_the_end_of_one_ends_all(workspace):
    words = ['robot:=sim', 'namespace:=left', 'planner:=mppi', 'log_level:=warn', 'image:=/cam/raw']
    workspace.ends('world_model', *NODES)
    workspace.launch('plan.launch.py', *words)
    expected = bringup.plan_processes(**arguments.read(words))
    assert workspace.begun() == {process.name for process in expected} == NODES
    for process in expected:
        given = workspace.words(process.name)
        assert f'__node:={process.name}' in given and '__ns:=/left' in given
        assert given[given.index('--log-level') + 1] == 'warn'
        assert Path(given[given.index('--params-file') + 1]).samefile(process.params_file)
        assert all(f'{source}:={target}' in given for source, target in process.remappings)
        if process.parameters:
            values = yaml.safe_load((workspace.notes / f'{process.name}.yaml').read_text())
            (section,) = values.values()
            assert section['ros__parameters'] == dict(process.parameters)
        (profile,) = (workspace.notes / f'{process.name}.dds').read_text().splitlines()
        assert Path(profile).name == 'fastdds_localhost.xml'
    assert workspace.stopped() == NODES - {'world_model'}


def test_a_real_arm_gets_no_simulated_cell(workspace):
    workspace.ends('planner', *NODES - {'sim_cell'})
    workspace.launch('plan.launch.py', 'robot:=real', 'arm_address:=172.16.0.2')
    assert workspace.begun() == NODES - {'sim_cell'}


@pytest.mark.parametrize(
    ('file', 'words', 'said'),
    [
        ('plan.launch.py', ['rviz:=true'], 'rviz2 of rviz2 is not installed'),
        ('plan.launch.py', ['speed:=fast'], "argument 'speed:=fast' is not known"),
        ('plan.launch.py', ['robot:=real'], 'needs the address of the arm'),
        ('plan.launch.py', ['params_file:=/no/such.yaml'], '/no/such.yaml'),
        ('goal.launch.py', ['goal:=/no/such.png'], '/no/such.png'),
        ('goal.launch.py', ['goal:=README.md', 'rviz:=true'], 'rviz2 of rviz2 is not installed'),
        ('goal.launch.py', ['goal:=README.md', 'gaol:=x'], "argument 'gaol:=x' is not known"),
        ('record.launch.py', [], 'ros2bag is not installed'),
        ('evaluate.launch.py', ['bag:=/no/bag'], '/no/bag'),
    ],
)
def test_what_cannot_start_is_named_and_nothing_is_started(workspace, file, words, said):
    status, output = workspace.launch(file, *words)
    assert status == 1 and said in output, output
    assert workspace.begun() == set()


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_launch_ends_every_process(workspace, how):
    workspace.install('rviz2', 'rviz2')
    with workspace.launching('plan.launch.py', 'rviz:=true') as launch:
        everybody = NODES | {'rviz2'}
        assert until(lambda: workspace.begun() == everybody)
        os.kill(launch.pid, how)
        assert until(lambda: workspace.stopped() == everybody), workspace.stopped()


def test_one_goal_is_asked_for_and_its_end_is_that_of_the_system(workspace):
    workspace.ends('reach', *NODES)
    words = ['goal:=README.md,LICENSE', 'max_steps:=5', 'namespace:=left', 'model:=jepa_wm_droid']
    workspace.launch('goal.launch.py', *words)
    assert workspace.words('reach') == [
        'README.md', 'LICENSE', '--max-steps', '5', '--namespace', 'left'
    ]  # fmt: skip
    assert workspace.stopped() == NODES and '__ns:=/left' in workspace.words('planner')
    assert 'jepa_wm_droid' in (workspace.notes / 'world_model.yaml').read_text()


def test_a_recording_has_what_is_evaluated_later(workspace, tmp_path):
    workspace.install('ros2bag')
    workspace.ends('ros2', *NODES)
    bag = str(tmp_path / 'bag')
    words = [f'bag:={bag}', 'camera:=topic', 'image:=/cam/raw', 'transport:=compressed']
    workspace.launch('record.launch.py', 'namespace:=left', *words)
    assert workspace.words('ros2') == [
        'bag', 'record', '-o', bag,
        '/cam/raw/compressed', '/left/ee_pose', '/left/joint_states', '/left/arm_status',
        '/left/command',
    ]  # fmt: skip
    assert workspace.stopped() == NODES


def test_an_evaluation_starts_nothing_that_moves(workspace, tmp_path):
    workspace.ends('evaluate_bag')
    workspace.launch('evaluate.launch.py', f'bag:={tmp_path}', 'model:=jepa_wm_droid')
    assert workspace.begun() == {'evaluate_bag'}
    assert workspace.words('evaluate_bag') == [
        str(tmp_path), '--model', 'jepa_wm_droid', '--planner', 'paper'
    ]  # fmt: skip


@pytest.mark.parametrize('file', FILES)
def test_every_file_shows_its_arguments(file):
    """As `ros2 launch jepa_wm_ros FILE --show-args` does."""
    for argument in described(file).get_launch_arguments():
        assert argument.description and argument.default_value is not None
