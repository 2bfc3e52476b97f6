# SPDX-License-Identifier: Apache-2.0
"""The whole graph as processes, goals that run in it, and faults of its processes."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time

import numpy as np
from jepa_wm_msgs.msg import ArmStatus
from std_srvs.srv import Trigger

from jepa_wm_ros.bringup import plan_processes
from jepa_wm_ros.processes import ProcessGroup
from jepa_wm_ros.ros.commander import CommanderError
from jepa_wm_ros.ros.demo.cell import DemoCell

ENDS = (-0.13, 0.13)  # y of the two goals [m]


@contextlib.contextmanager
def running_cell(arm_address: str = '', **given):
    """A DemoCell of a graph of its own, with more arguments of `plan_processes`; `goals` are two
    pictures and where they were taken, 0.26 m apart, `pid(name)` the process of a node.
    """
    processes = plan_processes(arm_address=arm_address, **given)
    with ProcessGroup(processes) as group, DemoCell(group) as cell:
        cell.wait_until_ready()
        cell.pid, cell.goals = group.pid, []
        for y in ENDS:
            cell.move_to(np.array([0.5, y, 0.25, math.pi, 0.0, 0.0, 0.0]))
            cell.goals.append((cell.picture(), cell.hand_position()))
        yield cell


class Goal:
    """A goal that runs in a thread, to the farther one of the two pictures."""

    def __init__(self, cell, max_steps: int = 12) -> None:
        self.cell, self.result, self.error = cell, None, None
        self.feedback, self._news = [], threading.Condition()
        here = cell.hand_position()
        picture, _ = max(cell.goals, key=lambda goal: np.linalg.norm(goal[1] - here))
        self._thread = threading.Thread(target=self._run, args=(picture, max_steps), daemon=True)
        self._thread.start()

    def _run(self, picture, max_steps) -> None:
        try:
            self.result = self.cell.reach([picture], self._on_feedback, max_steps=max_steps)
        except CommanderError as error:
            self.error = error
        with self._news:
            self._news.notify_all()

    def _on_feedback(self, said) -> None:
        with self._news:
            self.feedback.append(said)
            self._news.notify_all()

    def until(self, condition, timeout: float = 30.0):
        """The first feedback for which `condition` holds."""
        with self._news:
            assert self._news.wait_for(
                lambda: any(map(condition, self.feedback)) or self.result or self.error, timeout
            ), 'the goal says nothing'
            found = next(filter(condition, self.feedback), None)
            assert found, f'the goal has ended: {self.result or self.error}'
            return found

    def moves(self) -> None:
        """Wait until the arm has been told to take its first step."""
        self.until(lambda said: said.phase == said.MOVING)

    def end(self, timeout: float = 40.0):
        """The result, or the error of who sent the goal."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), 'the goal has no end'
        return self.result or self.error


@contextlib.contextmanager
def frozen(pid: int):
    """A process that stands still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def mend(cell) -> list[str]:
    """What a person does after a fault: stop, recover, see that the arm is ready, again until it
    is. Returns what was told each time that it was not.
    """
    deadline, told = time.monotonic() + 30.0, []
    while True:
        said = [_asked(cell, service) for service in ('stop', 'recover')]
        with cell._news:
            if cell._news.wait_for(lambda: cell._status.mode == ArmStatus.MODE_READY, 3.0):
                return told
        told.append(f'mode {cell._status.mode}: {"; ".join(said)}')
        assert time.monotonic() < deadline, told


def _asked(cell, service: str) -> str:
    try:
        return cell.call(Trigger, f'franka_controller/{service}', Trigger.Request()).message
    except CommanderError as error:
        return str(error)
