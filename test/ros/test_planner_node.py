# SPDX-License-Identifier: Apache-2.0
"""The planner node over DDS, between a toy world model and a toy arm that share one hand."""

import math
import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from builtin_interfaces.msg import Duration  # noqa: E402
from geometry_msgs.msg import Point, Pose, Quaternion  # noqa: E402
from jepa_wm_msgs.action import ReachGoal  # noqa: E402
from jepa_wm_msgs.msg import ArmStatus  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from jepa_wm_ros import ros_image  # noqa: E402
from jepa_wm_ros.control.ports import MotionOutcome  # noqa: E402
from jepa_wm_ros.control.progress import Phase  # noqa: E402
from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.ros.commander import JepaCommander  # noqa: E402
from jepa_wm_ros.ros.nodes.planner import PlannerNode  # noqa: E402
from support.planner_rig import PICTURE, Client, Toy, ToyArm, ToyModel  # noqa: E402
from support.ros_peers import AnswersAtOnce, ros, spinning  # noqa: E402

pytestmark = pytest.mark.ros


def test_the_loop_speaks_in_the_numbers_of_the_messages():
    said = ReachGoal.Feedback
    assert [phase.value for phase in Phase] == [
        said.WAITING_FOR_OBSERVATION,
        said.PLANNING,
        said.MOVING,
        said.REPLAN_STATE_CHANGED,
        said.REACHED,
    ]
    for outcome in MotionOutcome:
        assert outcome.value == getattr(ArmStatus, f'OUTCOME_{outcome.name}')


@pytest.fixture
def graph(ros_domain):
    toy = Toy()
    with ros(
        controller_timeout=2.0, motion_timeout=3.0, observation_timeout=0.3, no_progress_steps=3
    ):
        planner, model, arm, client = PlannerNode(), ToyModel(toy), ToyArm(toy), Client()
        with spinning(planner, model.node, arm.node, client.node):
            assert planner.trigger_configure().name == 'SUCCESS'
            assert planner.trigger_activate().name == 'SUCCESS'
            yield toy, client
        planner.close()
        for node in (planner, model.node, arm.node, client.node):
            node.destroy_node()


def test_the_hand_reaches_the_goal_and_the_feedback_tells_how(graph):
    toy, client = graph
    result = client.reach()
    assert (result.error_code, result.error_msg) == (FaultCode.SUCCEEDED, '')
    assert np.linalg.norm(toy.hand[:3] - toy.goal) < 0.02
    moving = [f for f in client.feedback if f.phase == f.MOVING]
    assert [f.step for f in moving] == list(range(1, result.steps + 1)) and result.steps >= 2
    assert all(f.evaluations > 0 and f.latency_seconds > 0 for f in moving)


@pytest.mark.parametrize(
    ('goal', 'code'),
    [
        ({'goals': []}, FaultCode.EMPTY_GOAL),
        ({'goals': [Image()] * 17}, FaultCode.TOO_MANY_GOALS),
        ({'tolerance': math.nan}, FaultCode.BAD_LIMITS),
        ({'tolerance': -1.0}, FaultCode.BAD_LIMITS),
        ({'max_duration': Duration(sec=-5)}, FaultCode.BAD_LIMITS),
        ({'switch_on': 9}, FaultCode.BAD_LIMITS),
        ({'switch_on': ReachGoal.Goal.SWITCH_ON_STEPS}, FaultCode.BAD_LIMITS),
        (
            {'switch_on': ReachGoal.Goal.SWITCH_ON_STEPS, 'steps_of_goals': [1, 2]},
            FaultCode.BAD_LIMITS,
        ),
    ],
)
def test_goals_that_make_no_sense_are_named_and_move_nothing(graph, goal, code):
    toy, client = graph
    result = client.reach(**goal)
    assert result.error_code == code and result.error_msg and toy.moves == 0


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ('wrong', 'code'),
    [
        ({'costs': 'nan'}, FaultCode.MODEL_OUTPUT_INVALID),
        ({'costs': 'most nan'}, FaultCode.MODEL_OUTPUT_INVALID),
        ({'action_dim': 20}, FaultCode.BAD_LIMITS),
        ({'freeze_error': FaultCode.STALE_IMAGE}, FaultCode.STALE_IMAGE),
        ({'freeze_error': FaultCode.TF_ERROR}, FaultCode.TF_ERROR),
    ],
)
def test_a_model_that_cannot_answer_ends_the_goal_without_motion(graph, wrong, code):
    toy, client = graph
    for name, value in wrong.items():
        setattr(toy, name, value)
    assert client.reach().error_code == code and toy.moves == 0


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    'pose',
    [
        Pose(position=Point(x=math.nan), orientation=Quaternion(w=1.0)),
        Pose(orientation=Quaternion(w=0.0)),
        Pose(orientation=Quaternion(w=math.inf)),
    ],
)
def test_an_arm_that_tells_no_pose_is_a_stale_state_of_its_topic(graph, pose):
    toy, client = graph
    toy.said_pose = pose
    result = client.reach()
    assert result.error_code == FaultCode.STALE_STATE and toy.moves == 0
    assert 'arm_status' in result.error_msg


@pytest.mark.fault(8)
def test_some_candidates_without_a_finite_cost_are_counted_and_survived(graph):
    toy, client = graph
    toy.costs = 'some nan'
    assert client.reach().error_code == FaultCode.SUCCEEDED
    assert any(f.invalid_costs > 0 for f in client.feedback)


@pytest.mark.parametrize(
    ('outcome', 'told', 'code'),
    [
        (ArmStatus.OUTCOME_WORKSPACE, 0, FaultCode.WORKSPACE_LIMIT),
        (ArmStatus.OUTCOME_FAILED, FaultCode.ARM_LOST, FaultCode.ARM_LOST),
        (ArmStatus.OUTCOME_REFUSED, FaultCode.BUSY, FaultCode.BUSY),
        (ArmStatus.OUTCOME_STOPPED, FaultCode.STOPPED, FaultCode.STOPPED),
    ],
)
def test_how_the_controller_ends_a_command_ends_the_goal(graph, outcome, told, code):
    toy, client = graph
    toy.outcome, toy.error_code = outcome, told
    result = client.reach()
    assert (result.error_code, result.error_msg) == (code, 'as the test asked')
    assert result.steps == 0 and toy.stops == 1


@pytest.mark.fault(4)
def test_an_arm_that_moves_by_itself_is_planned_for_again_and_then_given_up(graph):
    toy, client = graph
    toy.outcome, toy.error_code = ArmStatus.OUTCOME_MOVED, FaultCode.ARM_MOVED
    result = client.reach()
    assert (result.error_code, result.steps) == (FaultCode.ARM_MOVED, 0)
    phases = [f.phase for f in client.feedback]
    assert phases.count(ReachGoal.Feedback.REPLAN_STATE_CHANGED) == toy.moves == 6


def test_a_motion_that_does_not_end_in_time_is_stopped_before_the_goal_ends(graph):
    toy, client = graph
    toy.outcome = ArmStatus.OUTCOME_EXECUTING
    result = client.reach()
    assert result.error_code == FaultCode.CONTROLLER_LOST and 'not finish' in result.error_msg
    assert toy.stops == 1 and 'not known' not in result.error_msg


@pytest.mark.fault(6)
def test_a_silent_controller_is_lost(graph):
    toy, client = graph
    toy.silent_arm = True
    result = client.reach()
    assert (
        result.error_code == FaultCode.CONTROLLER_LOST and 'franka_controller' in result.error_msg
    )


@pytest.mark.fault(5, 6)
def test_a_silence_that_is_over_when_it_is_noticed_ends_the_goal_too(graph):
    toy, client = graph
    toy.score_seconds = 3.0
    results = []
    goal = threading.Thread(target=lambda: results.append(client.reach()))
    goal.start()
    assert toy.scoring.wait(20.0)
    toy.score_seconds, toy.silent_arm = 0.0, True
    threading.Event().wait(2.3)  # longer than controller_timeout, shorter than the plan
    toy.silent_arm = False
    goal.join(30.0)
    assert results[0].error_code == FaultCode.CONTROLLER_LOST and toy.moves == 0
    assert 'stood still' in results[0].error_msg
    toy.scoring.clear()
    assert client.reach().error_code == FaultCode.SUCCEEDED, 'a new goal begins anew'


@pytest.mark.fault(26)
def test_an_arm_that_gets_no_nearer_is_given_up(graph):
    toy, client = graph
    toy.goal = np.array([0.5, 0.02 + 1e-6, 0.3])  # nearer than a step of CEM can aim
    result = client.reach(tolerance=1e-9)
    assert result.error_code == FaultCode.NO_PROGRESS and result.best_cost < 0.021


def test_the_limit_of_steps_ends_a_goal(graph):
    toy, client = graph
    toy.goal = np.array([9.0, 9.0, 9.0])
    result = client.reach(max_steps=2)
    assert (result.error_code, result.steps, toy.moves) == (FaultCode.MAX_STEPS, 2, 2)


def test_goals_can_be_pursued_by_a_schedule_of_steps(graph):
    toy, client = graph
    toy.goal = np.array([9.0, 9.0, 9.0])
    picture = ros_image.fill_image(Image(), PICTURE, 'rgb8')
    result = client.reach(
        goals=[picture] * 3, steps_of_goals=[1, 3, 2], switch_on=ReachGoal.Goal.SWITCH_ON_STEPS
    )
    assert (result.error_code, result.steps) == (FaultCode.SUCCEEDED, 6)
    moving = [f for f in client.feedback if f.phase == f.MOVING]
    assert [f.goal_index for f in moving] == [0, 1, 1, 1, 2, 2]


@pytest.mark.fault(23)
@pytest.mark.parametrize('score_seconds', [0.1, 3.0])
def test_a_cancel_while_planning_returns_within_half_a_second_and_moves_nothing(
    graph, score_seconds
):
    toy, client = graph
    toy.score_seconds = score_seconds
    handle = client.send()
    assert toy.scoring.wait(20.0)
    asked = time.monotonic()
    client.act(handle.cancel_goal_async)
    assert client.act(handle.get_result_async).result.error_code == FaultCode.CANCELED
    assert time.monotonic() - asked < 0.5
    assert toy.moves == 0
    assert toy.interrupt.wait(20.0)  # asked for at once; the toy hears it when it has slept
    assert toy.interrupted == 1


def test_a_cancel_while_moving_ends_the_goal_only_when_the_arm_has_stopped(graph):
    toy, client = graph
    toy.outcome = ArmStatus.OUTCOME_EXECUTING
    handle = client.send()
    while not toy.moves:
        assert toy.scoring.wait(20.0)
    client.act(handle.cancel_goal_async)
    assert client.act(handle.get_result_async).result.error_code == FaultCode.CANCELED
    assert toy.stops >= 1


@pytest.mark.fault(25)
def test_a_second_goal_is_rejected_and_the_first_goes_on(graph):
    toy, client = graph
    toy.score_seconds = 0.05
    first = client.send()
    assert toy.scoring.wait(20.0)
    assert not client.send().accepted
    toy.score_seconds = 0.0
    assert client.act(first.get_result_async).result.error_code == FaultCode.SUCCEEDED
    assert client.reach().error_code == FaultCode.SUCCEEDED, 'and the next one is taken again'


def test_the_commander_hears_answers_that_come_before_its_question_is_on_the_list(graph):
    toy, _ = graph
    with JepaCommander(timeout=5.0) as arm:
        arm._reach._client_handle = AnswersAtOnce(arm._reach._client_handle)
        assert arm.reach([PICTURE]).error_code == FaultCode.SUCCEEDED
    assert np.linalg.norm(toy.hand[:3] - toy.goal) < 0.02
