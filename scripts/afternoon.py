#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The newcomer's afternoon: how well one's own model reaches after so many minutes of recording.

    .venv/bin/python scripts/afternoon.py out/afternoon --cell 5 --minutes 15 30 60

In a simulated cell that nobody tuned, by the commands of doc/tutorials/your_own_cell.md and through
ROS and franky as on a real arm: explore, train with and without the shipped weights, and 20 fresh
goals. Every five minutes the newcomer lays the thing on the table elsewhere, in another daylight,
and says where it lies every other time. What is there already is not done again. Ends with
OUT/afternoon.md and OUT/afternoon.png.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path

from jepa_wm_msgs.srv import ResetScene
from std_srvs.srv import Trigger

from jepa_wm_ros.dds import dds_environment
from jepa_wm_ros.ros.commander import JepaCommander
from jepa_wm_ros.sim.variation import cell_of_seed

COMMAND = [sys.executable, '-m', 'jepa_wm_ros']
STARTS = {'from the shipped weights': ['--from', 'jepa_wm_cell'], 'from nothing': []}
STAGES = 'encoder', 'predictor', 'proposal'
MOVED_EVERY = 5.0  # minutes
RECOVERIES = 5  # of an arm that was stopped, in so many minutes
FIRST_TASK, FIRST_PLACE = 7000, 9000  # seeds of the goals, and of where the thing is laid
FOREIGN = 'is unlike those'  # said of every picture where there is no table
ROW = re.compile(r'^planner +(\d+)/(\d+) +(\d+)/\d+ +([\d.]+) cm', re.MULTILINE)


def main() -> None:
    """Run what is missing, then write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path)
    parser.add_argument('--cell', type=int, default=5)
    parser.add_argument('--minutes', type=float, nargs='+', default=[15, 30, 60])
    parser.add_argument('--episodes', type=int, default=20)
    parser.add_argument('--iterations', type=int, help='of each stage of the training')
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault('ROS_DOMAIN_ID', str(random.SystemRandom().randint(1, 101)))
    os.environ.update(dds_environment())
    data = {minutes: options.out / f'data_{minutes:g}' for minutes in sorted(options.minutes)}
    for minutes, folder in data.items():
        if not folder.exists():
            explore(options, minutes, folder)
    rows = []
    for start, words in STARTS.items():
        for minutes in reversed(data):
            rows.append(attempt(options, minutes, data[minutes], start, words))
            write(options.out, sorted(rows, key=lambda row: row['minutes']))
    judge(options, options.out / folder_name(max(options.minutes), next(iter(STARTS))))


def explore(options: argparse.Namespace, minutes: float, data: Path) -> None:
    """Go on exploring until so many minutes are recorded; keep what is there then."""
    kept = options.out / 'data'
    with Bringup([f'cell:={options.cell}']):
        for part in range(math.ceil(minutes / MOVED_EVERY)):
            until = min((part + 1) * MOVED_EVERY, minutes)
            place = lay_elsewhere(part)
            thing = ['--thing', *place] if part % 2 == 0 else []
            take_up(['explore', '--out', kept, '--minutes', until, '--yes', *thing])
    data.mkdir()
    for path in kept.iterdir():
        os.link(path, data / path.name)


def take_up(words: list) -> None:
    """Explore; where something has stopped the arm, such as a machine too busy for it, let it go on
    as the newcomer does: recover, home, and the same command again.
    """
    for _ in range(RECOVERIES):
        try:
            run(words)
            return
        except SystemExit as stopped:
            print(f'{stopped}; it is let go on', flush=True)
            with JepaCommander(timeout=60.0) as arm:
                arm.stop()
                arm.recover()
                arm.home()
    run(words)


def attempt(
    options: argparse.Namespace, minutes: float, data: Path, start: str, words: list[str]
) -> dict:
    """Train and reach; a row of the table."""
    folder = options.out / folder_name(minutes, start)
    result = folder / 'reached.json'
    if result.exists():
        return json.loads(result.read_text())
    length = ['--iterations', options.iterations] if options.iterations else []
    run(['train', '--data', data, '--out', folder, '--name', 'own', *words, *length])
    trained = json.loads((folder / 'metrics.json').read_text())['run']
    model, goals = folder / 'own.safetensors', ['--seed', FIRST_TASK, '--no-baselines']
    told = run(
        ['demo', '--cell', options.cell, '--model', model, '--out', folder, *goals]
        + ['--episodes', options.episodes],
        may_miss=True,
    )
    found = ROW.search(told)
    if not found and FOREIGN not in told:
        sys.exit('the demo has told no table')
    near, count, nearer, median = found.groups() if found else (0, options.episodes, 0, 'nan')
    row = {
        'minutes': minutes,
        'start': start,
        'episodes': int(count),
        'within 4 cm': int(near),
        'within 2.5 cm': int(nearer),
        'median cm': float(median),
        'training minutes': round(sum(trained[f'{stage}_seconds'] for stage in STAGES) / 60, 1),
        'steps trained on': trained['train_episodes'] * 20,
    }
    result.write_text(json.dumps(row, indent=1))
    return row


def folder_name(minutes: float, start: str) -> str:
    """Of a model."""
    return f'{minutes:g}_{start.replace(" ", "_")}'


def judge(options: argparse.Namespace, folder: Path) -> None:
    """What check_camera, and evaluate_bag on a take of a minute, say of a model."""
    model, takes = folder / 'own.safetensors', folder / 'takes'
    with (
        Bringup([f'cell:={options.cell}', f'model:={model}']),
        Process(['recorder', '--ros-args', '-p', f'out:={takes}']),
    ):
        told = run(['check_camera', '--model', model, '--yes'], may_miss=True)
        (folder / 'check_camera.txt').write_text(told)
        with JepaCommander(timeout=60.0) as arm:
            arm.call(Trigger, 'recorder/start', Trigger.Request())
        run(['explore', '--out', folder / 'fresh', '--minutes', 1, '--seed', 90_000, '--yes'])
        with JepaCommander(timeout=60.0) as arm:
            arm.call(Trigger, 'recorder/stop', Trigger.Request())
    words = ['--model', model, '--planner', 'cell', '--out', folder / 'bag']
    told = run(['evaluate_bag', takes / 'take_0000', *words], may_miss=True)
    (folder / 'evaluate_bag.txt').write_text(told)


def lay_elsewhere(seed: int) -> list[float]:
    """Move the thing, as a newcomer does by hand; where it lies then [m]. And another light."""
    with JepaCommander(timeout=60.0) as arm:
        arm.home()
        arm.call(ResetScene, 'sim_cell/reset_scene', ResetScene.Request(seed=FIRST_PLACE + seed))
    return [round(float(x), 3) for x in cell_of_seed(FIRST_PLACE + seed).cube[:2]]


class Process:
    """A command that runs for the length of a `with`."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def __enter__(self) -> None:
        self._process = subprocess.Popen([*COMMAND, *self._words])

    def __exit__(self, *_exc) -> None:
        self._process.terminate()  # a SIGINT is ignored where this runs in the background
        self._process.wait(30)


class Bringup(Process):
    """The nodes of a cell, as `jepa-wm bringup` starts them."""

    def __init__(self, words: list[str]) -> None:
        super().__init__(['bringup', *words])


def run(words: list, may_miss: bool = False) -> str:
    """Run a command and show what it says, which is returned."""
    said = []
    with subprocess.Popen(
        [*COMMAND, *map(str, words)], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            print(line, end='', flush=True)
            said.append(line)
    if process.returncode and not may_miss:
        sys.exit(f'{words[0]} ended with {process.returncode}')
    return ''.join(said)


def write(out: Path, rows: list[dict]) -> None:
    """The table and the picture of the rows there are."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    names = list(rows[0])
    lines = [' | '.join(names), ' | '.join('---' for _ in names)]
    lines += [' | '.join(f'{row[name]}' for name in names) for row in rows]
    (out / 'afternoon.md').write_text(''.join(f'| {line} |\n' for line in lines))
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout='constrained')
    for start, colour in zip(STARTS, ('tab:blue', 'tab:orange'), strict=True):
        chosen = [row for row in rows if row['start'] == start]
        for mark, style in (('within 4 cm', 'o-'), ('within 2.5 cm', 's--')):
            share = [100 * row[mark] / row['episodes'] for row in chosen]
            minutes = [row['minutes'] for row in chosen]
            axes.plot(minutes, share, style, color=colour, label=f'{start}, {mark}')
    axes.set(xlabel='minutes recorded by explore', ylabel='goals reached [%]', ylim=(0, 103))
    axes.legend(fontsize='small')
    figure.savefig(out / 'afternoon.png', dpi=120)
    pyplot.close(figure)


if __name__ == '__main__':
    main()
