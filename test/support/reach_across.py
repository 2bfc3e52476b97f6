# SPDX-License-Identifier: Apache-2.0
"""Reaches across a cable: the arm and its camera on the near host of `two_hosts`, the rest here.

Run on the far host; prints what was seen as one line of JSON. Times are seconds, lengths metres.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.bringup import ProcessSpec, plan_processes
from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.processes import ProcessGroup
from jepa_wm_ros.ros.demo.cell import DemoCell
from support.two_hosts import FAR, ON_NEAR, Cable, environment

AT_THE_ARM = ('sim_cell', 'franka_controller')
SEEDS = (4242, 4243)
STILL = 0.0005  # m between two looks at the hand
PATIENCE = 60.0  # s


@dataclass(frozen=True)
class OnNear:
    """A process of the near host."""

    spec: ProcessSpec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def environment(self) -> dict[str, str]:
        return {**self.spec.environment, **environment(FAR)}

    def command(self) -> list[str]:
        return [*ON_NEAR, *self.spec.command()]


class Witness:
    """The true hand positions (t, 4) [s, m], seen by a process beside the arm."""

    def __init__(self) -> None:
        self._seen: list[list[float]] = []
        self._process = subprocess.Popen(
            [*ON_NEAR, 'env', *words(environment(FAR)), sys.executable, '-m', 'support.witness'],
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._seen.append(json.loads(line))

    def between(self, begin: float, end: float) -> np.ndarray:
        """What was seen from `begin` to `end`, both of time.monotonic()."""
        seen = np.array(list(self._seen)).reshape(-1, 4)
        return seen[(seen[:, 0] >= begin) & (seen[:, 0] <= end)]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def words(environment: dict[str, str]) -> list[str]:
    """Variables as words of a command line."""
    return [f'{name}={value}' for name, value in environment.items()]


def main() -> None:
    """Reach, cut the cable in a motion, mend it, reach again."""
    processes = [OnNear(p) if p.name in AT_THE_ARM else p for p in plan_processes()]
    witness, cable = Witness(), Cable()
    try:
        with ProcessGroup(processes) as group, DemoCell(group) as cell:
            cell.wait_until_ready()
            said = {'first': reach(cell, *cell.prepare(SEEDS[0]))}
            picture, goal = cell.prepare(SEEDS[1])
            said['cut'] = cut_in_a_motion(cell, picture, cable, witness)
            said['mended'] = mend(cell, cable, witness)
            said['again'] = reach(cell, picture, goal)
    finally:
        witness.close()
    print(json.dumps(said))


def reach(cell: DemoCell, picture: np.ndarray, goal: np.ndarray) -> dict:
    """Reach a picture that was taken with the hand at `goal`."""
    begun = time.monotonic()
    result = cell.reach([picture], max_steps=12)
    return {
        'code': FaultCode(result.error_code).name,
        'message': result.error_msg,
        'seconds': time.monotonic() - begun,
        'away': float(np.linalg.norm(cell.hand_position() - goal)),
    }


def cut_in_a_motion(cell: DemoCell, picture: np.ndarray, cable: Cable, witness: Witness) -> dict:
    """Pull the cable while the arm moves; waits until this host knows that it is alone."""
    moving, results = threading.Event(), []

    def on_feedback(said) -> None:
        if said.phase == said.MOVING:
            moving.set()

    def run() -> None:
        results.append((cell.reach([picture], on_feedback, max_steps=12), time.monotonic()))

    goal = threading.Thread(target=run, daemon=True)
    goal.start()
    assert moving.wait(PATIENCE), 'the arm does not move'
    cut = time.monotonic()
    cable.cut()
    goal.join(PATIENCE)
    (result, told), missed = results[0], until_gone(cell)
    seen = witness.between(cut, time.monotonic())
    steps = np.linalg.norm(np.diff(seen[:, 1:], axis=0), axis=1)
    last = np.flatnonzero(steps > STILL).max(initial=-1) + 1
    return {
        'code': FaultCode(result.error_code).name,
        'message': result.error_msg,
        'goal_ended': told - cut,
        'arm_stood': float(seen[last, 0] - cut),
        'moved': float(np.linalg.norm(seen[-1, 1:] - seen[0, 1:])),
        'missed': missed - cut,
        'looks_after': len(seen) - int(last),
    }


def until_gone(cell: DemoCell) -> float:
    """When the controller has left the graph of this host."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while cell.node.count_publishers('arm_status') and time.monotonic() < deadline:
        pause.wait(0.02)
    return time.monotonic()


def mend(cell: DemoCell, cable: Cable, witness: Witness) -> dict:
    """Put the cable back; how long until arm and camera are heard, and that nothing moves by it."""
    before, mended = witness.between(0.0, math.inf)[-1, 1:], time.monotonic()
    cable.mend()
    cell.pose()
    heard = time.monotonic()
    cell.picture()
    seen = time.monotonic()
    return {
        'arm_heard': heard - mended,
        'picture_heard': seen - mended,
        'moved': float(np.linalg.norm(cell.hand_position() - before)),
    }


if __name__ == '__main__':
    main()
