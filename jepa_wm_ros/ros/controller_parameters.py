# SPDX-License-Identifier: Apache-2.0
"""The parameters of `franka_controller`, and the arm driver they describe."""

from __future__ import annotations

import math

import numpy as np

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import ARMS, FR3, Arm, arm_named
from jepa_wm_ros.robot.contact import GUARD, Guard
from jepa_wm_ros.robot.driver import ArmDriver
from jepa_wm_ros.robot.franka import FrankaArm
from jepa_wm_ros.robot.gripper import FrankaGripper
from jepa_wm_ros.robot.safety import SafetyEnvelope
from jepa_wm_ros.ros.base.node import NodeBase

# name, default, description, bounds
FIXED = (
    ('arm_address', '127.0.0.1', 'Address of the arm, real or simulated.', None),
    ('realtime', 'auto', 'Real-time kernel: auto, enforce or ignore.', None),
    ('connect_timeout', 5.0, 'Longest wait for the arm to answer [s].', (0.1, 60.0)),
    (
        'relative_dynamics_factor',
        0.1,
        "Part of the arm's limits of speed, acceleration and jerk "
        'that motions use; 0.1 stays below 0.17 m/s.',
        (0.01, 0.5),
    ),
    ('collision_torque', 20.0, 'Joint torque at which the arm stops itself [Nm].', (1.0, 100.0)),
    ('collision_force', 30.0, 'Force at which the arm stops itself [N].', (1.0, 150.0)),
    (
        'contact_force',
        GUARD.contact_force,
        'Change of the vertical force at which the hand goes down no further and back up a '
        'little [N]; above what vertical_force_n of /diagnostics changes by in free motion.',
        (1.0, 150.0),
    ),
    (
        'guarded_height',
        GUARD.height,
        'Height of the hand TCP below which it goes down slowly [m].',
        (0.0, 1.0),
    ),
    (
        'guarded_dynamics_factor',
        GUARD.dynamics_factor,
        "Part of the arm's limits that it uses there; the force of a contact grows with it.",
        (0.005, 0.5),
    ),
    ('use_gripper', True, 'Whether the arm carries the Franka hand.', None),
    ('gripper_timeout', 3.0, 'Longest a gripper command may take [s].', (0.1, 30.0)),
    ('rate', 30.0, 'Rate of joint_states, ee_pose and arm_status [Hz].', (1.0, 60.0)),
    ('max_tilt', 0.6, 'Largest angle of the hand from straight down [rad].', (0.01, 3.1)),
)
# name of the parameter and of the arm's fact that is its default, description, bounds
OF_ARM = (
    ('base_frame', 'base_frame', 'Frame of every pose heard and said.', None),
    ('home_q', 'home', 'Joint angles of ~/home [rad].', None),
    (
        'workspace_low',
        'workspace_low',
        'Low corner of the box the hand TCP stays in [m]; its z is '
        'the height kept above the table.',
        None,
    ),
    ('workspace_high', 'workspace_high', 'High corner of that box [m].', None),
    ('max_step', 'max_step', 'Longest translation of one command [m].', (0.001, 0.2)),
    ('max_turn', 'max_turn', 'Largest rotation of one command [rad].', (0.001, 0.5)),
    ('max_reach', 'max_reach', 'Largest distance of the TCP from the shoulder [m].', (0.1, 0.9)),
)
ADJUSTABLE = (
    ('max_command_age', 0.5, 'Commands older than this are refused [s].', (0.05, 5.0)),
    ('max_state_age', 0.2, 'Nothing moves on an arm state older than this [s].', (0.05, 2.0)),
    (
        'max_moved_distance',
        0.005,
        'How far the arm may have moved since a command was planned [m].',
        (0.001, 0.1),
    ),
    (
        'max_moved_angle',
        math.radians(1.0),
        'How far it may have turned since then [rad].',
        (0.001, 0.5),
    ),
)


def declare(node: NodeBase) -> None:
    """Declare every parameter of the controller."""
    named = node.declare('arm', FR3.name, 'Model of the arm.', read_only=True, choices=tuple(ARMS))
    prefix = node.declare(
        'arm_prefix',
        '',
        'What the names of its joints and of base_frame begin with, as in left_.',
        read_only=True,
    )
    arm = arm_named(named, prefix)
    for name, fact, description, bounds in OF_ARM:
        default = getattr(arm, fact)
        default = default.tolist() if isinstance(default, np.ndarray) else default
        node.declare(name, default, description, bounds=bounds, read_only=True)
    for name, default, description, bounds in FIXED:
        node.declare(name, default, description, bounds=bounds, read_only=True)
    for name, default, description, bounds in ADJUSTABLE:
        node.declare(name, default, description, bounds=bounds)


def arm_of(node: NodeBase) -> Arm:
    """The arm that the controller is told it drives."""
    return arm_named(node.value('arm'), node.value('arm_prefix'))


def build_driver(node: NodeBase) -> ArmDriver:
    """The driver, not yet connected. Raises JepaWmError for values that make no sense."""
    address, timeout = node.value('arm_address'), node.value('connect_timeout')
    arm_model = arm_of(node)
    numbers(node, 'home_q', len(arm_model.home))
    limits = {name: node.value(name) for name in ('max_step', 'max_turn', 'max_reach', 'max_tilt')}
    envelope = SafetyEnvelope(
        numbers(node, 'workspace_low', 3),
        numbers(node, 'workspace_high', 3),
        shoulder=tuple(arm_model.shoulder.tolist()),
        **limits,
    )
    arm = FrankaArm(
        address,
        model=arm_model,
        dynamics_factor=node.value('relative_dynamics_factor'),
        realtime=node.value('realtime'),
        connect_timeout=timeout,
        collision_torque=node.value('collision_torque'),
        collision_force=node.value('collision_force'),
        guard=Guard(
            node.value('contact_force'),
            node.value('guarded_height'),
            node.value('guarded_dynamics_factor'),
        ),
    )
    gripper = (
        FrankaGripper(address, timeout=node.value('gripper_timeout'), connect_timeout=timeout)
        if node.value('use_gripper')
        else None
    )
    return ArmDriver(arm, gripper, envelope)


def numbers(node: NodeBase, name: str, count: int) -> tuple[float, ...]:
    """A parameter of `count` finite numbers. Raises JepaWmError."""
    values = tuple(node.value(name))
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise JepaWmError(f'parameter {name} is {list(values)}: give {count} finite numbers')
    return values
