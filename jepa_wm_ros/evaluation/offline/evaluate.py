# SPDX-License-Identifier: Apache-2.0
"""The steps of evaluate_bag: read the bags, evaluate their clips, sum up, write the report."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from jepa_wm_ros.evaluation.offline.illustrate import illustrate
from jepa_wm_ros.evaluation.offline.perceptual import find_perceptual
from jepa_wm_ros.evaluation.offline.report import write_report
from jepa_wm_ros.evaluation.offline.rows import Row, RowWriter, merge_rows, write_rows
from jepa_wm_ros.evaluation.offline.runner import (
    EvaluationPlan,
    Recording,
    Shard,
    bag_label,
    blocks,
    run,
)
from jepa_wm_ros.evaluation.offline.summary import Summary, short, summarize, table
from jepa_wm_ros.evaluation.offline.trial import PlannerChoice
from jepa_wm_ros.evaluation.topic_options import topic_spec
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import BagError, Findings
from jepa_wm_ros.recordings.bags.recording import read_recording
from jepa_wm_ros.recordings.clips import ClipSettings
from jepa_wm_ros.recordings.episode_clips import holds_episodes, read_episodes
from jepa_wm_ros.world_model import load_world_model

CLIPS, METRICS, REPORT, SETTINGS = 'clips.csv', 'metrics.json', 'report.html', 'settings.json'


def evaluate(options: argparse.Namespace) -> bool:
    """Carry out a command line; True when only a part of the recordings was evaluated."""
    shard = Shard.from_environment()
    plan, lines = make_plan(options)
    out = options.out or Path('out/bags', bag_label(plan.recordings[0]))
    out.mkdir(parents=True, exist_ok=True)
    if not options.merge:
        _keep_settings(out, plan, options, shard)
        _evaluate_clips(out, plan, options.jobs, shard)
        if not _all_shards_done(shard):
            return False
    rows = _merged(out)
    summary = summarize(rows, plan.models, plan.planners)
    write_rows(out / CLIPS, rows)
    _write_metrics(out / METRICS, plan, summary, lines)
    write_report(out / REPORT, plan, summary, rows, illustrate(plan, rows), lines)
    _print(out, plan, summary, lines)
    return _is_partial(plan, summary)


def make_plan(options: argparse.Namespace) -> tuple[EvaluationPlan, list[str]]:
    """Read the bags and check models and planners; also what will not be computed, and why."""
    models = tuple(dict.fromkeys(options.models or ['jepa_wm_cell']))
    planners = tuple(dict.fromkeys(options.planners or ['paper']))
    horizon = options.horizon or PlannerChoice.load(planners[0], None).profile.settings.horizon
    lines = [
        f'{short(name)} stops each plan after {seconds:g} s: its numbers depend on the speed '
        'of this machine'
        for name in planners
        if (seconds := PlannerChoice.load(name, horizon).profile.budget_seconds)
    ]
    device = options.device
    if device == 'cuda' and 'LOCAL_RANK' in os.environ:
        device = f'cuda:{os.environ["LOCAL_RANK"]}'
    rates = set()
    for name in models:
        model = load_world_model(name, weights_dir=options.weights_dir)
        rates.add(model.spec.fps)
        _, reason = find_perceptual(model)
        if reason:
            lines.append(f'LPIPS is not computed for {short(name)}: {reason}')
    if options.rate is None and (len(rates) > 1 or not all(rates)):
        raise BagError(f'the models step at {sorted(rates)} Hz; choose one with --rate')
    settings = ClipSettings(
        options.rate or rates.pop(),
        horizon,
        options.stride or horizon,
        options.clips,
        options.seeds[0],
    )
    recordings = tuple(_read(path, options, settings) for path in options.bags)
    labels = [bag_label(recording) for recording in recordings]
    if len(set(labels)) < len(labels):
        raise BagError(f'two recordings have the same name ({", ".join(labels)}); rename one')
    return EvaluationPlan(
        recordings, models, planners, tuple(options.seeds), horizon, options.weights_dir, device
    ), lines


def _read(path: Path, options: argparse.Namespace, settings: ClipSettings) -> Recording:
    if holds_episodes(path):
        return read_episodes(
            path,
            settings,
            camera=options.image or '',
            rate=options.rate,
            watched=partial(tqdm, desc=f'read {path.name}', leave=False, disable=None),
        )
    # Counting first costs an open; it gives the bar its end.
    with Bag(path, Findings()) as bag:
        total = sum(topic.count for topic in bag.topics.values())
    with tqdm(total=total, desc=f'read {path.name}', unit='msg', leave=False, disable=None) as bar:
        return read_recording(path, topic_spec(options), settings, bar.update)


def _keep_settings(
    out: Path, plan: EvaluationPlan, options: argparse.Namespace, shard: Shard
) -> None:
    """Refuse to mix results of different settings in one folder."""
    asked = {
        'bags': {
            bag_label(r): {'clips': len(r.clips), 'first_stamp': int(r.timeline.stamps[0])}
            for r in plan.recordings
        },
        'models': list(plan.models),
        'planners': {c.name: repr(c.profile) for c in plan.choices()},
        'seeds': list(plan.seeds),
        'horizon': plan.horizon,
        'stride': options.stride,
        'clips': options.clips,
        'rate': options.rate,
        'world': shard.world,
    }
    path = out / SETTINGS
    tables = list(out.glob('clips*.csv'))
    if tables and not options.resume and shard.world == 1:
        raise BagError(
            f'{out}: holds results already; --resume goes on with them, or give another --out'
        )
    if tables and path.exists() and json.loads(path.read_text()) != asked:
        raise BagError(f'{out}: was made with other settings (see {path.name}); give another --out')
    part = path.with_suffix(f'.{shard.rank}')
    part.write_text(json.dumps(asked, indent=1))
    part.replace(path)


def _table_path(out: Path, shard: Shard) -> Path:
    return out / (CLIPS if shard.world == 1 else f'clips.{shard.rank:04d}.csv')


def _evaluate_clips(out: Path, plan: EvaluationPlan, jobs: int, shard: Shard) -> None:
    todo = blocks(plan, shard)
    with (
        RowWriter(_table_path(out, shard)) as writer,
        tqdm(
            total=sum(len(block.clips) for block in todo), desc='clips', unit='clip', disable=None
        ) as bar,
    ):

        def keep(rows: list[Row]) -> None:
            writer.add(rows)
            bar.update(len({(row.bag, row.clip) for row in rows}))

        run(plan, todo, set(writer.done), jobs, keep)


def _all_shards_done(shard: Shard) -> bool:
    """Wait for the other shards; True where the results are to be put together."""
    if shard.world == 1:
        return True
    if 'MASTER_ADDR' not in os.environ:  # RANK and WORLD_SIZE were set by hand
        print(f'shard {shard.rank} of {shard.world} is done; when all are, --merge sums them up')
        return False
    torch.distributed.init_process_group('gloo')
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    return shard.rank == 0


def _merged(out: Path) -> list[Row]:
    rows = merge_rows(sorted(out.glob('clips*.csv')))
    if not rows:
        raise BagError(f'{out}: holds no rows to sum up; evaluate first')
    return rows


def _write_metrics(
    path: Path, plan: EvaluationPlan, summary: Summary, lines: Sequence[str]
) -> None:
    content = {
        'horizon': plan.horizon,
        'seeds': list(plan.seeds),
        'models': list(plan.models),
        'planners': list(plan.planners),
        'bags': {
            bag_label(r): {
                'path': str(r.path),
                'coverage': dataclasses.asdict(r.coverage),
                'clips_evaluated': len(r.clips),
                'findings': [str(f) for f in r.findings],
            }
            for r in plan.recordings
        },
        'remarks': list(lines),
        **summary.to_dict(),
    }
    path.write_text(json.dumps(content, indent=1) + '\n')


def _is_partial(plan: EvaluationPlan, summary: Summary) -> bool:
    return bool(summary.failed) or any(r.findings.faults for r in plan.recordings)


def _print(out: Path, plan: EvaluationPlan, summary: Summary, lines: Sequence[str]) -> None:
    print(table(summary))
    print()
    for recording in plan.recordings:
        c = recording.coverage
        print(
            f'{bag_label(recording)}: {c.fraction:.1%} of {c.steps} model steps usable, '
            f'{len(recording.clips)} clips of {c.clips_possible} a whole recording would give'
        )
        for finding in recording.findings:
            print(f'  {finding}')
    for reason, count in summary.failed.items():
        print(f'FAULT clips: {count} could not be evaluated: {reason}')
    for line in lines:
        print(line)
    print(f'\n{out / REPORT}\n{out / METRICS}\n{out / CLIPS}', file=sys.stdout)
