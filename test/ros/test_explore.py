# SPDX-License-Identifier: Apache-2.0
"""The arm that explores by itself: what it keeps, what stops it, and that it goes on."""

import errno
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_ros.bringup import plan_processes  # noqa: E402
from jepa_wm_ros.control.ports import Motion, MotionOutcome  # noqa: E402
from jepa_wm_ros.errors import FaultCode, JepaWmError  # noqa: E402
from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.processes import ProcessGroup  # noqa: E402
from jepa_wm_ros.recordings.exploration import CELL  # noqa: E402
from jepa_wm_ros.recordings.formats import hdf5, open_episodes  # noqa: E402
from jepa_wm_ros.recordings.sanity import complaints  # noqa: E402
from jepa_wm_ros.recordings.skills import GRASP_LOW, TABLE  # noqa: E402
from jepa_wm_ros.ros import explore  # noqa: E402
from jepa_wm_ros.ros.commander import CommanderError  # noqa: E402
from jepa_wm_ros.ros.demo.cell import DemoCell  # noqa: E402
from jepa_wm_ros.ros.exploring import (  # noqa: E402
    MOST_BENT,
    MOST_REFUSED,
    SeeingPorts,
    explore_episode,
    pointed_at,
    unbent,
)

pytestmark = [pytest.mark.ros, pytest.mark.real_time]
START = np.array([0.5, 0.0, 0.25, *FR3.hand_down, 0.0])


class StubArm:
    """An arm that makes every step but those for which `ends` holds something else."""

    def __init__(self, ends=()):
        self.at, self.ends, self.closures, self.stood = START.copy(), list(ends), [], 0
        self.lowest = math.inf

    def begin(self):
        pass

    def measured(self):
        return self.at.copy()

    commanded = measured

    def move(self, target, planned_from, gripper):
        outcome = self.ends.pop(0) if self.ends else MotionOutcome.DONE
        if outcome is MotionOutcome.DONE:
            self.at[:6] = target[:6]
            self.lowest = min(self.lowest, self.at[2])
            if not math.isnan(gripper):
                self.at[6] = gripper
            self.closures.append(gripper)
        return Motion(outcome, message='as the test wants it')

    def stand(self):
        self.stood += 1
        return True


class StubCommander:
    """A camera whose pictures count, and a hand that turns as it is told."""

    def __init__(self, arm):
        self.arm, self.taken, self.homed, self.refusals = arm, 0, 0, []
        self.node = SimpleNamespace(
            get_clock=lambda: SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.taken))
        )

    def picture(self):
        self.taken += 1
        return np.full((48, 64, 3), self.taken, np.uint8)

    def pose(self):
        return self.arm.measured()

    def move_to(self, target):
        if self.refusals:
            raise CommanderError('as the test wants it', self.refusals.pop(0))
        self.arm.at[:6] = target[:6]

    def home(self):
        self.homed += 1
        self.arm.at = START.copy()

    def set_gripper(self, closure):
        pass


def explored(monkeypatch, ends=(), seed=3, steps=12):
    arm = StubArm(ends)
    commander = StubCommander(arm)
    monkeypatch.setattr('jepa_wm_ros.ros.arm_alone.ArmPort', lambda node, value: arm)
    ports = SeeingPorts(commander, 'fr3_link0', 32)
    arm.commander = commander
    episode = partial(explore_episode, commander, ports, CELL, seed, steps, None)
    return arm, lambda: unbent(commander, episode)


def test_an_episode_holds_each_step_between_the_pictures_before_and_after_it(monkeypatch):
    arm, explore_it = explored(monkeypatch)
    episode = explore_it()
    assert episode.frames.shape == (13, 32, 32, 3) and episode.actions.shape == (12, 7)
    assert episode.frames[:, 0, 0, 0].tolist() == list(range(1, 14))
    moved = np.diff(episode.proprio[:, :3], axis=0)
    np.testing.assert_allclose(moved, episode.actions[:, :3], atol=1e-6)
    asked = [not math.isnan(closure) for closure in arm.closures]
    assert asked == (episode.actions[:, 6] != 0).tolist()  # the hand hears only what is new


@pytest.mark.parametrize('outcome', [MotionOutcome.WORKSPACE, MotionOutcome.REFUSED])
def test_a_step_that_cannot_be_made_is_no_part_of_the_episode(monkeypatch, outcome):
    done = MotionOutcome.DONE
    arm, explore_it = explored(monkeypatch, [done, outcome, outcome, done, outcome])
    episode = explore_it()
    assert episode.steps == 12 and len(np.unique(episode.frames[:, 0, 0, 0])) == 13
    np.testing.assert_allclose(
        np.diff(episode.proprio[:, :3], axis=0), episode.actions[:, :3], atol=1e-6
    )
    assert arm.stood == 3


def test_a_plan_for_an_arm_that_somebody_moved_is_made_again_from_where_it_is(monkeypatch):
    _, explore_it = explored(monkeypatch, [MotionOutcome.DONE, MotionOutcome.MOVED])
    seen = explore_it().frames[:, 0, 0, 0].tolist()
    assert seen == [1, *range(3, 15)]  # the second picture was of a step that was not made


@pytest.mark.parametrize(
    ('outcome', 'code'),
    [(MotionOutcome.FAILED, FaultCode.ROBOT_REFLEX), (MotionOutcome.STOPPED, FaultCode.STOPPED)],
)
def test_anything_odd_ends_it_and_the_arm_stands(monkeypatch, outcome, code):
    arm, explore_it = explored(monkeypatch, [MotionOutcome.DONE, outcome])
    with pytest.raises(CommanderError, match='as the test wants it') as caught:
        explore_it()
    assert caught.value.code is code and arm.stood == 1


def test_an_arm_that_can_make_no_step_at_all_is_given_up(monkeypatch):
    arm, explore_it = explored(monkeypatch, [MotionOutcome.WORKSPACE] * 1000)
    with pytest.raises(CommanderError):
        explore_it()
    assert arm.commander.homed == MOST_BENT


@pytest.mark.parametrize('stuck', ['at its first step', 'before it'])
def test_an_arm_too_bent_to_go_anywhere_begins_again_at_home(monkeypatch, stuck):
    arm, explore_it = explored(monkeypatch)
    arm.at[:3] = 0.3, -0.3, 0.5
    if stuck == 'before it':
        arm.commander.refusals = [FaultCode.WORKSPACE_LIMIT]
    else:
        arm.ends = [MotionOutcome.WORKSPACE] * (MOST_REFUSED + 1)
    episode = explore_it()
    assert arm.commander.homed == 1 and episode.steps == 12
    np.testing.assert_allclose(episode.proprio[0, :3], START[:3], atol=1e-6)


@pytest.mark.parametrize('code', [FaultCode.STOPPED, FaultCode.ROBOT_REFLEX, FaultCode.INTERNAL])
def test_an_arm_that_was_stopped_before_an_episode_is_not_sent_home(monkeypatch, code):
    arm, explore_it = explored(monkeypatch)
    arm.commander.refusals = [code]
    with pytest.raises(CommanderError):
        explore_it()
    assert arm.commander.homed == 0 and not arm.closures


def test_skills_go_on_with_what_the_hand_holds(monkeypatch):
    arm, _ = explored(monkeypatch)
    monkeypatch.setattr(arm.commander, 'set_gripper', lambda closure: pytest.fail('it lets go'))
    ports = SeeingPorts(arm.commander, 'fr3_link0', 32)
    thing = pointed_at([0.5, 0.0, 0.3], TABLE)
    for seed in range(6):
        assert explore_episode(arm.commander, ports, TABLE, seed, 20, thing).steps == 20
    assert 1.0 in arm.closures and 0.0 in arm.closures
    assert arm.lowest < GRASP_LOW + 0.02


def test_an_arm_that_may_not_come_down_to_the_table_is_told_of_the_file_that_lets_it():
    with pytest.raises(JepaWmError, match=r'0.045 m.*params_file:=grasp.yaml'):
        pointed_at([0.5, 0.0], CELL)


@pytest.mark.parametrize('words', [['--skills'], ['--thing', '0.5'], ['--thing', *'1234']])
def test_skills_need_a_place(words, capsys, tmp_path):
    with pytest.raises(SystemExit):
        explore.main(['--out', str(tmp_path), '--yes', *words])
    assert '--thing' in capsys.readouterr().err


def test_on_a_real_arm_nothing_of_the_simulator_is_needed():
    asked = 'import sys, jepa_wm_ros.ros.exploring; print(*sys.modules)'
    told = subprocess.run([sys.executable, '-c', asked], capture_output=True, text=True, check=True)
    assert not {'jepa_wm_ros.sim', 'mujoco', 'franky_sim'} & set(told.stdout.split())


def test_nobody_is_asked_where_nothing_is_left_and_nothing_moves_unasked(tmp_path, capsys):
    assert explore.main(['--out', str(tmp_path / 'new')]) == 1
    assert 'give --yes' in capsys.readouterr().err
    assert not (tmp_path / 'new').exists()


def no_room(*_):
    raise OSError(errno.ENOSPC, 'as the test wants it')


def test_it_explores_another_cell_goes_on_and_stands_after_a_full_disk_and_an_interrupt(
    ros_domain, new_arm_address, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(explore, 'STEPS', 6)
    out = tmp_path / 'mine'
    words = ['--yes', '--size', '64', '--minutes']
    processes = plan_processes(arm_address=new_arm_address(), cell='5')
    with ProcessGroup(processes) as group, DemoCell(group) as cell:
        cell.wait_until_ready()
        assert explore.main([*words, '0.01', '--out', str(out)]) == 0
        first = list(open_episodes(out))
        assert len(first) == 1 and complaints(first[0]) == []
        assert explore.main([*words, '0.01', '--out', str(out)]) == 0  # nothing is left to do
        minutes = str(first[0].extras['seconds'][-1, 0] / 60 + 0.001)
        assert explore.main([*words, minutes, '--out', str(out)]) == 0
        both = list(open_episodes(out))
        assert len(both) == 2
        np.testing.assert_array_equal(both[0].proprio, first[0].proprio)
        for episode in both:
            low, high = FR3.workspace_low - 0.02, FR3.workspace_high + 0.02
            assert (episode.proprio[:, :3] > low).all() and (episode.proprio[:, :3] < high).all()
            pictures = np.asarray(episode.frames[:]).reshape(7, -1)
            assert len(np.unique(pictures[:, ::7], axis=0)) > 4
            target = episode.proprio[:-1, :3] + episode.actions[:, :3]
            inside = ((target > FR3.workspace_low) & (target < FR3.workspace_high)).all(axis=1)
            error = episode.extras['achieved'][inside, :3] - episode.actions[inside, :3]
            assert np.abs(error).max() < 0.01
        with monkeypatch.context() as full:
            full.setattr(hdf5, '_reserve', no_room)
            capsys.readouterr()
            assert explore.main([*words, '1', '--out', str(out)]) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith(f'error: {out}: episode 2 cannot be written (No space left on')
        assert len(open_episodes(out)) == 2
        command = [sys.executable, '-m', 'jepa_wm_ros', 'explore', *words, '5']
        command += ['--out', str(tmp_path / 'other')]
        here, deadline = cell.hand_position(), time.monotonic() + 60.0
        with subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ) as process:
            while np.linalg.norm(cell.hand_position() - here) < 0.01:
                assert process.poll() is None and time.monotonic() < deadline
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
        assert process.returncode == 130 and b'the same command goes on' in said
        stood = cell.hand_position()
        assert np.linalg.norm(cell.hand_position() - stood) < 2e-3
