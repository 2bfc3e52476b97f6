# SPDX-License-Identifier: Apache-2.0
"""Every command that README and documentation tell people to type: which test runs it, or why none
can here; and that the names in those which cannot be run are names that there are.
"""

import argparse
import re
import shlex
import sys

import pytest

from jepa_wm_ros import arguments, cli
from support.paths import ROOT

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'doc').rglob('*.md'))]
PROGRAMS = (
    r'make|ros2|jepa-wm|python|pip|colcon|export|cd|source|sudo|sysctl|torchrun|record|train|'
    r'evaluate_bag|rosdep|\.venv/bin/[^\s`]+'
)
OURS = r'(ros2 run jepa_wm_ros|(\.venv/bin/)?jepa-wm)'
# The tests that run commands of a kind, or the same through their entry points.
RUN = {
    r'make (demo|test|setup)\b': 'test_setup_script.py',
    r'make (faults|soak)': 'faults/test_rows.py',
    r'make goldens': 'evaluation/test_goldens.py',
    r'make weights': 'learning/test_weights_script.py',
    r'make bench|python -m jepa_wm_ros.evaluation.bench': 'evaluation/test_bench.py',
    r'make reference': 'ros/test_lifecycle.py',
    r'\.venv/bin/python examples/': 'ros/test_e2e_reach.py',
    rf'{OURS} (<command>|NAME)': 'test_cli.py',
    rf'{OURS} (bringup|demo|reach|franka_controller|planner|world_model)': 'ros/test_e2e_reach.py',
    rf'{OURS} camera_reference': 'ros/test_camera_reference.py',
    rf'{OURS} (check_camera|diagnose)': 'ros/test_check_camera.py',
    rf'{OURS} model': 'world_model/test_model_command.py',
    rf'{OURS} explore': 'ros/test_explore.py',
    rf'{OURS} (recorder|takes)': 'ros/test_recorder.py',
    rf'{OURS} goals': 'ros/test_goals_command.py',
    r'torchrun .* train': 'learning/test_training.py',
    rf'({OURS} )?evaluate_bag|python -m jepa_wm_ros.evaluation out|torchrun': (
        'evaluation/test_offline.py'
    ),
    r'python -m jepa_wm_ros.evaluation.closed_loop.cube': 'evaluation/test_cube.py',
    r'python -m jepa_wm_ros.evaluation.closed_loop': 'evaluation/test_closed_loop.py',
    r'python -m jepa_wm_ros.evaluation.counterfactual': 'evaluation/test_counterfactual.py',
    rf'{OURS} tasks ceiling': 'evaluation/test_ceiling.py',
    rf'{OURS} tasks evaluate': 'evaluation/test_worlds.py',
    rf'{OURS} tasks collect': 'test_findings.py',
    rf'{OURS} tasks freeze': 'tasks/test_frozen.py',
    rf'{OURS} findings': 'test_findings.py',
    r'python -m jepa_wm_ros.learning.throughput': 'learning/test_throughput.py',
    r'python -m jepa_wm_ros.learning.cost': 'learning/test_cost.py',
    rf'{OURS} dataset': 'learning/test_dataset.py',
    rf'{OURS} record': 'sim/test_direct.py',
    rf'{OURS} train': 'learning/test_training.py',
    r'python -m jepa_wm_ros.evaluation.offline.sample_bag': 'evaluation/test_sample_bag.py',
    r'python -m jepa_wm_ros.evaluation.offline.bag_memory': 'evaluation/test_memory.py',
    r'export ROS_(AUTOMATIC|STATIC)': 'ros/test_two_machines.py',
    r'export ROS_DOMAIN_ID': 'support/domains.py',
}
NOT_HERE = {
    r'ros2 launch': 'the wheels have no launch; ros/test_launch.py runs it where it is',
    r'ros2 (topic|service|param)\b': 'the wheels have no ros2; the names are held below',
    r'ros2 bag (record|reindex)': 'rosbag2 is in no registry',
    r'ros2 security|export ROS_SECURITY': 'sros2 is in no registry (doc/how_to/security.md)',
    r'(python -m )?colcon|source install|cd ~/ws|rosdep': 'needs an installed ROS 2',
    r'pip (install|download)': 'the environment is what requirements/ says',
    r'tensorboard': 'a viewer of somebody else',
    r'make (docs|lint|format)|\.venv/bin/pre-commit': '.ci/run does, or people do before a commit',
    r'sudo scripts/bare_root.sh': 'makes a root of 15 GB',
    r'sysctl': 'changes the machine',
}


def commands() -> list[str]:
    """What the pages tell people to type, in blocks and between backticks."""
    found = set()
    for page in PAGES:
        text = page.read_text()
        text = re.sub(r' \\\n +', ' ', text)
        found.update(re.findall(rf'^    ((?:{PROGRAMS})\b.*?)(?: {{2,}}#.*)?$', text, re.M))
        found.update(re.findall(rf'`((?:{PROGRAMS}) [^`]+)`', text))
    return sorted(' '.join(command.split()) for command in found)


@pytest.mark.parametrize('command', commands())
def test_a_command_is_run_by_a_test_or_listed_with_the_reason_why_not(command):
    ways = [way for kind, way in [*RUN.items(), *NOT_HERE.items()] if re.match(kind, command)]
    assert ways, f'no test runs `{command}`: enter the one that does, or why none can'


@pytest.mark.parametrize('test', sorted(set(RUN.values())))
def test_what_runs_them_is_there(test):
    assert (ROOT / 'test' / test).is_file()


def test_every_target_of_make_is_one():
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.M))
    assert {command.split()[1] for command in commands() if command.startswith('make ')} <= targets


def known() -> tuple[set[str], dict[str, str], set[str]]:
    """Topics, services with their types, and parameters of all nodes, from their pages."""
    topics, services, parameters = set(), {}, set()
    for page in (ROOT / 'doc' / 'reference' / 'nodes').glob('*.md'):
        node = page.stem
        for name, kind in re.findall(r'^\| `(\S+)` \| `(\S+)` \|', page.read_text(), re.M):
            name = f'/{name}'.replace('/~', f'/{node}')
            topics.add(name)
            services[name] = kind
        rows = page.read_text().split('## Parameters')[1]
        parameters.update(f'/{node} {name}' for name in re.findall(r'^\| `(\S+)` \|', rows, re.M))
    return topics, services, parameters


def test_names_in_commands_of_ros2_are_those_of_the_nodes():
    topics, services, parameters = known()
    for command in commands():
        words = re.sub(r'/(left|right)/', '/', command).replace('--once ', '').split()
        if words[:2] == ['ros2', 'topic'] and len(words) == 4 and words[3].startswith('/'):
            assert words[3] in topics | {'/diagnostics'}, command
        if words[:3] == ['ros2', 'service', 'call'] and len(words) > 4:
            assert services[words[3]] == words[4], command
        if words[:2] == ['ros2', 'param'] and len(words) > 4:
            assert f'/{words[3].lstrip("/")} {words[4]}' in parameters, command


class Understood(Exception):
    """The words of a command line were taken."""


@pytest.mark.parametrize('command', [c for c in commands() if re.match(OURS, c)])
def test_a_command_of_ours_is_understood_as_it_is_written(command, monkeypatch):
    pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')
    pytest.importorskip('torch')
    name, *words = shlex.split(re.sub(OURS, '', command))
    if name in ('<command>', 'NAME') or name in cli.NODES:
        return
    if name == 'bringup':
        assert arguments.read(words)
        return
    parse = argparse.ArgumentParser.parse_args

    def understand(parser, words=None, namespace=None):
        parse(parser, words, namespace)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', understand)
    monkeypatch.setattr(sys, 'argv', [name, *words])
    with pytest.raises(Understood):
        cli.call(name)


@pytest.mark.parametrize('command', [c for c in commands() if c.startswith('ros2 launch')])
def test_a_launch_file_and_its_arguments_are_there(command):
    _, _, package, file, *words = command.split()
    assert package == 'jepa_wm_ros' and (ROOT / 'launch' / file).is_file()
    assert '--show-args' in words or arguments.read(words) is not None
