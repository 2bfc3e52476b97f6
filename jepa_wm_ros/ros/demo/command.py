# SPDX-License-Identifier: Apache-2.0
"""The demo: the simulated arm reaches goal pictures, through every real part.

With `--task pick_place` or `--task push` it does so with the cube, see cube.py.

Starts the nodes of launch/plan.launch.py as processes, drives the arm to a goal and takes its
picture, drives it away, and sends the picture to the `reach_goal` action. The simulator's own hand
position says how near the arm came; the planner never hears it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from jepa_wm_ros import resources
from jepa_wm_ros.bringup import ProcessGroup, plan_processes
from jepa_wm_ros.control.goal_sequence import SWITCHES
from jepa_wm_ros.dds import dds_environment
from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.ros.commander import CommanderError
from jepa_wm_ros.ros.demo import cube, cube_report
from jepa_wm_ros.ros.demo.cell import DemoCell
from jepa_wm_ros.ros.demo.report import EpisodeRecord, print_table, write_gif, write_png
from jepa_wm_ros.sim.manipulation import FAR_PROFILES, PROFILES

TOLERANCE = 0.04  # m, hand to goal
FINE = 0.025  # m
MAX_STEPS = 12
LEAST_PLACED = 0.85  # share of the cubes


def parse(args: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--task', choices=('reach', *cube.STEPS), default='reach')
    parser.add_argument('--seed', type=int, default=0, help='seed of the first episode')
    parser.add_argument('--episodes', type=int, default=1)
    parser.add_argument('--out', type=Path, default=Path('out'), help='where pictures go')
    parser.add_argument(
        '--model', default='', help='model name or file (default: the one shipped for the task)'
    )
    parser.add_argument('--planner', default='', help="cem, icem, mppi, ...; empty: the profile's")
    parser.add_argument('--profile', default='', help="planning profile (default: the task's)")
    parser.add_argument(
        '--switch',
        choices=SWITCHES,
        help='when tasks with pictures go on to the next (default: steps; plan for one picture)',
    )
    parser.add_argument(
        '--pictures',
        type=int,
        choices=(0, 1),
        default=0,
        help='1: the last picture of the cube alone (default: all)',
    )
    parser.add_argument('--cell', type=int, default=0, help='which cell: 0 is the usual one')
    parser.add_argument('--arm-address', default='127.0.0.1', help='loopback address of the arm')
    parser.add_argument(
        '--no-baselines',
        action='store_true',
        help='leave out the rows for random actions and no motion',
    )
    options = parser.parse_args(args)
    if options.episodes < 1 or min(options.seed, options.cell) < 0:
        parser.error('--episodes must be at least 1, --seed and --cell at least 0')
    return options


def main(args: list[str] | None = None) -> None:
    """Run the demo; exits 0 only if every goal (one episode) or 19 of 20 were reached."""
    options = parse(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # The demo's own graph must not hear another one's on the same machine.
    os.environ.setdefault('ROS_DOMAIN_ID', str(random.SystemRandom().randint(1, 101)))
    os.environ.update(dds_environment())
    try:
        sys.exit(run(options))
    except KeyboardInterrupt:
        print('\ninterrupted: every process is stopped', file=sys.stderr)
        sys.exit(130)
    except JepaWmError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(1)


def run(options: argparse.Namespace) -> int:
    """Start the graph, run the episodes, report; returns the exit status."""
    begun = time.monotonic()
    grasps = options.task != 'reach'
    profiles = FAR_PROFILES if options.pictures else PROFILES
    processes = plan_processes(
        robot='sim',
        arm_address=options.arm_address,
        cell=str(options.cell),
        model=options.model,
        planner=options.planner,
        profile=options.profile or profiles.get(options.task, ''),
        params_file=resources.find('config', f'{"grasp" if grasps else "params"}.yaml'),
    )
    if options.task == 'push':  # with a hand that stays closed
        recovery = {'use_gripper': False, 'recovery_profile': FAR_PROFILES['push']}
        processes = tuple(
            replace(p, parameters={**p.parameters, **recovery}) if p.name == 'planner' else p
            for p in processes
        )
    with ProcessGroup(processes) as group, DemoCell(group) as cell:
        cell.wait_until_ready()
        print(
            f'cell ready in {time.monotonic() - begun:.1f} s: '
            f'{", ".join(p.name for p in processes)}',
            flush=True,
        )
        if grasps:
            return run_with_cube(cell, options)
        records, random_rows = [], []
        for seed in range(options.seed, options.seed + options.episodes):
            records.append(attempt(cell, seed) if options.episodes > 1 else episode(cell, seed))
            forget_films(records)
        if options.episodes > 1 and not options.no_baselines:
            print('random actions, the same tasks:', flush=True)
            random_rows = [random_episode(cell, r) for r in records if r.end is not None]
        latency = cell.latencies
    shown = next((r for r in records if r.frames), None)
    if shown is None:
        raise CommanderError('no episode could be run: see the exceptions above')
    write_gif(options.out / 'demo.gif', shown)
    write_png(options.out / 'demo.png', shown)
    print(f'pictures: {options.out / "demo.gif"}, {options.out / "demo.png"}')
    if options.episodes > 1:
        print_table(records, random_rows, TOLERANCE, FINE, latency)
    return verdict(records)


def run_with_cube(cell: DemoCell, options: argparse.Namespace) -> int:
    """The episodes with the cube, or those until an interrupt; returns the exit status."""
    switch = SWITCHES.index(options.switch or ('plan' if options.pictures else 'steps'))
    seeds = range(options.seed, options.seed + options.episodes)
    records, interrupted = [], False
    try:
        for seed in seeds:
            records.append(cube.attempt(cell, options.task, seed, switch, options.pictures))
            forget_films(records)
    except KeyboardInterrupt:
        if not records:
            raise
        interrupted = True
        print(f'\ninterrupted after {len(records)} of {len(seeds)} episodes', file=sys.stderr)
    shown = next((r for r in records if r.frames), None)
    if shown is None:
        raise CommanderError('no episode could be run: see the exceptions above')
    cube_report.write_gif(options.out / 'demo.gif', shown)
    cube_report.write_png(options.out / 'demo.png', shown)
    print(f'pictures: {options.out / "demo.gif"}, {options.out / "demo.png"}')
    if options.episodes > 1:
        print(cube_report.table(records))
    if interrupted:
        return 130
    return 0 if sum(r.placed for r in records) >= LEAST_PLACED * len(records) else 1


def forget_films(records: list) -> None:
    """Let all films go but the first, which is shown: one of a minute takes 140 MB."""
    for record in [r for r in records if r.frames][1:]:
        record.frames.clear()


def attempt(cell, seed: int) -> EpisodeRecord:
    """One of many episodes: an error ends it, not the others, and counts as an exception."""
    try:
        return episode(cell, seed)
    except CommanderError as error:
        cell.check()
        print(f'exception: {error}', flush=True)
        return EpisodeRecord.failed(seed, str(error))


def episode(cell, seed: int) -> EpisodeRecord:
    """One task: take the goal's picture, go to the start, reach the picture."""
    goal_picture, goal_position = cell.prepare(seed)
    record = EpisodeRecord(seed, goal_picture, goal_position, start=cell.hand_position())
    print(f'seed {seed}: the hand is {record.start_error * 100:.1f} cm from the goal', flush=True)

    def on_step(step: int, cost: float, planning_seconds: float, position: np.ndarray) -> None:
        record.add_step(step, cost, planning_seconds, position)
        if not step:
            return
        away = np.linalg.norm(position - goal_position) * 100
        print(
            f'  step {step:2d}   cost {cost:7.4f}   planning {planning_seconds * 1e3:4.0f} ms   '
            f'hand {away:5.1f} cm from the goal',
            flush=True,
        )

    result = cell.watch(goal_picture, on_step, record.frames, MAX_STEPS)
    record.finish(
        cell.hand_position(),
        result.cost,
        result.steps,
        result.error_msg,
        fault=FaultCode(result.error_code).is_fault,
    )
    reached = record.final_error <= TOLERANCE
    reason = '' if reached or not result.error_msg else f' ({result.error_msg})'
    print(
        f'{"reached" if reached else "missed"}: {record.final_error * 100:.1f} cm from the goal '
        f'(tolerance {TOLERANCE * 100:.1f} cm) in {result.steps} steps{reason}',
        flush=True,
    )
    return record


def random_episode(cell, record: EpisodeRecord) -> EpisodeRecord:
    """The same task with random steps through the same controller, as many as the planner took."""
    cell.prepare(record.seed)
    row = EpisodeRecord(
        record.seed, record.goal_picture, record.goal_position, start=cell.hand_position()
    )
    steps = max(record.steps, 1)
    cell.walk(record.seed, steps)
    row.finish(cell.hand_position(), float('nan'), steps, '')
    print(f'  seed {record.seed}: {row.final_error * 100:.1f} cm from the goal', flush=True)
    return row


def verdict(records: list[EpisodeRecord]) -> int:
    """0 when at least 95 % of the episodes ended within the tolerance, as the simulator saw."""
    reached = sum(r.final_error <= TOLERANCE for r in records)
    if reached < 0.95 * len(records):
        print(f'not reached: {len(records) - reached} of {len(records)} goals missed', flush=True)
        return 1
    return 0


if __name__ == '__main__':
    main()
