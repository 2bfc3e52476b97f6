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
    published   name of a published model: its family's loss, schedule and predictor, see recipes.py
    encoder     one of frozen.ENCODERS, not trained here; '': the base's, trained on the task
    """

    name: str
    training: Mapping[str, Any] = field(default_factory=dict)
    planning: Mapping[str, Any] = field(default_factory=dict)
    published: str = ''
    encoder: str = ''


@dataclass(frozen=True, slots=True)
class Question:
    """A question, where the paper answers it, and the answer in words.

    claims    what the answer says about variants of simulated tasks: (which is above, which below)
    """

    number: int
    text: str
    figure: str
    answer: str
    variants: tuple[Variant, ...]
    claims: tuple[tuple[str, str], ...]

    def paper(self, name: str) -> str:
        """What the paper says of a variant, in words; nothing where it is not in a claim."""
        above = [worse for better, worse in self.claims if better == name]
        below = [better for better, worse in self.claims if worse == name]
        told = [f'{word} {", ".join(x)}' for word, x in (('above', above), ('below', below)) if x]
        return '; '.join(told)


def _above(better: str, *worse: str) -> tuple[tuple[str, str], ...]:
    return tuple((better, one) for one in worse)


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
            _above('cem L2', 'cem L1', 'adam L2', 'gd L2'),
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
            _above('2 steps', '1 steps', '6 steps'),
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
            _above('with', 'without'),
        ),
        Question(
            4,
            'Which encoder?',
            'Figure 4 right',
            "DINO's are above V-JEPA's",
            (
                Variant('trained on the task'),
                Variant('EfficientNet-lite0', encoder='efficientnet_lite0'),
                Variant('EfficientNet-lite0, random', encoder='random'),
                Variant('DINOv2', encoder='dinov2'),
                Variant('DINOv3', encoder='dinov3'),
                Variant('V-JEPA', encoder='vjepa'),
                Variant('V-JEPA 2', encoder='vjepa2'),
            ),
            _above('DINOv2', 'V-JEPA', 'V-JEPA 2') + _above('DINOv3', 'V-JEPA', 'V-JEPA 2'),
        ),
        Question(
            5,
            'How many frames of context?',
            'Figure 5 left',
            'two or three; more hurts',
            _each('context_window', (1, 2, 3, 5), 'W = {}', **{'stage.window': 7}),
            _above('W = 2', 'W = 1', 'W = 5') + _above('W = 3', 'W = 1', 'W = 5'),
        ),
        Question(
            6,
            'How wide a predictor?',
            'Figure 5 right',
            'larger helps on real data and not in simulation',
            _each('predictor.width', (48, 112, 240), 'width {}'),
            _above('width 48', 'width 240'),
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
                        **({'predictor.max_frames': 8} if position == 'learned' else {}),
                    },
                )
                for conditioning in ('adaln', 'feature', 'sequence')
                for position in ('rope', 'sincos', 'learned')
            ),
            _above('adaln rope', 'feature rope', 'feature sincos', 'sequence rope'),
        ),
        Question(
            8,
            'How deep a predictor?',
            'Figure 6 right',
            'six layers in simulation, twelve on real data',
            _each('predictor.depth', (3, 6, 12), '{} layers'),
            _above('6 layers', '3 layers', '12 layers'),
        ),
        Question(
            9,
            'Which of the published world models, at one size and on one encoder?',
            'Table 1',
            'JEPA-WM is above both others, in navigation and in manipulation',
            (
                Variant('JEPA-WM', published='jepa_wm_wall'),
                Variant('DINO-WM', published='dino_wm_wall'),
                Variant('V-JEPA-2-AC', published='vjepa2_ac_droid'),
            ),
            _above('JEPA-WM', 'DINO-WM', 'V-JEPA-2-AC'),
        ),
    )
}
