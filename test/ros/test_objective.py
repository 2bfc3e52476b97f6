# SPDX-License-Identifier: Apache-2.0
"""Who plans says what counts: the planner's profile decides what the world-model node scores."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_msgs.action import ReachGoal  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from test_planner_node import Toy, ToyArm  # noqa: E402
from test_world_model_node import picture  # noqa: E402

from jepa_wm_ros import ros_image  # noqa: E402
from jepa_wm_ros.planning import load_profile  # noqa: E402
from jepa_wm_ros.ros.nodes.planner import PlannerNode  # noqa: E402
from jepa_wm_ros.ros.nodes.world_model import WorldModelNode  # noqa: E402
from support.camera_and_arm import CameraAndArm  # noqa: E402
from support.ros_peers import call, ros, spinning, tiny_model, wait  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.fixture
def nodes(tmp_path, ros_domain):
    given = {'max_image_age': 3.0, 'max_state_age': 3.0, 'planning_budget': 0.3}
    with ros(model=tiny_model(tmp_path), threads=1, **given):
        model, planner, cell, arm = (
            WorldModelNode(),
            PlannerNode(),
            CameraAndArm(picture(0)),
            ToyArm(Toy()),
        )
        client = ActionClient(cell.node, ReachGoal, 'reach_goal')
        with spinning(model, planner, cell.node, arm.node):
            for node in (model, planner):
                assert node.trigger_configure().name == 'SUCCESS'
                assert node.trigger_activate().name == 'SUCCESS'
            yield model, cell, client
        for node in (model, planner):
            node.close()
        for node in (model, planner, cell.node, arm.node):
            node.destroy_node()


def set_profile(asker, name):
    """As `ros2 param set planner profile NAME` does it."""
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=name)
    request = SetParameters.Request(parameters=[Parameter(name='profile', value=value)])
    assert call(asker, SetParameters, 'planner/set_parameters', request).results[0].successful


def reach(client):
    """Send a goal of one step and wait for its end."""
    assert client.wait_for_server(20.0)
    picture_message = ros_image.fill_image(Image(), picture(1), 'rgb8')
    goal = ReachGoal.Goal(goals=[picture_message], max_steps=1, tolerance=1e-9)
    return wait(wait(client.send_goal_async(goal)).get_result_async()).result


def test_a_profile_set_at_the_planner_alone_changes_what_is_planned_and_scored(nodes, tmp_path):
    model, cell, client = nodes
    own = tmp_path / 'own.yaml'
    own.write_text(
        'planner: cem\nmode: plain\nobjective: {kind: L1, sum_all: true, alpha: 0.5}\n'
        'settings: {horizon: 2, iterations: 1, num_samples: 12, num_elites: 4}\n'
    )
    for name in ('cell', 'paper', str(own)):
        set_profile(cell.node, name)
        ended = reach(client)
        assert ended.steps == 1, ended.error_msg
        scorer, profile = list(model.session.contexts.values())[-1], load_profile(name)
        assert (scorer.objective, scorer.mode) == (profile.objective, profile.mode)
        assert np.isfinite(ended.cost)
