# SPDX-License-Identifier: Apache-2.0
"""Which weights a stage ends with."""

import pytest
import torch
from torch import nn

from jepa_wm_ros.learning.kept import Kept
from jepa_wm_ros.learning.optimise import optimise
from jepa_wm_ros.learning.settings import StageSettings, TrainingError


class Climbing(nn.Module):
    """One number, which its loss pushes up by the learning rate of each step."""

    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.zeros(1))
        self.register_buffer('buffer', torch.zeros(1))

    def set(self, value):
        with torch.no_grad():
            self.x.fill_(value)


def test_the_average_is_the_one_by_hand():
    module = Climbing()
    kept = Kept(module, ema=0.75)
    for value in (1.0, 2.0):
        module.set(value)
        kept.step()
    average = 0.75 * (0.25 * 1.0) + 0.25 * 2.0
    with kept.averaged():
        assert module.x.item() == pytest.approx(average)
    assert module.x.item() == 2.0
    kept.end()
    assert module.x.item() == pytest.approx(average)


def test_without_an_average_the_last_weights_are_kept():
    module = Climbing()
    kept = Kept(module)
    module.set(3.0)
    kept.step()
    with kept.averaged():
        assert module.x.item() == 3.0
    kept.end()
    assert module.x.item() == 3.0 and not kept.given_up


def test_the_best_round_is_kept_and_fruitless_ones_end_the_run():
    module = Climbing()
    kept = Kept(module, score=lambda told: (told['reached'],), patience=2)
    for value, reached in ((1.0, 0.2), (2.0, 0.9), (3.0, 0.9)):
        module.set(value)
        kept.judge({'reached': reached})
        assert not kept.given_up
    kept.judge({'reached': 0.1})
    assert kept.given_up
    kept.end()
    assert module.x.item() == 2.0


def run(module, path, iterations, stop_after=None, **options):
    settings = StageSettings(
        iterations=iterations, warmup=0, learning_rate=0.1, weight_decay=0.0, ema=0.5
    )
    rounds = []

    def losses(_):
        if stop_after is not None and len(rounds) >= stop_after:
            raise KeyboardInterrupt
        rounds.append(1)
        return {'up': (1.0, -module.x.sum())}

    measured = []

    def validate():
        measured.append(module.x.item())
        return {'x': module.x.item()}

    optimise(
        module,
        losses,
        settings,
        seed=1,
        checkpoint=path,
        title='t',
        validate=validate,
        every=2,
        quiet=True,
        **options,
    )
    return measured


def test_average_and_best_round_survive_an_interruption(tmp_path):
    def best_below(told):
        return (-abs(told['x'] - 0.25),)

    whole, cut = Climbing(), Climbing()
    run(whole, tmp_path / 'a' / 'whole.pt', 10, score=best_below)
    with pytest.raises(KeyboardInterrupt):
        run(cut, tmp_path / 'b' / 'cut.pt', 10, stop_after=7, score=best_below)
    resumed = Climbing()
    run(resumed, tmp_path / 'b' / 'cut.pt', 10, score=best_below)
    assert torch.equal(whole.x, resumed.x) and 0 < whole.x.item() < 0.6


def test_a_run_ends_when_nothing_gets_better_and_its_curves_are_there_for_tensorboard(tmp_path):
    module = Climbing()
    measured = run(module, tmp_path / 'c.pt', 100, score=lambda told: (-told['x'],), patience=3)
    assert len(measured) == 4 and module.x.item() == pytest.approx(measured[0])
    (events,) = (tmp_path / 'tensorboard' / 't').iterdir()
    assert events.stat().st_size > 200


@pytest.mark.parametrize('ema', [-0.1, 1.0])
def test_an_average_that_never_moves_is_refused(ema):
    with pytest.raises(TrainingError, match='ema'):
        StageSettings(iterations=1, ema=ema)
