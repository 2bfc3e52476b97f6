# SPDX-License-Identifier: Apache-2.0
"""How long runs will take, by those that have ended in the same folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import mean
from typing import Any

from jepa_wm_ros.findings.questions import Question
from jepa_wm_ros.findings.runs import Plan, Run


def ended(plan: Plan) -> list[dict[str, Any]]:
    """Figures of the runs that have ended, of the same world, length and number of episodes."""
    told = [json.loads(path.read_text()) for path in (plan.out / 'results').glob('*.json')]
    return [
        one
        for one in told
        if one['made_of']['world'] == plan.world
        and one['made_of']['iterations'] == plan.iterations
        and len(one['ends']) == plan.episodes
    ]


def expected_seconds(
    question: Question, missing: Sequence[Run], known: Sequence[dict[str, Any]]
) -> float | None:
    """Seconds that runs of a question will take together; None where none has ended to tell by.

    A run takes as long as those of its variant with other seeds did on the average; where there
    are none, as those of its question; where there are none either, as all that have ended.
    """
    if not known:
        return None
    seconds: dict[str, list[float]] = {}
    for one in known:
        seconds.setdefault(one['variant'], []).append(one['seconds'])
    asked = {variant.name for variant in question.variants}
    of_question = [one['seconds'] for one in known if one['variant'] in asked]
    others = of_question or [one['seconds'] for one in known]
    return sum(mean(seconds.get(run.variant.name, others)) for run in missing)


def in_words(seconds: float | None) -> str:
    """A duration as people say it."""
    if seconds is None:
        return 'how long is not known yet'
    for unit, name in ((3600, 'h'), (60, 'min')):
        if seconds >= unit:
            return f'about {seconds / unit:.1f} {name}'
    return f'about {seconds:.0f} s'
