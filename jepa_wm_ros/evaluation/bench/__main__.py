# SPDX-License-Identifier: Apache-2.0
"""make bench: what planning costs on this machine, as a table and out/bench.json.

    python -m jepa_wm_ros.evaluation.bench [--device cuda] [--only machine,modes,planners,service]

Random weights stand in for models whose files are not here: speed and the difference between
modes do not depend on what a model has learned. Every line of bench.json is
{name, value, unit, context}.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.evaluation.bench.modes import SIZES, measure_modes
from jepa_wm_ros.evaluation.bench.planners import compare_planners, plan_in_modes
from jepa_wm_ros.evaluation.bench.problems import Problem, random_problems, shipped_problems
from jepa_wm_ros.evaluation.bench.result import BenchError, Figure, matrix_rates

PARTS = ('machine', 'modes', 'planners', 'service')
SERVICE_SECONDS = 300
MODE_PROBLEMS = 10
GOLDEN_WIDTH, NARROWED_WIDTH = 64, 128  # the second is large enough for fast mode's numbers


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog='bench', description=__doc__.splitlines()[0])
    p.add_argument('--out', type=Path, default=Path('out/bench.json'), help='where the figures go')
    p.add_argument('--device', default='cpu', help='torch device (default cpu)')
    p.add_argument('--threads', type=int, default=1, help='CPU threads (default 1)')
    p.add_argument(
        '--only',
        type=lambda text: text.split(','),
        default=list(PARTS),
        metavar='PARTS',
        help=f'comma-separated parts of {", ".join(PARTS)}',
    )
    p.add_argument(
        '--dims',
        type=lambda text: text.split(','),
        default=list(SIZES),
        metavar='MODELS',
        help=f'models whose sizes are timed: {", ".join(SIZES)}',
    )
    p.add_argument(
        '--samples',
        type=int,
        default=0,
        help='candidates per timed call (default: 4 '
        "to 16 by model on a CPU, the paper's 300 on a GPU)",
    )
    p.add_argument('--repeats', type=int, default=3, help='interleaved rounds of timing')
    p.add_argument('--problems', type=int, default=50, help='problems per planner and model')
    p.add_argument('--model', default='jepa_wm_cell', help='shipped model, name or file')
    p.add_argument('--weights-dir', help='folder of weight files')
    return p


@exit_status('interrupted')
def main(args: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the file. Returns the exit status."""
    options = parser().parse_args(args)
    torch.set_num_threads(options.threads)
    figures = run(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([asdict(f) for f in figures], indent=1) + '\n')
    print(table(figures))
    print(f'written to {options.out}')
    return 0


def run(options: argparse.Namespace) -> list[Figure]:
    """All figures of the parts asked for."""
    for name, given, valid in (('--only', options.only, PARTS), ('--dims', options.dims, SIZES)):
        if unknown := [part for part in given if part not in valid]:
            raise BenchError(f'{name} {",".join(unknown)}: choose from {", ".join(valid)}')
    device = torch.device(options.device)
    rates = matrix_rates(device)
    figures = rates.figures() if 'machine' in options.only else []
    if 'modes' in options.only:
        for name in options.dims:
            figures += measure_modes(name, device, rates, options.samples, options.repeats)
    for part, measure, count, width, label in (
        (
            'modes',
            plan_in_modes,
            min(options.problems, MODE_PROBLEMS),
            NARROWED_WIDTH,
            'small random model',
        ),
        ('planners', compare_planners, options.problems, GOLDEN_WIDTH, 'golden size'),
    ):
        if part in options.only:
            figures += measure(label, random_problems(count, device, width), count)
            if (shipped := _shipped_problems(options, count, device)) is not None:
                figures += measure(options.model, shipped, count)
    if 'service' in options.only:
        figures += service(options.model)
    return figures


def _shipped_problems(
    options: argparse.Namespace, count: int, device: torch.device
) -> Iterator[Problem] | None:
    problems = shipped_problems(options.model, options.weights_dir, count, device)
    if problems is None:
        note(f'problems of {options.model}: skipped, its weights are not here')
    return problems


def service(model: str) -> list[Figure]:
    """Cost of the score service over the in-process call, measured by ros/bench_score.py."""
    if importlib.util.find_spec('rclpy') is None:
        note('score service: skipped, rclpy is not installed')
        return []
    command = [sys.executable, '-m', 'jepa_wm_ros.ros.bench_score', '--model', model]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SERVICE_SECONDS)
    except subprocess.TimeoutExpired:
        note(f'score service: skipped, no answer within {SERVICE_SECONDS} s')
        return []
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
        note(f'score service: skipped, {reason}')
        return []
    measured = json.loads(done.stdout.strip().splitlines()[-1])
    context = f'{model}, 300 x 3 x 7 actions, medians'
    return [
        Figure(f'score service {name.removesuffix("_ms")}', value, 'ms', context)
        for name, value in measured.items()
    ]


def table(figures: list[Figure]) -> str:
    """The figures as aligned text."""
    rows = [(f.name, f'{f.value:.4g}', f.unit, f.context) for f in figures]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    return '\n'.join(
        f'{name:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {context}'
        for name, value, unit, context in rows
    )


def note(text: str) -> None:
    """A line for the person watching, beside the progress bar."""
    tqdm.write(text, file=sys.stderr)


if __name__ == '__main__':
    sys.exit(main())
