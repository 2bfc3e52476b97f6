# SPDX-License-Identifier: Apache-2.0
"""What was found out about camera, model and planner, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jepa_wm_ros.evaluation.fit.camera import DIRECTIONS, PREDICTS, CameraVerdict, Confusion
from jepa_wm_ros.evaluation.fit.diagnosis import Answer, Grade
from jepa_wm_ros.evaluation.fit.views import AS_IT_IS, Cause, View

_WORDS = {Grade.GOOD: 'good', Grade.POOR: 'POOR', Grade.BAD: 'BAD'}


def camera_report(verdict: CameraVerdict) -> str:
    """The table of axes, the guesses that were tried, and what to do."""
    guess = '' if verdict.cause in (Cause.NOTHING, Cause.CAMERA, Cause.STILL) else verdict.view.name
    return '\n'.join(
        [
            f'What a step looks like to the model, of {verdict.steps} steps (rows: the step '
            'that was taken; numbers: likeness to a step in each direction; *: the greatest)',
            _table(verdict.confusion),
            *_confused(verdict.confusion),
            '',
            'Error of the prediction (1.00: no better than "nothing changes"; below '
            f'{PREDICTS:.2f} the model understands what it sees) if the picture or frame is',
            *_guesses(verdict.shares),
            '',
            f'verdict: {verdict.cause.said}{f" ({guess})" if guess else ""}',
            f'advice: {verdict.cause.advice}',
        ]
    )


def _table(confusion: Confusion) -> str:
    lines = ['      ' + ''.join(f'{direction:>7}' for direction in DIRECTIONS)]
    for direction, row in zip(DIRECTIONS, confusion.similarity, strict=True):
        if not np.isnan(row).any():
            cells = (f'{"*" * int(k == row.argmax())}{value:.2f}' for k, value in enumerate(row))
            lines.append(f'  {direction}  ' + ''.join(f'{cell:>7}' for cell in cells))
    return '\n'.join(lines) if len(lines) > 1 else '  no step went along one axis'


def _confused(confusion: Confusion) -> list[str]:
    wrong = [
        f'{direction} looks like {seen}'
        for direction in DIRECTIONS
        if (seen := confusion.seen_as(direction)) not in ('', direction)
    ]
    return [f'  {", ".join(wrong)}'] if wrong else []


def _guesses(shares: dict[View, float]) -> list[str]:
    best = sorted(shares, key=lambda view: (view != AS_IT_IS, shares[view]))
    return [f'  {shares[view]:6.2f}  {view.name}' for view in best]


def diagnosis_report(answers: Sequence[Answer]) -> str:
    """Each question with its answer, and with what to do unless it is a good one."""
    lines = []
    for answer in answers:
        lines.append(f'{_WORDS[answer.grade]:<5} {answer.question} {answer.said}')
        if answer.grade is not Grade.GOOD:
            lines.append(f'      {answer.advice}')
    return '\n'.join(lines)
