# SPDX-License-Identifier: Apache-2.0
"""`make soak`: goals in a loop with random faults, watched by who knows the truth.

Every goal is disturbed at random: not at all, by a cancel, by freezing one node. The monitor reads
the simulator's own hand position and tells of every motion while nobody has asked for one. Writes
soak.json and soak.png: memory of each node, planning time and faults over time.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from geometry_msgs.msg import PoseStamped  # noqa: E402

from jepa_wm_ros.errors import FaultCode  # noqa: E402
from support.domains import Domain  # noqa: E402
from support.running_cell import Goal, frozen, mend, running_cell  # noqa: E402

NODES = ('sim_cell', 'franka_controller', 'world_model', 'planner')
FREEZES = {'sim_cell': 6.0, 'franka_controller': 2.0, 'world_model': 6.0, 'planner': 3.0}  # s
FAULTS = ('none', 'none', 'none', 'cancel', *FREEZES)
GRACE = 0.5  # s after the end of a goal until the arm counts as standing
STRAYED = 0.005  # m that a standing hand may stray: it sags and settles
WARM = 60.0  # s until memory counts
PAGE = os.sysconf('SC_PAGE_SIZE')
MAX_GOAL_SECONDS = 60.0


class Monitor:
    """Reads the true hand position, and tells when it moves though nobody has asked for it."""

    def __init__(self, cell) -> None:
        self.unexpected: list[float] = []  # how far [m]
        self._asked, self._since, self._anchor = 0, 0.0, None
        cell.node.create_subscription(PoseStamped, 'sim_cell/hand_pose', self._on_hand, 10)

    @contextlib.contextmanager
    def motion_is_asked_for(self):
        """Around a goal or a motion that somebody wants."""
        self._asked += 1
        try:
            yield
        finally:
            self._since = time.monotonic()
            self._asked -= 1

    def _on_hand(self, message) -> None:
        p = message.pose.position
        here = np.array([p.x, p.y, p.z])
        if self._asked or time.monotonic() - self._since < GRACE:
            self._anchor = None
        elif self._anchor is None:
            self._anchor = here
        elif (strayed := float(np.linalg.norm(here - self._anchor))) > STRAYED:
            self.unexpected.append(strayed)
            print(f'unexpected motion of {1e3 * strayed:.0f} mm', flush=True)
            self._anchor = here


@dataclass
class Soak:
    """What was seen."""

    begun: float = field(default_factory=time.monotonic)
    goals: collections.Counter = field(default_factory=collections.Counter)
    ends: collections.Counter = field(default_factory=collections.Counter)
    without_result: int = 0
    mended_again: int = 0  # times that a stop and a recovery did not make the arm ready
    planning: list[tuple[float, float]] = field(default_factory=list)  # (time, seconds)
    latency: list[float] = field(default_factory=list)
    memory: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {name: [] for name in NODES}
    )  # (time, MB)
    faults: list[tuple[float, str]] = field(default_factory=list)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.begun

    def goal(self, cell, monitor: Monitor, fault: str) -> None:
        """One goal with one fault."""
        self.goals[fault] += 1
        self.faults.append((self.now, fault))
        with monitor.motion_is_asked_for():
            goal = Goal(cell)
            try:
                self._disturb(cell, goal, fault)
                end = goal.end(MAX_GOAL_SECONDS)
            except AssertionError as error:
                self.without_result += 1
                print(f'no result: {fault}: {error}', flush=True)
                return
        code = getattr(end, 'error_code', None)
        self.ends[FaultCode(code).name if code is not None else 'client: gone'] += 1
        for said in goal.feedback:
            if said.phase == said.MOVING:
                self.planning.append((self.now, said.planning_seconds))
                self.latency.append(said.latency_seconds)
        if fault in FREEZES:
            for told in mend(cell):
                self.mended_again += 1
                print(f'not ready after stop and recover: {fault}: {told}', flush=True)

    @staticmethod
    def _disturb(cell, goal: Goal, fault: str) -> None:
        if fault == 'none':
            return
        with contextlib.suppress(AssertionError):  # it may end before it moves
            goal.until(lambda said: said.phase in (said.MOVING, said.REACHED))
        if fault == 'cancel':
            cell.cancel()
            return
        with frozen(cell.pid(fault)):
            time.sleep(FREEZES[fault])  # how long it stands still is the fault

    def weigh(self, cell) -> None:
        """Note the memory of every node."""
        for name in NODES:
            pages = int(Path(f'/proc/{cell.pid(name)}/statm').read_text().split()[1])
            self.memory[name].append((self.now, pages * PAGE / 1e6))

    def growth(self, name: str) -> float:
        """Growth of a node's memory after warm-up [% per 10 minutes], by a straight line."""
        warm = np.array([row for row in self.memory[name] if row[0] > WARM])
        if len(warm) < 3:
            return float('nan')
        slope, start = np.polyfit(warm[:, 0], warm[:, 1], 1)
        return 600.0 * slope / (start + slope * WARM) * 100.0

    def summary(self, monitor: Monitor, leaked: list[str]) -> dict:
        """The figures."""
        p50, p95 = np.percentile(self.latency or [np.nan], [50, 95])
        return {
            'seconds': round(self.now),
            'goals': sum(self.goals.values()),
            'faults': dict(self.goals),
            'ends': dict(self.ends),
            'unexpected_motions': len(monitor.unexpected),
            'goals_without_result': self.without_result,
            'leaked_processes': leaked,
            'recovered_again': self.mended_again,
            'image_to_command_ms': {'p50': round(p50 * 1e3), 'p95': round(p95 * 1e3)},
            'memory_growth_percent_per_10_min': {n: round(self.growth(n), 2) for n in NODES},
        }


def draw(soak: Soak, path: Path) -> None:
    """Memory and planning time over time, with the faults."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, (memory, planning) = plt.subplots(2, 1, figsize=(10, 6), sharex=True, layout='tight')
    for name, rows in soak.memory.items():
        memory.plot(*np.array(rows).T / np.array([[60], [1]]), label=name)
    memory.set_ylabel('memory [MB]')
    memory.legend(loc='center right')
    times, seconds = np.array(soak.planning).T
    planning.plot(times / 60, seconds * 1e3, '.', ms=3, color='tab:blue')
    planning.set_ylabel('planning [ms]')
    planning.set_xlabel('minutes')
    for at, fault in soak.faults:
        if fault in FREEZES:
            planning.axvline(at / 60, color='tab:red', alpha=0.2, lw=1)
    planning.set_title('red: a node was frozen', fontsize=9)
    figure.savefig(path, dpi=110)


def run(minutes: float, seed: int, out: Path, arm_address: str = '') -> dict:
    """Soak for so long; returns the figures, which are written to `out` with the picture."""
    chance, soak = random.Random(seed), Soak()
    with running_cell(arm_address) as cell:
        monitor, begun = Monitor(cell), time.monotonic()
        pids = [cell.pid(name) for name in NODES]
        soak.begun = begun
        while time.monotonic() - begun < 60.0 * minutes:
            soak.goal(cell, monitor, chance.choice(FAULTS))
            soak.weigh(cell)
            threading.Event().wait(1.0)  # in which nothing may move
            print(
                f'{soak.now:6.0f} s  {sum(soak.goals.values())} goals  {dict(soak.ends)}',
                flush=True,
            )
    leaked = [str(pid) for pid in pids if Path(f'/proc/{pid}').exists()]
    leaked += sessions_left(pids)
    figures = soak.summary(monitor, leaked)
    out.mkdir(parents=True, exist_ok=True)
    (out / 'soak.json').write_text(json.dumps(figures, indent=2) + '\n')
    draw(soak, out / 'soak.png')
    return figures


def sessions_left(pids: list[int]) -> list[str]:
    """Processes that the nodes started and left behind."""
    wanted = ','.join(map(str, pids))
    asked = subprocess.run(['ps', '-o', 'pid=', '-s', wanted], capture_output=True, text=True)
    return asked.stdout.split()


def main() -> int:
    """Soak and say what was seen; 0 when nothing was."""
    parser = argparse.ArgumentParser(prog='make soak', description=__doc__)
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('out/soak'))
    options = parser.parse_args()
    domain = Domain()
    os.environ.update(domain.environment)
    figures = run(options.minutes, options.seed, options.out)
    print(json.dumps(figures, indent=2))
    bad = figures['unexpected_motions'] + figures['goals_without_result']
    return int(bool(bad or figures['leaked_processes']))


if __name__ == '__main__':
    sys.exit(main())
