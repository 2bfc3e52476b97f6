# SPDX-License-Identifier: Apache-2.0
"""The model's session without ROS: the objective asked for counts, and a device that fails is told
by its code.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jepa_wm_ros.control.session import MOST_SHOWN, ModelSession
from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.world_model import build
from jepa_wm_ros.world_model.files.registry import cell_spec
from jepa_wm_ros.world_model.picture_decoder import PictureDecoder

HERE = np.array([0.5, 0.1, 0.3, np.pi, 0.0, 0.0, 0.2])
ACTIONS = np.random.default_rng(0).normal(0, 0.05, (4, 3, 7)).astype(np.float32)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)


@pytest.fixture
def session():
    statistics = {
        f'{what}_{name}': (value,) * 7
        for what in ('action', 'proprio')
        for name, value in (('mean', 0.0), ('std', 0.5))
    }
    spec = cell_spec(depth=1, predictor_width=64, heads=4).replace(**statistics)
    return ModelSession(build(spec, seed=0).freeze())


def test_distance_and_costs_are_those_of_the_objective_of_each_context(session):
    (goal,), _ = session.prepare_goals([picture(1)], None)
    model = session.model
    here, there = (
        model.encode(model.prepare_images(picture(seed)[None]), torch.zeros(1, 7)).visual
        for seed in (0, 1)
    )
    for kind, norm in (('L2', torch.square), ('L1', torch.abs)):
        frozen = session.freeze(picture(0), HERE, goal, Objective(kind))
        assert frozen.distance == pytest.approx(float(norm(here - there).mean()), rel=1e-5)
        last = session.score(frozen.id, ACTIONS, False, False).costs
        summed = session.freeze(picture(0), HERE, goal, Objective(kind, sum_all=True))
        first = session.score(summed.id, ACTIONS[:, :1], False, False).costs
        assert (first > frozen.distance).all() and last.shape == (4,)


def test_what_is_measured_at_a_goal_counts_by_alpha(session):
    """Of a model that integrates the pose: how far it ends from the goal's is known by hand."""
    spec = session.model.spec
    predictor = replace(
        spec.predictor, conditioning='sequence', proprio='token', proprio_features=0
    )
    spec = spec.replace(predictor=predictor, family='vjepa2_ac', proprio_rollout='integrate')
    session = ModelSession(build(spec, seed=0).freeze())
    here = HERE * (HERE < 3)  # angles that do not jump
    there = here + [0.1, 0.0, -0.2, 0.0, 0.0, 0.0, 0.0]
    ids, _ = session.prepare_goals([picture(1)] * 2, None, states=[there, here])
    ids += session.prepare_goals([picture(1)], None)[0]
    moves = np.zeros((2, 3, 7), np.float32)
    moves[1, :2, 0] = 0.05  # all the way in x, and z stays

    def costs(goal, alpha, mode):
        frozen = session.freeze(picture(0), here, goal, Objective(alpha=alpha), mode)
        distances.add(frozen.distance)
        return session.score(frozen.id, moves, False, False).costs

    distances, std = set(), 0.5
    away = [(0.1**2 + 0.2**2) / std**2 / 7, 0.2**2 / std**2 / 7]
    for mode in ('plain', 'exact'):
        alone = costs(ids[2], 0.1, mode)
        np.testing.assert_allclose(
            costs(ids[0], 0.1, mode) - alone, np.multiply(0.1, away), rtol=1e-3
        )
        np.testing.assert_allclose(
            costs(ids[1], 0.1, mode) - alone, [0, 0.1 * 0.1**2 / std**2 / 7], atol=1e-6
        )
        assert (costs(ids[0], 0.0, mode) == alone).all() and (
            costs(ids[2], 0.0, mode) == alone
        ).all()
    assert len(distances) == 1, 'a goal is ended by what is seen'


def test_a_model_that_hears_no_state_goes_by_the_picture(session):
    spec = session.model.spec
    predictor = replace(spec.predictor, proprio='none', proprio_features=0)
    session = ModelSession(build(spec.replace(predictor=predictor), seed=0).freeze())
    goals = [session.prepare_goals([picture(1)], None, states=s)[0][0] for s in (None, [HERE])]
    costs = []
    for goal in goals:
        frozen = session.freeze(picture(0), HERE, goal, Objective(alpha=9.0))
        costs.append(session.score(frozen.id, ACTIONS, False, False).costs)
    np.testing.assert_array_equal(*costs)


def test_the_same_model_scores_in_whatever_mode_a_context_asks_for(session):
    (goal,), _ = session.prepare_goals([picture(1)], None)
    costs = []
    for mode in ('plain', 'exact'):
        frozen = session.freeze(picture(0), HERE, goal, mode=mode)
        costs.append(session.score(frozen.id, ACTIONS, False, False).costs)
        assert session.contexts[frozen.id].mode == mode
    np.testing.assert_allclose(*costs, rtol=1e-4)


def cuda_error(code):
    error = torch.AcceleratorError('CUDA error: something\nand a long story')
    error.error_code = code
    return error


def cpu_allocator():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    return caught.value


@pytest.mark.parametrize(
    ('error', 'code'),
    [
        (lambda: torch.OutOfMemoryError('CUDA out of memory'), FaultCode.OUT_OF_MEMORY),
        (cpu_allocator, FaultCode.OUT_OF_MEMORY),
        (MemoryError, FaultCode.OUT_OF_MEMORY),
        (lambda: cuda_error(2), FaultCode.OUT_OF_MEMORY),
        (lambda: cuda_error(719), FaultCode.DEVICE_LOST),
    ],
)
def test_a_device_that_fails_has_its_code_whatever_was_asked_of_it(session, error, code):
    (goal,), _ = session.prepare_goals([picture(1)], None)
    context = session.freeze(picture(0), HERE, goal).id
    error = error()

    def fail(*_):
        raise error

    session.model.encoder.stem.forward = fail
    session.model.predictor.embed = fail
    for ask in (
        lambda: session.prepare_goals([picture(1)], None),
        lambda: session.freeze(picture(0), HERE, goal),
        lambda: session.score(context, ACTIONS, False, False),
    ):
        with pytest.raises(JepaWmError) as caught:
            ask()
        assert caught.value.code == code and '\n' not in str(caught.value)


def test_words_alone_are_no_lack_of_memory(session):
    def fail(*_):
        raise RuntimeError('the cache ran out of memory slots')

    session.model.encoder.stem.forward = fail
    with pytest.raises(RuntimeError, match='slots') as caught:
        session.prepare_goals([picture(1)], None)
    assert not isinstance(caught.value, JepaWmError)


def test_a_picture_looked_at_is_encoded_once_and_freezes_to_the_same(session):
    [goal], _ = session.prepare_goals([picture(0)], None)

    def frozen(seen, stamp=None):
        context = session.freeze(picture(seen), HERE, goal, stamp=stamp)
        return context.distance, session.score(context.id, ACTIONS, False, False).costs

    known, other = frozen(1), frozen(2)
    encoded = []
    session.model.encoder.stem.register_forward_hook(lambda *_: encoded.append(1))
    session.look(7, lambda: picture(1))
    for (distance, costs), truth in ((frozen(1, 7), known), (frozen(2, 8), other)):
        assert distance == truth[0] and np.array_equal(costs, truth[1])
    assert len(encoded) == 2


def test_what_is_wrong_with_a_picture_looked_at_is_left_for_freeze_to_say(session):
    def unreadable():
        raise Fault(FaultCode.UNSUPPORTED_ENCODING, 'no picture')

    session.look(7, unreadable)
    assert session.ahead is None


def test_what_is_imagined_of_the_first_candidate_is_decoded_where_there_is_a_decoder(session):
    [goal], _ = session.prepare_goals([picture(1)], None)
    context = session.freeze(picture(0), HERE, goal).id
    assert session.score(context, ACTIONS, False, True).imagined is None
    model = session.model
    model.decoder = PictureDecoder(model.spec).requires_grad_(False)
    with torch.no_grad():
        now = model.encode(model.prepare_images(picture(0)[None]), torch.from_numpy(HERE)[None])
        taken = model.normalize_actions(torch.from_numpy(ACTIONS[0])[:, None])
        frames = model.decode(model.unroll(now, taken)).numpy()
    imagined = session.score(context, ACTIONS, False, True).imagined
    assert imagined.shape == (96, 4 * 96, 3) and imagined.dtype == np.uint8
    for step, frame in enumerate(frames):
        shown = imagined[:, 96 * step : 96 * step + 96].astype(int)
        assert np.abs(shown - frame).max() <= 1
    assert session.score(context, ACTIONS, True, True).imagined is not None
    long = session.score(context, np.tile(ACTIONS[:1], (1, 8, 1)), False, True).imagined
    assert long.shape == (96, MOST_SHOWN * 96, 3), 'as many as can be seen'
    with torch.no_grad():
        taken = model.normalize_actions(torch.from_numpy(np.tile(ACTIONS[0], (8, 1)))[:, None])
        frames = model.decode(model.unroll(now, taken)).numpy()
    assert np.abs(long[:, -96:].astype(int) - frames[-1]).max() <= 1, 'to the end'
    assert session.score(context, ACTIONS, False, False).imagined is None
