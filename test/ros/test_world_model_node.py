# SPDX-License-Identifier: Apache-2.0
"""The world-model node over DDS: what it answers is what the model itself says."""

import math
import threading

import numpy as np
import pytest
import torch

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402
from jepa_wm_msgs.msg import Objective as ObjectiveMessage  # noqa: E402
from jepa_wm_msgs.srv import (  # noqa: E402
    DescribeModel,
    FreezeContext,
    InterruptScoring,
    PrepareGoal,
    ScoreActions,
)
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from jepa_wm_ros import ros_image  # noqa: E402
from jepa_wm_ros.control.session import ModelSession  # noqa: E402
from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.objective import Objective  # noqa: E402
from jepa_wm_ros.recordings.topics import TopicSpec, live_topics  # noqa: E402
from jepa_wm_ros.ros.base.qos import quality_of  # noqa: E402
from jepa_wm_ros.ros.nodes.world_model import WorldModelNode  # noqa: E402
from jepa_wm_ros.world_model import LatentCost, load_world_model  # noqa: E402
from jepa_wm_ros.world_model.distance import distance  # noqa: E402
from support.camera_and_arm import POSITION, CameraAndArm  # noqa: E402
from support.ros_peers import call, ros, spinning, tiny_model, unconfigured  # noqa: E402

pytestmark = pytest.mark.ros
EULER, GRIPPER = (math.pi, 0.0, 0.0), 0.25


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


@pytest.fixture(scope='module')
def model_file(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp('model'))


@pytest.fixture
def states():
    """The quality of service that the arm's states are said with."""
    return QoSProfile(depth=1)


@pytest.fixture
def graph(model_file, ros_domain, states):
    # Generous ages: a loaded machine must not look like a dead camera.
    with ros(model=model_file, threads=1, max_image_age=3.0, max_state_gap=3.0):
        node, cell = WorldModelNode(), CameraAndArm(picture(0), states)
        client = rclpy.create_node('client')
        with spinning(node, cell.node, client):
            assert node.trigger_configure().name == 'SUCCESS'
            assert node.trigger_activate().name == 'SUCCESS'
            yield node, cell, client
        node.close()
        for each in (node, cell.node, client):
            each.destroy_node()


def prepare(client, *pictures):
    images = [ros_image.fill_image(Image(), p, 'rgb8') for p in pictures]
    return call(client, PrepareGoal, 'world_model/prepare_goal', PrepareGoal.Request(images=images))


def freeze(client, goal_id, fresh=False, **wishes):
    request = FreezeContext.Request(goal_id=goal_id, **wishes)
    if fresh:
        request.not_before = client.get_clock().now().to_msg()
    return call(client, FreezeContext, 'world_model/freeze_context', request)


def score(client, context_id, actions, **wishes):
    return call(
        client,
        ScoreActions,
        'world_model/score_actions',
        ScoreActions.Request(
            context_id=context_id,
            candidates=actions.shape[0],
            horizon=actions.shape[1],
            actions=actions.astype(np.float32).ravel().tolist(),
            **wishes,
        ),
    )


@pytest.mark.parametrize(
    ('asked', 'objective'),
    [
        ({}, Objective()),
        (
            {'objective': ObjectiveMessage(kind='L1', sum_all=True), 'mode': 'plain'},
            Objective('L1', sum_all=True),
        ),
    ],
)
def test_costs_over_the_service_are_those_of_the_model_by_the_objective_asked_for(
    graph, model_file, asked, objective
):
    _, cell, client = graph
    goal = picture(1)
    goal_id = prepare(client, goal).goal_ids[0]
    context = freeze(client, goal_id, **asked)
    actions = np.random.default_rng(0).normal(0, 0.05, (5, 3, 7)).astype(np.float32)
    answer = score(client, context.context_id, actions, want_gradient=True)

    model = load_world_model(model_file)
    pose = torch.tensor([[*POSITION, *EULER, GRIPPER]])
    here = model.encode(model.prepare_images(cell.picture[None]), pose)
    there = model.encode_visual(model.prepare_images(goal[None]))
    assert context.distance == pytest.approx(float(distance(here, there, objective)), rel=1e-4)
    scorer = LatentCost(model, here, there, objective, asked.get('mode', 'exact'))
    costs, gradient = scorer.gradient(torch.from_numpy(actions))
    np.testing.assert_allclose(answer.costs, costs, rtol=1e-4)
    np.testing.assert_allclose(
        np.array(answer.gradient).reshape(5, 3, 7),
        gradient,
        atol=1e-4 * float(gradient.abs().max()),
    )
    np.testing.assert_allclose(
        [context.pose.position.x, context.gripper], [0.5, GRIPPER], atol=1e-6
    )


def test_frames_that_arrive_later_do_not_leak_into_a_frozen_context(graph):
    _, cell, client = graph
    goal_id = prepare(client, picture(1)).goal_ids[0]
    context = freeze(client, goal_id)
    actions = np.full((1, 2, 7), 0.01)
    before = score(client, context.context_id, actions).costs[0]
    cell.picture = picture(2)
    other = freeze(client, goal_id, fresh=True)
    assert score(client, context.context_id, actions).costs[0] == before
    assert score(client, other.context_id, actions).costs[0] != before


def test_the_distance_to_the_present_view_is_zero_and_grows_with_another(graph):
    _, cell, client = graph
    freeze(client, prepare(client, picture(1)).goal_ids[0])  # a frame has arrived
    answer = prepare(client, cell.picture, picture(3))
    assert answer.distances[0] == pytest.approx(0.0, abs=1e-9) and answer.distances[1] > 1e-4


@pytest.mark.parametrize('states', [qos_profile_sensor_data])
def test_states_of_best_effort_as_those_of_franka_ros2_are_heard(graph):
    _, _, client = graph
    answer = freeze(client, prepare(client, picture(1)).goal_ids[0])
    assert not answer.error_code, answer.error_msg
    assert answer.gripper == pytest.approx(GRIPPER) and answer.pose.position.x == POSITION[0]


def test_the_model_describes_itself(graph):
    _, _, client = graph
    said = call(client, DescribeModel, 'world_model/describe', DescribeModel.Request())
    assert (said.action_dim, said.step_seconds, said.image_size) == (7, 0.25, 96)
    assert said.reached_distance == 0.05


@pytest.mark.fault(13, 15)
def test_goals_that_are_no_pictures_are_refused_with_their_code(graph):
    _, cell, client = graph
    cell_sees = freeze(client, prepare(client, picture(1)).goal_ids[0])
    assert cell_sees.error_code == 0
    ask = PrepareGoal.Request
    depth = ros_image.fill_image(Image(), np.ones((48, 64), np.uint16), '16UC1')
    cut = ros_image.fill_image(Image(), picture(1), 'rgb8')
    cut.data = cut.data[:100]
    cases = [
        (ask(), FaultCode.EMPTY_GOAL),
        (ask(images=[depth]), FaultCode.UNSUPPORTED_ENCODING),
        (ask(images=[cut]), FaultCode.BAD_IMAGE),
        (ask(images=[Image(encoding='rgb8')]), FaultCode.BAD_IMAGE),
        (ask(compressed=[CompressedImage(format='jpeg', data=b'nonsense')]), FaultCode.BAD_IMAGE),
        (
            ask(images=[ros_image.fill_image(Image(), picture(1, 48, 48), 'rgb8')]),
            FaultCode.WRONG_ASPECT,
        ),
        (ask(images=[ros_image.fill_image(Image(), picture(1) * 0, 'rgb8')]), FaultCode.BAD_IMAGE),
    ]
    for request, code in cases:
        answer = call(client, PrepareGoal, 'world_model/prepare_goal', request)
        assert answer.error_code == code, answer.error_msg
        assert answer.error_msg and '\n' not in answer.error_msg


@pytest.mark.fault(14)
def test_jpeg_goals_and_other_encodings_are_taken(graph):
    _, _, client = graph
    jpeg = ros_image.fill_compressed(CompressedImage(), picture(1))
    grey = ros_image.fill_image(Image(), picture(1)[..., 0].copy(), 'mono8')
    for request in (PrepareGoal.Request(compressed=[jpeg]), PrepareGoal.Request(images=[grey])):
        answer = call(client, PrepareGoal, 'world_model/prepare_goal', request)
        assert answer.error_code == 0, answer.error_msg


@pytest.mark.fault(1)
def test_a_camera_that_stalls_is_a_stale_image(graph):
    _, cell, client = graph
    goal_id = prepare(client, picture(1)).goal_ids[0]
    cell.shooting = False
    answer = freeze(client, goal_id)
    while answer.error_code == 0:  # frames already on their way are fresh for half a second
        answer = freeze(client, goal_id)
    assert answer.error_code == FaultCode.STALE_IMAGE and 'camera' in answer.error_msg


@pytest.mark.fault(3)
@pytest.mark.parametrize('wrong', [{'position': (0.5, 0.1, math.nan)}, {'turned': 0.0}])
def test_a_pose_that_is_none_is_a_stale_state_of_its_topic(graph, wrong):
    _, cell, client = graph
    goal_id = prepare(client, picture(1)).goal_ids[0]
    assert freeze(client, goal_id).error_code == 0
    vars(cell).update(wrong)
    answer = freeze(client, goal_id, fresh=True)
    while answer.error_code == 0:  # a frame between the last good states
        answer = freeze(client, goal_id, fresh=True)
    assert answer.error_code == FaultCode.STALE_STATE and 'ee_pose' in answer.error_msg


@pytest.mark.fault(28)
def test_a_pose_in_another_frame_is_refused(graph):
    _, cell, client = graph
    goal_id = prepare(client, picture(1)).goal_ids[0]
    assert freeze(client, goal_id).error_code == 0
    cell.frame_id = 'world'
    answer = freeze(client, goal_id)
    while answer.error_code == 0:
        answer = freeze(client, goal_id)
    assert answer.error_code == FaultCode.TF_ERROR and "'world'" in answer.error_msg


def test_unknown_goals_and_contexts_are_named(graph):
    _, _, client = graph
    assert freeze(client, 999_999).error_code == FaultCode.UNKNOWN_ID
    assert score(client, 999_999, np.zeros((1, 1, 7))).error_code == FaultCode.UNKNOWN_ID


@pytest.mark.parametrize(
    ('asked', 'named'),
    [({'objective': ObjectiveMessage(kind='L3')}, 'L3'), ({'mode': 'quick'}, 'quick')],
)
def test_an_objective_or_mode_it_does_not_know_is_refused_and_no_other_taken(graph, asked, named):
    _, _, client = graph
    goal_id = prepare(client, picture(1)).goal_ids[0]
    answer = freeze(client, goal_id, **asked)
    assert answer.error_code == FaultCode.BAD_LIMITS and answer.context_id == 0
    assert named in answer.error_msg and '\n' not in answer.error_msg


def test_scoring_is_given_up_when_it_is_interrupted_and_other_contexts_go_on(graph):
    node, _, client = graph
    goal_id = prepare(client, picture(1)).goal_ids[0]
    given_up, other = (freeze(client, goal_id).context_id for _ in range(2))
    scorer, begun, never = node.session.contexts[given_up], threading.Event(), threading.Event()
    asked = scorer.interrupted

    def ask_for_long():  # as a large model has time to
        begun.set()
        return any(asked() or never.wait(0.01) for _ in range(2000))

    scorer.interrupted = ask_for_long
    answers = []
    caller = threading.Thread(
        target=lambda: answers.append(score(client, given_up, np.zeros((1, 1, 7))))
    )
    caller.start()
    assert begun.wait(20.0)
    said = call(
        client,
        InterruptScoring,
        'world_model/interrupt_scoring',
        InterruptScoring.Request(context_id=given_up),
    )
    caller.join(20.0)
    assert said.interrupted and answers[0].error_code == FaultCode.CANCELED
    assert score(client, other, np.zeros((1, 1, 7))).error_code == 0
    unknown = call(
        client,
        InterruptScoring,
        'world_model/interrupt_scoring',
        InterruptScoring.Request(context_id=999_999),
    )
    assert not unknown.interrupted


@pytest.mark.fault(29)
def test_a_missing_model_fails_the_configure_in_one_line(tmp_path, ros_domain):
    missing = tmp_path / 'missing.safetensors'
    assert 'missing.safetensors' in unconfigured(WorldModelNode, model=missing)


@pytest.mark.slow
def test_a_model_that_compiles_has_done_so_before_the_first_plan(model_file, compiler):
    made = []
    compiler(lambda graph, _: made.append(graph) or graph.forward)
    session = ModelSession.load(
        model=str(model_file), weights_dir='', device='cpu', threads=1, warm_up_mode='compiled'
    )
    before = len(made)
    assert before and not session.goals and not session.contexts
    (goal,), _ = session.prepare_goals([picture(0)], None)
    context = session.freeze(
        picture(1), np.array([*POSITION, np.pi, 0, 0, 0.1]), goal, mode='compiled'
    )
    for candidates, slope in ((24, False), (1, True), (4, False), (19, False), (3, True)):
        session.score(context.id, np.zeros((candidates, 3, 7), np.float32), slope, False)
    assert len(made) == before


def test_fixed_frames_are_heard_although_they_were_told_before():
    topics = live_topics(TopicSpec(pose='tf', pose_type='tf2_msgs/msg/TFMessage'))
    heard = {topic.name: quality_of(topic.name, topics) for topic in topics.all}
    assert heard['tf_static'].durability is DurabilityPolicy.TRANSIENT_LOCAL
    assert heard['tf'].durability is DurabilityPolicy.VOLATILE
