# SPDX-License-Identifier: Apache-2.0
"""Plans over legs: a toy table with a thing on it, whose true dynamics are the cost's."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from jepa_wm_ros.actions import GRIPPER, POSITION
from jepa_wm_ros.control import chains, legs
from jepa_wm_ros.control.chains import LegsSettings
from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.control.legs import Legs, LegsCost, decider_of
from jepa_wm_ros.control.loop import Reach
from jepa_wm_ros.control.ports import Motion, MotionOutcome
from jepa_wm_ros.control.progress import Limits
from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.planning import Budget, SettingsError, load_profile
from jepa_wm_ros.planning.mpc import Mpc
from support.toy_cell import ToyCell

SETTINGS = LegsSettings(low=(0.36, -0.24, 0.03), high=(0.64, 0.24, 0.25), clear=0.1, turn=0.8)
START = np.array([0.45, -0.1, 0.2, 0.0])
HOLDS = 0.02  # m between hand and thing, at most, for a grasp
THING, PLACE = np.array([0.55, 0.15]), np.array([0.42, 0.02])


def moved(pose, thing, held, action):
    """What a step does: (pose (4,): x, y, z, closure; thing (2,); whether it is held)."""
    pose = pose.copy()
    stroke = action[GRIPPER]
    if stroke > 0.5:
        held = pose[2] < 0.04 and np.linalg.norm(pose[:2] - thing) < HOLDS
        pose[3] = 0.4 if held else 1.0
    elif stroke < -0.5:
        held, pose[3] = False, 0.0
    pose[:3] = pose[:3] + action[POSITION]
    return pose, pose[:2].copy() if held else thing, held


def pushed(pose, thing, held, action):
    """As `moved`, for a hand that pushes what lies in its way when it is low."""
    before, pose = pose[:2], pose.copy()
    pose[:3] = pose[:3] + action[POSITION]
    way = np.linalg.norm(pose[:2] - before)
    if pose[2] < 0.06 and way > 0:
        ahead, aside = (pose[:2] - before) / way, thing - before
        along = aside @ ahead
        if np.linalg.norm(aside - along * ahead) < 0.02 and 0 < along < way + 0.03:
            thing = thing + (way + 0.03 - along) * ahead
    return pose, thing, held


@dataclass
class Table(ToyCell):
    """Hand and thing; `believed` is where the cost takes the thing for, until it is held."""

    pose: np.ndarray = field(default_factory=lambda: np.array([0.45, -0.1, 0.2, math.pi, 0, 0, 0]))
    thing: np.ndarray = field(default_factory=THING.copy)
    believed: np.ndarray | None = None
    held: bool = False
    floor: float = 0.0  # below which no hand comes
    action_dim: int = 7
    how: Callable = moved  # steps change it

    def observe(self, goal_id, not_before):
        self.goal = None
        seen = super().observe(goal_id, not_before)
        return type(seen)(seen.context_id, seen.stamp, seen.pose, float(self(torch.zeros(1, 1, 7))))

    def __call__(self, actions):
        costs = []
        for steps in actions.double().numpy():
            pose = np.append(self.pose[:3], self.pose[GRIPPER])
            lies = self.thing if self.held or self.believed is None else self.believed
            thing, held = lies, self.held
            for action in steps:
                pose, thing, held = self.how(pose, thing, held, action)
            hand = np.linalg.norm(pose[:3] - [*PLACE, 0.1])
            costs.append(5 * np.linalg.norm(thing - PLACE) + hand + 0.05 * (pose[3] > 0))
        return torch.tensor(costs)

    def waypoints(self, seen, planned):
        path = [seen.pose]
        for action in planned:
            path.append(path[-1] + action)
        return np.array(path)

    def move(self, target, planned_from, gripper):
        step = target - self.pose
        step[GRIPPER] = (gripper > 0.5) * 1.0 - (self.pose[GRIPPER] > 0.3)
        self.targets.append(target.copy())
        self.grippers.append(gripper)
        seen, self.thing, self.held = self.how(
            np.append(self.pose[:3], self.pose[GRIPPER]), self.thing, self.held, step
        )
        self.pose = np.array([*seen[:2], max(seen[2], self.floor), math.pi, 0, 0, seen[3]])
        return Motion(MotionOutcome.DONE)


def reach(table, profile='one_picture', steps=80, gripper=True):
    policy = GripperPolicy(min_hold_steps=1, reopens=True) if gripper else None
    decider = decider_of(load_profile(profile))
    goals = GoalSequence(1, 'plan', 1e-3, steps)
    outcome = Reach(table, decider, policy, goals, Limits(200, 60.0)).run([0])
    return outcome, decider


def test_a_thing_out_of_reach_of_single_steps_is_fetched_put_down_and_left():
    table = Table(goals=[np.zeros(3)])
    outcome, _ = reach(table)
    assert outcome.code is FaultCode.SUCCEEDED and not table.held
    assert np.linalg.norm(table.thing - PLACE) < 0.01
    assert table.pose[GRIPPER] == 0.0 and np.linalg.norm(table.pose[:3] - [*PLACE, 0.1]) < 0.03


def test_single_steps_leave_it_behind():
    table = Table(goals=[np.zeros(3)])
    reach(table, 'grasp', steps=30)
    assert np.array_equal(table.thing, THING)


def test_a_low_hand_that_a_push_has_left_before_the_thing_goes_behind_it_again():
    low = np.array([0.5, 0.08, 0.05, math.pi, 0, 0, 0])  # between the thing and its place
    table = Table(goals=[np.zeros(3)], pose=low, how=pushed)
    reach(table, 'one_picture_push', gripper=False)
    assert np.linalg.norm(table.thing - PLACE) < 0.03
    pushing = [int(target[2] < 0.055) for target in table.targets]
    assert np.diff(pushing).clip(0).sum() == 1, (
        'goes on where a push has left it short of its place'
    )


@pytest.mark.parametrize('wrong', [0.025, -0.025])
def test_a_thing_that_a_push_has_missed_is_pushed_along_another_line(wrong):
    way = (PLACE - THING) / np.linalg.norm(PLACE - THING)
    believed = THING + wrong * np.array([-way[1], way[0]])
    table = Table(goals=[np.zeros(3)], believed=believed, how=pushed)
    reach(table, 'one_picture_push', gripper=False)
    assert np.linalg.norm(table.thing - THING) > 0.02, 'pushed'


def test_where_it_has_closed_on_nothing_it_does_not_close_again():
    table = Table(goals=[np.zeros(3)], believed=THING + [0.025, 0.0])
    outcome, decider = reach(table)
    changes = zip(table.targets, table.grippers, [0, *table.grippers], strict=False)
    closed_at = [target[:2] for target, now, before in changes if now > before]
    assert np.linalg.norm(closed_at[0] - table.believed) < 0.01, 'first where it was believed'
    assert np.linalg.norm(closed_at[1] - closed_at[0]) > 0.01
    assert not any(tried.held_up for tried in decider._tried)
    after = table.grippers.index(1.0) + 1
    assert table.grippers[after : after + 3] == [0.0] * 3, 'opens at once and goes up'
    assert table.targets[after + 2][2] > table.targets[after][2] + 0.05


def test_a_hand_that_is_held_up_on_its_way_down_goes_up_and_looks_elsewhere():
    table = Table(goals=[np.zeros(3)], floor=0.06)
    _, decider = reach(table, steps=25)
    assert max(table.grippers) == 0.0, 'nothing to close on'
    first = decider._tried[0]
    assert first.held_up and np.linalg.norm(first.hand[:2] - THING) < 0.02
    lowest = int(np.argmin([t[2] for t in table.targets]))
    assert table.targets[lowest][2] > 0.06 - 2 * legs.GENTLY, 'hardly presses'
    assert table.targets[lowest + 1][2] > table.targets[lowest][2]


class Solid(Table):
    """Whose thing, 5 cm wide, an open hand meets with a finger, 4 cm from its middle along y."""

    def move(self, target, planned_from, gripper):
        away = abs(target[:2] - self.thing)
        meets = away[0] < 0.03 and 0.015 < away[1] < 0.065
        self.floor = 0.055 if meets and not self.held and gripper < 0.5 else 0.0
        return super().move(target, planned_from, gripper)


@pytest.mark.parametrize('wrong', [0.022, -0.022, 0.018])
def test_a_finger_that_lands_on_the_thing_tells_on_which_line_it_is(wrong):
    table = Solid(goals=[np.zeros(3)], believed=THING + [0.0, wrong])
    outcome, _ = reach(table)
    assert outcome.code is FaultCode.SUCCEEDED
    assert np.linalg.norm(table.thing - PLACE) < 0.04


def test_a_thing_that_is_held_is_no_longer_where_it_was_looked_for():
    decider, table = decider_of(load_profile('one_picture')), Table(goals=[np.zeros(3)])
    decider._tried = [legs.Tried(START, held_up=False)]
    for strokes, closure, known in (((1,), 0.0, 1), ((-1,), 0.4, 0)):
        table.pose[GRIPPER] = closure
        decider.plan(table, steps_left=None, budget=Budget(), strokes=strokes, pose=table.pose)
        assert len(decider._tried) == known


@pytest.mark.parametrize(
    ('held_up', 'along', 'across', 'ruled_out'),
    [
        (True, 0.0, 0.0, True),  # between the fingers
        (True, 0.025, 0.0, False),
        (True, -0.025, 0.01, False),
        (True, 0.07, 0.0, True),  # beyond them
        (True, 0.025, 0.05, True),  # beside them
        (False, 0.0, 0.0, True),
        (False, 0.0, 0.02, False),
        (False, 0.04, 0.0, False),
    ],
)
@pytest.mark.parametrize('turn', [0.0, 0.5, -0.7])
def test_what_a_try_rules_out_turns_with_the_hand(held_up, along, across, ruled_out, turn):
    hand = np.array([0.5, 0.1, 0.05, turn])
    # A hand that is not turned has its fingers along y, which turns to (-sin, cos).
    place = hand[:2] + along * np.array([-np.sin(turn), np.cos(turn)])
    place = place + across * np.array([np.cos(turn), np.sin(turn)])
    places = np.array([*place, turn, 0.5, 0.0, 0.2])
    assert legs.Tried(hand, held_up).rules_out(chains.carry, places) == ruled_out


@pytest.mark.parametrize(
    ('begin', 'end', 'ruled_out'),
    [
        ((0.4, 0.0), (0.5, 0.0), True),  # again
        ((0.41, 0.01), (0.5, -0.01), True),
        ((0.4, 0.0), (0.52, 0.0), False),  # further
        ((0.38, 0.0), (0.45, 0.0), True),
        ((0.4, 0.0), (0.5, 0.03), False),  # aslant
        ((0.4, 0.02), (0.5, 0.02), False),  # beside
        ((0.46, 0.0), (0.5, 0.0), False),  # from where it got to
        ((0.5, 0.0), (0.4, 0.0), False),  # back
    ],
)
@pytest.mark.parametrize('turn', [0.0, 1.0, math.pi])
def test_a_push_along_the_same_line_is_ruled_out_unless_further(begin, end, ruled_out, turn):
    sine, cosine = math.sin(turn), math.cos(turn)
    around = np.array([[cosine, -sine], [sine, cosine]])
    made = legs.Pushed(around @ [0.4, 0.0], around @ [0.5, 0.0])
    places = np.array([*(around @ begin), 0.0, *(around @ end), 0.2])
    assert made.rules_out(chains.push, places) == ruled_out
    assert not made.rules_out(chains.go, places)


@pytest.mark.parametrize(('away', 'ruled_out'), [(0.0, True), (0.04, True), (0.06, False)])
def test_no_push_begins_where_the_hand_has_landed_on_the_thing(away, ruled_out):
    hand = np.array([0.5, 0.1, 0.09, 0.0])
    places = np.array([0.5 + away, 0.1, 0.0, 0.42, 0.02, 0.1])
    assert legs.Tried(hand, held_up=True).rules_out(chains.push, places) == ruled_out
    assert not legs.Tried(hand, held_up=False).rules_out(chains.push, places)


@pytest.mark.parametrize('chain', [chains.carry, chains.put, chains.go, chains.push, chains.slide])
def test_chains_keep_to_the_longest_steps_and_end_where_they_should(chain):
    rng = np.random.default_rng(3)
    across, up, turn = SETTINGS.step
    for _ in range(50):
        places = chains.places_of(SETTINGS, torch.from_numpy(rng.uniform(-1, 1, 6)))
        start = np.array([*rng.uniform(SETTINGS.low, SETTINGS.high), rng.uniform(-0.8, 0.8)])
        steps, at_once = chain(SETTINGS, start, places)
        assert at_once <= len(steps)
        for step in steps:
            assert np.hypot(*step[:2]) <= across + 1e-9 and abs(step[2]) <= up + 1e-9
            assert abs(step[5]) <= turn + 1e-9 and not step[3:5].any()
            assert not step[GRIPPER] or not step[:6].any(), 'no stroke on the way'
        end = start[:3] + np.sum([s[:3] for s in steps] or [np.zeros(3)], axis=0)
        assert end[:2] == pytest.approx(places[3:5])
        low = chain in (chains.push, chains.slide)
        assert end[2] == pytest.approx(SETTINGS.low[2] if low else places[5])


def test_what_is_carried_goes_across_above_what_lies_about():
    places = np.array([0.6, 0.2, 0.5, 0.4, -0.2, 0.1])
    steps, at_once = chains.carry(SETTINGS, START, places)
    heights = START[2] + np.cumsum([s[2] for s in steps])
    across = [h for h, s in zip(heights, steps, strict=True) if np.hypot(*s[:2]) > 1e-9]
    assert min(across) >= SETTINGS.clear - 1e-9 and at_once == 0
    strokes = [(s[GRIPPER], round(h, 3)) for s, h in zip(steps, heights, strict=True) if s[GRIPPER]]
    assert strokes == [(1.0, SETTINGS.low[2]), (-1.0, SETTINGS.low[2] + chains.LAID)]
    turned = sum(s[5] for s in steps)
    assert turned == pytest.approx(0.5)


def test_near_its_place_a_hand_goes_down_and_closes_without_another_search():
    start = np.array([0.6, 0.19, 0.12, 0.5])
    steps, at_once = chains.carry(SETTINGS, start, np.array([0.6, 0.2, 0.5, 0.4, -0.2, 0.1]))
    assert steps[at_once - 1][GRIPPER] == 1.0 and not any(s[GRIPPER] for s in steps[: at_once - 1])


def test_costs_are_those_of_the_chains_and_double_where_the_thing_cannot_be():
    told = []

    def cost(actions):
        told.append(actions.numpy())
        return torch.ones(len(actions))

    places = torch.tensor([[[-1.0] * 6], [[1.0] * 6]])
    assert LegsCost(cost, SETTINGS, chains.carry, START)(places).tolist() == [1, 1]
    expected = chains.carry(SETTINGS, START, np.array([0.64, 0.24, 0.8, 0.64, 0.24, 0.25]))[0]
    assert told[0].shape[0] == 2 and np.allclose(told[0][1, : len(expected)], expected, atol=1e-6)
    assert not told[0][1, len(expected) :].any(), 'then it stands'
    tried = [legs.Tried(np.array([0.64, 0.24, 0.03, 0.0]), held_up=False)]
    assert LegsCost(cost, SETTINGS, chains.carry, START, tried)(places).tolist() == [1, 2]
    assert LegsCost(cost, SETTINGS, chains.carry, START, 2 * tried)(places).tolist() == [1, 3]
    assert LegsCost(cost, SETTINGS, chains.go, START, tried)(places).tolist() == [1, 1]


def test_profiles_say_who_decides_and_mistakes_in_their_legs_are_told(tmp_path):
    assert isinstance(decider_of(load_profile('grasp')), Mpc)
    assert isinstance(decider_of(load_profile('one_picture')), Legs)
    assert isinstance(decider_of(load_profile('one_picture', planner='mppi')), Legs)
    text = tmp_path / 'p.yaml'
    for table, said in (
        ('{low: [0, 0, 0], high: [1, 1, 1]}', 'clear missing'),
        ('{low: [0, 0, 0], high: [1, 1, 0], clear: 0.1}', 'below legs.high'),
        ('{low: [0, 0], high: [1, 1, 1], clear: 0.1}', 'a list of 3 numbers'),
        ('{low: [0, 0, 0], high: [1, 1, 1], clear: 0.1, lift: 1}', 'unknown lift'),
        ('{low: [0, 0, 0], high: [1, 1, 1], clear: 0.1, again: {samples: 3}}', 'unknown samples'),
        ('7', 'a table or null'),
    ):
        text.write_text(f'planner: cem\nlegs: {table}\n')
        with pytest.raises(SettingsError, match=said):
            decider_of(load_profile(text))


@pytest.mark.parametrize('planner', ['adam', 'gd', 'icem'])
def test_planners_that_descend_say_that_they_cannot(planner):
    table = Table(goals=[np.zeros(3)])
    decider = decider_of(load_profile('one_picture', planner=planner))
    with pytest.raises(SettingsError, match='a planner that samples'):
        decider.plan(table, steps_left=None, budget=Budget(), strokes=(1,), pose=table.pose)


def test_a_cancelled_search_ends_soon():
    table = Table(goals=[np.zeros(3)])
    table.observe(0, 0)
    plan = decider_of(load_profile('one_picture')).plan(
        table, steps_left=5, budget=Budget(cancelled=lambda: True), strokes=(1,), pose=table.pose
    )
    assert plan.cancelled and len(plan.actions) <= 5
