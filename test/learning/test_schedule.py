# SPDX-License-Identifier: Apache-2.0
"""Learning rate and weight decay over the iterations, against numbers worked out by hand."""

import pytest
import torch
from torch import nn

from jepa_wm_ros.learning.optimise import optimise
from jepa_wm_ros.learning.schedule import learning_rate, weight_decay
from jepa_wm_ros.learning.settings import StageSettings, TrainingError


def stage(**changes):
    return StageSettings(**{'iterations': 100, 'warmup': 10, 'learning_rate': 2.0} | changes)


def test_cosine_warms_up_and_falls_to_zero():
    s = stage()
    told = [learning_rate(i, s) for i in (0, 9, 10, 55, 100)]
    assert told == pytest.approx([0.2, 2.0, 2.0, 1.0, 0.0], abs=1e-9)


def test_the_published_constant_rate():
    s = stage(schedule='constant', warmup=0)
    assert [learning_rate(i, s) for i in (0, 50, 99)] == [2.0, 2.0, 2.0]


def test_the_published_rate_of_vjepa2_ac_warms_up_holds_and_falls_at_the_end():
    s = stage(schedule='hold', learning_rate=4.25e-4, warmup_from=7.5e-5 / 4.25e-4, anneal=15)
    assert learning_rate(0, s) == pytest.approx(7.5e-5 + 0.1 * (4.25e-4 - 7.5e-5))
    assert learning_rate(9, s) == learning_rate(85, s) == pytest.approx(4.25e-4)
    assert learning_rate(99, s) == pytest.approx(4.25e-4 / 15)
    assert learning_rate(92, s) == pytest.approx(4.25e-4 * 8 / 15)


def test_the_weight_decay_grows_along_a_half_cosine_where_it_has_an_end():
    s = stage(weight_decay=1e-7, final_weight_decay=1e-6)
    assert weight_decay(0, s) == pytest.approx(1e-7)
    assert weight_decay(50, s) == pytest.approx(5.5e-7)
    assert weight_decay(100, s) == pytest.approx(1e-6)
    assert weight_decay(50, stage(weight_decay=0.04)) == 0.04


@pytest.mark.parametrize(
    'wrong', [{'schedule': 'step'}, {'schedule': 'hold'}, {'warmup_from': 1.5}, {'accumulate': 0}]
)
def test_what_no_schedule_can_be_is_refused(wrong):
    with pytest.raises(TrainingError):
        stage(**wrong)


def test_parts_of_a_step_make_the_step_of_the_whole(tmp_path):
    """Two parts of four draws lead where one of eight leads."""

    def run(name, **changes):
        x = nn.Linear(1, 1)
        nn.init.ones_(x.weight)
        nn.init.ones_(x.bias)
        settings = stage(iterations=5, learning_rate=0.1, clip=0.0, **changes)

        def losses(draws):
            seen = torch.rand(settings.batch, 1, generator=draws)
            return {'square': (0.5, (x(seen) - 3).square().mean())}

        optimise(x, losses, settings, seed=1, checkpoint=tmp_path / name, title='', quiet=True)
        return x.weight.item(), x.bias.item()

    whole, parts = run('a.pt', batch=8), run('b.pt', batch=4, accumulate=2)
    assert parts == pytest.approx(whole, rel=1e-5) and whole[0] != 1.0
