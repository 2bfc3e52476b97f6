# SPDX-License-Identifier: Apache-2.0
"""The questions of arXiv 2512.24497, each as what is varied about one base training and planner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PLANNERS = ('cem', 'nevergrad', 'mppi', 'icem', 'adam', 'gd')


@dataclass(frozen=True, slots=True)
class Variant:
    """One bar of a figure.

    training    values in place of the base configuration's, by dotted keys ('predictor.depth' is
                the model's, 'stage.rollout_steps' the predictor stage's)
    planning    arguments of evaluation.worlds.profile_for
    """

    name: str
    training: Mapping[str, Any] = field(default_factory=dict)
    planning: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, where the paper answers it, and the answer in words."""

    number: int
    text: str
    figure: str
    answer: str
    variants: tuple[Variant, ...]


def _each(key: str, values: tuple, name: str = '{}', **more: Any) -> tuple[Variant, ...]:
    return tuple(Variant(name.format(value), {key: value, **more}) for value in values)


QUESTIONS = {
    question.number: question
    for question in (
        Question(
            1,
            'Which planner, and which distance?',
            'Figure 3 left, Table S5',
            'CEM with L2 is best over all; gradients fail where costs have valleys',
            tuple(
                Variant(
                    f'{planner} {kind}', planning={'planner': planner, 'objective': f'last {kind}'}
                )
                for planner in PLANNERS
                for kind in ('L1', 'L2')
            ),
        ),
        Question(
            2,
            'How many steps of rollout in the loss?',
            'Figure 3 right',
            'two in simulation, up to six on real data',
            tuple(
                Variant(f'{k} steps', {'stage.rollout_steps': k, 'stage.window': max(4, k + 2)})
                for k in (1, 2, 3, 6)
            ),
        ),
        Question(
            3,
            'With or without proprioception?',
            'Figure 4 left',
            'with it is better',
            (
                Variant('with'),
                Variant('without', {'predictor.proprio': 'none', 'predictor.proprio_features': 0}),
            ),
        ),
        Question(
            5,
            'How many frames of context?',
            'Figure 5 left',
            'two or three; more hurts',
            _each('context_window', (1, 2, 3, 5), 'W = {}', **{'stage.window': 7}),
        ),
        Question(
            6,
            'How wide a predictor?',
            'Figure 5 right',
            'larger helps on real data and not in simulation',
            _each('predictor.width', (48, 112, 240)),
        ),
        Question(
            7,
            'How is the predictor told of action and place?',
            'Figure 6 left',
            'AdaLN with RoPE is best on average',
            tuple(
                Variant(
                    f'{conditioning} {position}',
                    {
                        'predictor.conditioning': conditioning,
                        'predictor.position': position,
                        **({'predictor.action_features': 16} if conditioning == 'feature' else {}),
                    },
                )
                for conditioning in ('adaln', 'feature', 'sequence')
                for position in ('rope', 'sincos', 'learned')
            ),
        ),
        Question(
            8,
            'How deep a predictor?',
            'Figure 6 right',
            'six layers in simulation, twelve on real data',
            _each('predictor.depth', (3, 6, 12), '{} layers'),
        ),
    )
}
