# SPDX-License-Identifier: Apache-2.0
"""The options of a command line that say which topics of a bag to read."""

from __future__ import annotations

import argparse
import dataclasses

from jepa_wm_ros.recordings.topics import TopicSpec

_FIELDS = ('image', 'pose', 'gripper', 'arm_prefix', 'base_frame', 'hand_frame', 'stamps')


def add_topic_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `topic_spec` reads."""
    topics = parser.add_argument_group('topics (default: the only fitting topic of the bag)')
    topics.add_argument(
        '--topics',
        metavar='NAME',
        help='a name in config/topics or a .yaml file; the options below take precedence',
    )
    topics.add_argument(
        '--image', help='Image or CompressedImage topic, or camera of a set of episodes'
    )
    topics.add_argument(
        '--pose',
        help='FrankaRobotState, PoseStamped, ArmStatus, TransformStamped, (Franka) JointState or '
        'TFMessage topic',
    )
    topics.add_argument('--gripper', help='JointState, Float32, Float64 or ArmStatus topic')
    topics.add_argument(
        '--gripper-range',
        nargs=2,
        type=float,
        metavar=('OPEN', 'CLOSED'),
        help='values that mean open and closed',
    )
    topics.add_argument(
        '--arm-prefix',
        help="what the names of the arm's joints and frames begin with, where a topic tells of "
        'several arms (left_)',
    )
    topics.add_argument(
        '--base-frame', help='frame the pose is read in, of a TFMessage or TransformStamped'
    )
    topics.add_argument('--hand-frame', help='frame of the hand in such messages')
    topics.add_argument(
        '--stamps',
        choices=('header', 'record'),
        help='time of messages: their header stamps or when they were recorded',
    )


def topic_spec(options: argparse.Namespace) -> TopicSpec:
    """The topic file with the options over it. Raises TopicError."""
    spec = TopicSpec.load(options.topics) if options.topics else TopicSpec()
    given = {name: value for name in _FIELDS if (value := getattr(options, name))}
    if options.gripper_range:
        given['gripper_open'], given['gripper_closed'] = options.gripper_range
    return dataclasses.replace(spec, **given)
