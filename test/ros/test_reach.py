# SPDX-License-Identifier: Apache-2.0
"""The command `reach`: its exit status, what it says, and Ctrl-C at any time."""

import io
import signal
import threading

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_msgs.action import ReachGoal  # noqa: E402
from jepa_wm_msgs.msg import ArmStatus  # noqa: E402

from jepa_wm_ros.ros import reach  # noqa: E402
from support.planner_rig import PICTURE, planning  # noqa: E402
from support.python_process import command  # noqa: E402

pytestmark = pytest.mark.ros
Said = ReachGoal.Feedback


@pytest.fixture
def goal(tmp_path):
    path = tmp_path / 'goal.png'
    Image.fromarray(PICTURE).save(path)
    return str(path)


def test_the_exit_status_tells_whether_the_goal_was_reached(ros_domain, goal):
    with planning() as (_, toy, _client):
        with command('reach', goal) as asked:
            said, _ = asked.communicate(timeout=60)
        assert asked.returncode == 0 and 'reached in' in said, said
        assert toy.moves and 'step  1  cost' in said, said
        toy.goal = toy.goal + np.array([0.0, 0.3, 0.0])
        with command('reach', goal, '--max-steps', '1') as asked:
            said, _ = asked.communicate(timeout=60)
        assert asked.returncode == 1 and 'not reached: MAX_STEPS' in said, said


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_goal_and_waits_until_the_arm_stands(ros_domain, goal, how):
    with planning() as (planner, toy, _):
        toy.outcome = ArmStatus.OUTCOME_EXECUTING  # the arm moves until it is stopped
        with command('reach', goal) as asked:
            while not toy.moves:
                assert asked.poll() is None
                threading.Event().wait(0.02)
            asked.send_signal(how)
            said, _ = asked.communicate(timeout=60)
        assert asked.returncode == 130 and 'Traceback' not in said, said
        assert said.splitlines()[-1] == 'interrupted: cancelled'
        assert toy.stops >= 1 and not planner.slot.taken


def test_an_interrupt_while_the_goal_is_being_accepted_leaves_none_behind(ros_domain, goal):
    with planning() as (planner, toy, _):
        accept, asked_for = planner._on_goal, threading.Event()

        def slowly(request):
            asked_for.set()
            interrupted.wait(20.0)
            threading.Event().wait(0.3)  # for the other process to notice
            return accept(request)

        planner._on_goal, interrupted = slowly, threading.Event()
        planner.trigger_deactivate()
        planner.trigger_activate()
        toy.outcome = ArmStatus.OUTCOME_EXECUTING
        with command('reach', goal) as asked:
            assert asked_for.wait(60.0)
            asked.send_signal(signal.SIGINT)
            interrupted.set()
            said, _ = asked.communicate(timeout=60)
        assert asked.returncode == 130 and 'Traceback' not in said, said
        assert said.splitlines()[-1] == 'interrupted: cancelled'
        assert not planner.slot.taken


def test_a_file_that_is_no_picture_is_one_line(tmp_path, capsys):
    path = tmp_path / 'goal.png'
    path.write_text('no picture')
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert reach.main([str(path)]) == 1
        assert reach.main([str(tmp_path / 'missing.png')]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    *_, first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f'error: {path}: no whole jpeg or png')
    assert 'missing.png: not there' in second


FEEDBACK = [
    Said(phase=Said.WAITING_FOR_OBSERVATION, cost=float('nan')),
    Said(phase=Said.PLANNING, cost=0.4),
    Said(phase=Said.MOVING, step=1, cost=0.4),
    Said(phase=Said.WAITING_FOR_OBSERVATION, step=1, cost=0.1),
    Said(phase=Said.PLANNING, step=1, goal_index=1, cost=0.2),
    Said(phase=Said.REACHED, step=2, goal_index=1, cost=0.0),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_in_a_terminal_one_line_changes_and_elsewhere_each_step_is_a_line():
    terminal, pipe = Terminal(), io.StringIO()
    for out in (terminal, pipe):
        progress = reach.Progress(2, out)
        for said in FEEDBACK:
            progress(said)
        progress.end()
    assert terminal.getvalue().count('\n') == 1
    *_, last = terminal.getvalue().rstrip('\n').split('\r')
    assert last.startswith(f'picture 2/2  [{"#" * reach.BAR}]') and 'reached' in last
    lines = pipe.getvalue().splitlines()
    assert [line.split(']')[1].split()[:2] for line in lines] == [
        ['step', n] for n in ('0', '1', '1', '2')
    ]
    assert lines[1].count('#') == round(0.75 * reach.BAR) and lines[0].count('#') == 0
