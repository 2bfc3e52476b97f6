# SPDX-License-Identifier: Apache-2.0
"""Command `reach`: reach goal pictures, in order, with the arm that is running.

    jepa-wm reach goal.png
    ros2 run jepa_wm_ros reach first.png second.png --namespace left

The exit status is 0 when the last picture was reached, 1 when it was not, and 130 after Ctrl-C,
which cancels the goal and waits until the arm stands.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
from pathlib import Path
from typing import TextIO

from jepa_wm_msgs.action import ReachGoal

from jepa_wm_ros.control.goal_sequence import SWITCHES
from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.goals.library import read_picture
from jepa_wm_ros.ros.commander import JepaCommander

PATIENCE = 60.0  # s, for nodes that are still loading
BAR = 24  # characters
SAID = {
    ReachGoal.Feedback.WAITING_FOR_OBSERVATION: 'looking',
    ReachGoal.Feedback.PLANNING: 'planning',
    ReachGoal.Feedback.MOVING: 'moving',
    ReachGoal.Feedback.REPLAN_STATE_CHANGED: 'the arm was moved: planning anew',
    ReachGoal.Feedback.REACHED: 'reached',
}


class Progress:
    """Tells how a goal goes: in a terminal by one line that changes, elsewhere by a line for what
    is seen after each step.
    """

    def __init__(self, pictures: int, out: TextIO) -> None:
        self._pictures, self._out, self._live = pictures, out, out.isatty()
        self._start: dict[int, float] = {}  # the first cost seen on the way to each picture
        self._told: tuple[int, int] | None = None  # the picture and step of the last line
        self._width = 0

    def __call__(self, said: ReachGoal.Feedback) -> None:
        seen, now = math.isfinite(said.cost), (said.goal_index, said.step)
        if seen:
            self._start.setdefault(said.goal_index, said.cost)
        if self._live:
            line = self.line(said)
            self._out.write('\r' + line.ljust(self._width))
            self._out.flush()
            self._width = len(line)
        elif seen and said.phase != said.MOVING and now != self._told:
            self._told = now
            print(self.line(said), file=self._out, flush=True)

    def line(self, said: ReachGoal.Feedback) -> str:
        """What is said of one moment; the bar is the share of the latent distance that is gone."""
        start = self._start.get(said.goal_index, math.nan)
        gone = 1.0 - said.cost / start if start > 0 and math.isfinite(said.cost) else 0.0
        full = round(BAR * min(max(gone, 0.0), 1.0))
        bar = '#' * full + '-' * (BAR - full)
        picture = f'picture {said.goal_index + 1}/{self._pictures}  ' if self._pictures > 1 else ''
        cost = f'cost {said.cost:.4f}' if math.isfinite(said.cost) else 'no picture yet'
        return f'{picture}[{bar}]  step {said.step:2d}  {cost}  {SAID[said.phase]}'

    def end(self) -> None:
        """Leave the line as it is."""
        if self._live and self._width:
            print(file=self._out, flush=True)


def parse(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].split(': ', 1)[1])
    parser.add_argument('pictures', type=Path, nargs='+', help='what the camera should see')
    parser.add_argument('--namespace', default='', help='namespace of the arm')
    parser.add_argument('--max-steps', type=int, default=0, help="0: the planner's parameter")
    parser.add_argument('--tolerance', type=float, default=0.0, help="0: the model's own")
    parser.add_argument(
        '--switch',
        choices=SWITCHES,
        default=SWITCHES[0],
        help='when to go on to the next picture (default %(default)s)',
    )
    parser.add_argument(
        '--steps', type=int, nargs='+', default=(), help='for each picture, at most; for --switch'
    )
    options = parser.parse_args(words)
    if options.max_steps < 0 or not 0 <= options.tolerance < math.inf:
        parser.error('--max-steps and --tolerance must be 0 or more')
    return options


def reach(options: argparse.Namespace) -> int:
    """Reach the pictures and say how that went; returns the exit status."""
    pictures = [read_picture(path) for path in options.pictures]
    progress = Progress(len(pictures), sys.stderr)
    with JepaCommander(options.namespace, timeout=PATIENCE) as arm:
        try:
            result = arm.reach(
                pictures,
                progress,
                max_steps=options.max_steps,
                tolerance=options.tolerance,
                switch_on=SWITCHES.index(options.switch),
                steps_of_goals=options.steps,
            )
        finally:
            progress.end()
    if result.error_code == FaultCode.SUCCEEDED:
        print(f'reached in {result.steps} steps, cost {result.cost:.4f}')
        return 0
    code = FaultCode(result.error_code).name
    print(f'not reached: {code}: {result.error_msg} (step {result.steps})', file=sys.stderr)
    return 1


def main(words: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = parse(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return reach(options)
    except KeyboardInterrupt as interrupt:
        print(f'interrupted: {interrupt or "no goal was sent"}', file=sys.stderr)
        return 130
    except JepaWmError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
