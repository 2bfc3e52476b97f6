# SPDX-License-Identifier: Apache-2.0
"""The table of closed-loop trials: how near each policy came, as it stopped and after all steps."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.evaluation.closed_loop.trials import Trial, per_plan

NEAR_CM, NEARER_CM = 4.0, 2.5


def summarise(name: str, trials: list[Trial]) -> dict[str, float | str]:
    """A row of the table: success, median and 90 % quantile, with the stopping rule and without;
    medians of what a plan took, NaN where nothing was searched.
    """
    row: dict[str, float | str] = {'policy': name, 'episodes': len(trials)}
    for suffix, errors in (
        ('stop', [t.at_stop for t in trials]),
        ('end', [t.final for t in trials]),
    ):
        cm = 100 * np.array(errors)
        row |= {
            f'within_4cm_{suffix}': float((cm <= NEAR_CM).mean()),
            f'within_2.5cm_{suffix}': float((cm <= NEARER_CM).mean()),
            f'median_cm_{suffix}': float(np.median(cm)),
            f'p90_cm_{suffix}': float(np.quantile(cm, 0.9)),
        }
    row['within_4cm_ever'] = float(np.mean([100 * min(t.errors) <= NEAR_CM for t in trials]))
    row['stopped'] = float(np.mean([t.code is FaultCode.SUCCEEDED for t in trials]))
    row['steps'] = float(np.median([t.stop for t in trials]))
    row['plan_evaluations'], row['plan_ms'] = per_plan(trials)
    return row


def spread(rows: list[dict]) -> list[dict]:
    """For each planner that several models were tried with, a row of their means, with the standard
    deviations (of n - 1) as `..._sd`. A model's row is called 'MODEL PLANNER'.
    """
    planners: dict[str, list[dict]] = {}
    for row in rows:
        if math.isfinite(row['plan_ms']):
            planners.setdefault(row['policy'].rpartition(' ')[2], []).append(row)
    found = []
    for planner, of_models in planners.items():
        if len(of_models) < 2:
            continue
        mean: dict = {'policy': f'mean of {len(of_models)} models, {planner}'}
        for name in (name for name in of_models[0] if name != 'policy'):
            values = [row[name] for row in of_models]
            mean |= {name: float(np.mean(values)), f'{name}_sd': float(np.std(values, ddof=1))}
        found.append(mean)
    return found


def table(rows: list[dict]) -> str:
    """The rows as text; `stop` columns are with the stopping rule, `end` after all steps; `ever` is
    within 4 cm at any step, which says more than an arm has of it. `per plan` are candidates
    scored, a gradient counted as one, and milliseconds.
    """
    lines = [
        f'{"":<32}|{"with the stopping rule":^44}|{"after all steps":^38}|{"per plan":^20}',
        f'{"":<32}|{"<=4cm":>7}{"<=2.5cm":>9}{"median":>8}{"p90":>7}{"steps":>6}{"stopped":>7}'
        f'|{"<=4cm":>7}{"<=2.5cm":>9}{"median":>8}{"p90":>7}{"ever":>7}|{"evaluations":>12}{"ms":>8}',
    ]
    for r in rows:
        lines.append(
            f'{r["policy"]:<32}|'
            f'{r["within_4cm_stop"]:>7.0%}{r["within_2.5cm_stop"]:>9.0%}'
            f'{r["median_cm_stop"]:>8.2f}{r["p90_cm_stop"]:>7.2f}{r["steps"]:>6.0f}'
            f'{r["stopped"]:>7.0%}|'
            f'{r["within_4cm_end"]:>7.0%}{r["within_2.5cm_end"]:>9.0%}'
            f'{r["median_cm_end"]:>8.2f}{r["p90_cm_end"]:>7.2f}{r["within_4cm_ever"]:>7.0%}|'
            f'{_whole(r["plan_evaluations"]):>12}{_whole(r["plan_ms"]):>8}'
        )
        if 'plan_ms_sd' in r:
            lines.append(
                f'{"  and their standard deviation":<32}|'
                f'{r["within_4cm_stop_sd"]:>7.1%}{r["within_2.5cm_stop_sd"]:>9.1%}'
                f'{r["median_cm_stop_sd"]:>8.2f}{r["p90_cm_stop_sd"]:>7.2f}{"":>13}|'
                f'{r["within_4cm_end_sd"]:>7.1%}{r["within_2.5cm_end_sd"]:>9.1%}'
                f'{r["median_cm_end_sd"]:>8.2f}{r["p90_cm_end_sd"]:>7.2f}'
            )
    return '\n'.join(lines)


def _whole(number: float) -> str:
    return f'{number:.0f}' if math.isfinite(number) else '-'


def faults(name: str, trials: list[Trial]) -> str:
    """What ended trials that neither reached their goal nor a limit; empty when nothing did."""
    counts = Counter(t.code.name for t in trials if t.code.is_fault)
    return f'{name}: ' + ', '.join(f'{n} x {code}' for code, n in counts.items()) if counts else ''
