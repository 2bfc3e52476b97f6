# SPDX-License-Identifier: Apache-2.0
"""Every command and node by its name, which is the same wherever it is called from.

    jepa-wm model list                 outside ROS; `jepa-wm` alone lists what there is
    ros2 run jepa_wm_ros model list    in a workspace: setup.py makes an executable of each name
    python -m jepa_wm_ros model list   where nothing is installed

Nothing is imported but what is called. A SIGINT that comes meanwhile, which takes seconds, ends the
process without a word; afterwards the command or node handles it.
"""

from __future__ import annotations

import difflib
import signal
import sys
from importlib import import_module
from pathlib import Path

COMMANDS = {  # name: module with its main(), what it does
    'bringup': ('jepa_wm_ros.bringup', 'Start all nodes of one arm, simulated or real.'),
    'reach': ('jepa_wm_ros.ros.reach', 'Reach goal pictures with the arm that is running.'),
    'demo': ('jepa_wm_ros.ros.demo.command', 'See the simulated arm reach goal pictures.'),
    'model': ('jepa_wm_ros.world_model.files.command', 'List, inspect and convert models.'),
    'evaluate_bag': ('jepa_wm_ros.evaluation.offline.command', 'Score a model on recordings.'),
    'camera_reference': (
        'jepa_wm_ros.ros.camera_reference',
        'Photograph what a camera should see.',
    ),
    'goals': ('jepa_wm_ros.ros.goals_command', 'Keep a library of goal pictures.'),
    'check_camera': (
        'jepa_wm_ros.ros.check_camera',
        'Jog the arm and judge what the camera shows.',
    ),
    'diagnose': ('jepa_wm_ros.ros.diagnose', 'Ask whether the model knows this cell.'),
    'explore': ('jepa_wm_ros.ros.explore', 'Let the arm move by itself, and keep what it sees.'),
    'takes': ('jepa_wm_ros.ros.takes', 'Keys for the recorder: start, keep, redo, discard.'),
    'record': ('jepa_wm_ros.sim.record', 'Record episodes of the simulated cell.'),
    'dataset': ('jepa_wm_ros.learning.dataset', 'Look at, check, convert, merge, split episodes.'),
    'tasks': ('jepa_wm_ros.evaluation.tasks', "Try models in the paper's simulated tasks."),
    'findings': ('jepa_wm_ros.findings.command', "Ask the paper's questions again."),
    'train': ('jepa_wm_ros.learning.train', 'Train a world model on recorded episodes.'),
}
NODES = {
    'world_model': ('jepa_wm_ros.ros.nodes.world_model', 'Scores actions in latent space.'),
    'planner': ('jepa_wm_ros.ros.nodes.planner', 'Serves the action reach_goal.'),
    'franka_controller': ('jepa_wm_ros.ros.nodes.franka_controller', 'Drives the arm.'),
    'goal_gallery': ('jepa_wm_ros.ros.nodes.goal_gallery', 'Goals to click in RViz.'),
    'recorder': ('jepa_wm_ros.ros.nodes.recorder', 'Keeps takes of camera and arm as bags.'),
    'sim_cell': ('jepa_wm_ros.ros.nodes.sim_cell', 'Simulates an arm and its camera.'),
}
CALLED = COMMANDS | NODES


def main() -> int:
    """Entry point of `jepa-wm`: run what the first word names, or list what there is."""
    name, *words = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print(listing())
        return 0
    if name not in CALLED:
        near = difflib.get_close_matches(name, CALLED, n=1)
        meant = f'did you mean {near[0]}? ' if near else ''
        print(f'error: {name} is no command: {meant}`jepa-wm` lists them', file=sys.stderr)
        return 2
    sys.argv = [f'jepa-wm {name}', *words]  # as argparse shows it
    return call(name)


def executable() -> int:
    """Entry point of the executables of a workspace, each named after what it runs."""
    return call(Path(sys.argv[0]).name)


def call(name: str) -> int:
    """Run a command or node with the words in sys.argv; returns the exit status."""
    module, _ = CALLED[name]
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own prints where it was
    try:
        entry = import_module(module).main
    except ModuleNotFoundError as error:
        missing = (error.name or '').partition('.')[0]
        if missing == __package__:
            raise
        print(
            f'error: {name} needs {missing}, which is not installed: {how(missing)}',
            file=sys.stderr,
        )
        return 1
    signal.signal(signal.SIGINT, before)
    try:
        return entry()
    except KeyboardInterrupt:
        return 130


def how(missing: str) -> str:
    """How a missing package is brought in."""
    if missing in ('rclpy', 'jepa_wm_msgs') or missing.endswith('_msgs'):
        return 'source a ROS 2 workspace in which jepa_wm_msgs is built, or call make setup'
    return "make setup, or pip install 'jepa_wm_ros[model,arm,sim,bags,learning]'"


def listing() -> str:
    """The commands and the nodes, one line each."""
    width = max(map(len, CALLED))
    lines = ['usage: jepa-wm COMMAND ...     (in a workspace: ros2 run jepa_wm_ros COMMAND ...)']
    for heading, table in (('commands', COMMANDS), ('nodes', NODES)):
        lines += ['', f'{heading}:', *(f'  {n:{width}}  {said}' for n, (_, said) in table.items())]
    return '\n'.join([*lines, '', '`jepa-wm COMMAND --help` says more of a command.'])
