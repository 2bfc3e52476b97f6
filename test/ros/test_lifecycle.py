# SPDX-License-Identifier: Apache-2.0
"""The life-cycle contract: what a phase makes it releases, and an inactive node keeps silent."""

from importlib.util import find_spec
from pathlib import PurePosixPath

import pytest

pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')

import rclpy  # noqa: E402

from support import generated, policy  # noqa: E402
from support.controller_rig import PATIENT  # noqa: E402
from support.ros_peers import belongings, ros, spinning, tiny_model, until  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time]
ROUNDS = 5
OF_EVERY_NODE = {'/rosout', '/parameter_events', '/diagnostics'}
TF = {'/tf', '/tf_static'}  # said where tf2_msgs is installed, which comes with ROS alone
SPOKEN = {  # topics and services of each active node
    'world_model': (
        {'/world_model/latent_distance', '/world_model/imagined'},
        {
            f'/world_model/{name}'
            for name in (
                'describe',
                'prepare_goal',
                'freeze_context',
                'score_actions',
                'interrupt_scoring',
            )
        },
    ),
    'planner': (
        {
            '/command',
            '/planner/plan',
            '/planner/status',
            '/reach_goal/_action/feedback',
            '/reach_goal/_action/status',
        },
        {'/planner/reach', '/planner/cancel'}
        | {f'/reach_goal/_action/{name}' for name in ('send_goal', 'cancel_goal', 'get_result')},
    ),
    'franka_controller': (
        {'/joint_states', '/ee_pose', '/arm_status'},
        {
            f'/franka_controller/{name}'
            for name in ('recover', 'stop', 'hold', 'home', 'move_to', 'set_gripper')
        },
    ),
    'recorder': (
        {'/recorder/status'},
        {f'/recorder/{name}' for name in ('start', 'stop', 'keep', 'redo', 'discard')},
    ),
    'sim_cell': (
        {'/image', '/camera_info'}
        | {f'/sim_cell/{name}' for name in ('hand_pose', 'cube_pose', 'table_force')},
        {'/sim_cell/reset_scene'},
    ),
    'goal_gallery': (
        {
            f'/goal_gallery/{name}'
            for name in ('update', 'scene', 'arm', 'preview', 'goal', 'status')
        },
        {
            f'/goal_gallery/{name}'
            for name in (
                'get_interactive_markers',
                'capture',
                'plan',
                'append',
                'delete',
                'list',
                'stop',
                'recover',
            )
        },
    ),
}


def make_node(name: str, tmp_path, address: str):
    """Parameters and class of one of the nodes."""
    if name == 'world_model':
        from jepa_wm_ros.ros.nodes.world_model import WorldModelNode

        return {'model': tiny_model(tmp_path), 'threads': 1}, WorldModelNode
    if name == 'planner':
        from jepa_wm_ros.ros.nodes.planner import PlannerNode

        return {}, PlannerNode
    if name == 'franka_controller':
        from jepa_wm_ros.ros.nodes.franka_controller import FrankaController

        return {'arm_address': address, **PATIENT}, FrankaController
    if name == 'goal_gallery':
        from jepa_wm_ros.ros.nodes.goal_gallery import GoalGallery

        return {'library': tmp_path / 'goals'}, GoalGallery
    if name == 'recorder':
        from jepa_wm_ros.ros.nodes.recorder import Recorder

        return {'out': tmp_path / 'takes'}, Recorder
    from jepa_wm_ros.ros.nodes.sim_cell import SimCell

    return {'arm_address': address, 'width': 64, 'height': 48}, SimCell


@pytest.fixture
def arm(request, new_arm_address):
    """An address; an arm is served there when the node needs one."""
    address = new_arm_address()
    if request.node.callspec.params['name'] != 'franka_controller':
        yield address
        return
    from jepa_wm_ros.sim.server import ArmServer

    with ArmServer(address):
        yield address


def spoken(peer, name: str) -> tuple[set[str], set[str]]:
    """What others see of a node: its topics and services beyond those that every node has."""
    topics = {topic for topic, _ in peer.get_publisher_names_and_types_by_node(name, '/')}
    services = {service for service, _ in peer.get_service_names_and_types_by_node(name, '/')}
    everywhere = {
        f'/{name}/{service}'
        for service in (
            'change_state',
            'get_state',
            'get_available_states',
            'get_available_transitions',
            'get_transition_graph',
            'get_type_description',
            'describe_parameters',
            'get_parameter_types',
            'get_parameters',
            'list_parameters',
            'set_parameters',
            'set_parameters_atomically',
        )
    }
    return topics - OF_EVERY_NODE - TF - {f'/{name}/transition_event'}, services - everywhere


def done(peer, name: str) -> policy.Allowed:
    """What others see of all that a node says, hears, serves and asks."""
    return policy.Allowed(
        *(
            {entry for entry, _ in seen(name, '/')}
            for seen in (
                peer.get_publisher_names_and_types_by_node,
                peer.get_subscriber_names_and_types_by_node,
                peer.get_service_names_and_types_by_node,
                peer.get_client_names_and_types_by_node,
            )
        )
    )


def may(name: str) -> policy.Allowed:
    """What the security policy lets a node do; /clock it hears only with use_sim_time."""
    allowed = policy.enclaves()[PurePosixPath('/jepa_wm_ros', name)]
    allowed.subscribe.remove('/clock')
    if find_spec('tf2_msgs') is None:
        allowed.publish -= TF
    return allowed


@pytest.mark.parametrize('name', SPOKEN)
def test_an_inactive_node_is_silent_and_every_round_leaves_nothing_behind(
    name, arm, tmp_path, ros_domain
):
    parameters, kind = make_node(name, tmp_path, arm)
    with ros(**parameters):
        node, peer = kind(), rclpy.create_node('peer')
        with spinning(node, peer):
            assert until(lambda: name in peer.get_node_names())
            silent = (set(), set())
            fresh = inactive = active = None
            for _ in range(ROUNDS):
                fresh = fresh or belongings(node)
                assert node.trigger_configure().name == 'SUCCESS', node.failure
                inactive = inactive or belongings(node)
                assert until(lambda: spoken(peer, name) == silent), spoken(peer, name)
                assert until(
                    lambda: any(
                        info.node_name == name
                        for info in peer.get_publishers_info_by_topic('/diagnostics')
                    )
                )
                assert node.trigger_activate().name == 'SUCCESS', node.failure
                active = active or belongings(node)
                assert until(lambda: spoken(peer, name) == SPOKEN[name]), (
                    spoken(peer, name),
                    peer.get_node_names(),
                )
                assert belongings(node) == active
                assert until(lambda: done(peer, name) == may(name)), (done(peer, name), may(name))
                interfaces = generated.interfaces(node)
                assert node.trigger_deactivate().name == 'SUCCESS', node.failure
                assert belongings(node) == inactive
                assert until(lambda: spoken(peer, name) == silent), spoken(peer, name)
                assert node.trigger_cleanup().name == 'SUCCESS', node.failure
                assert belongings(node) == fresh
        node.destroy_node()
        peer.destroy_node()
    generated.hold_node_page(kind, interfaces)
