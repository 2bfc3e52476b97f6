# SPDX-License-Identifier: Apache-2.0
"""How topics are said and heard, and peers that a node cannot hear, or that cannot hear it, because
their qualities of service differ.

DDS connects no pair of which one asks for more than the other offers, and says nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
)

from jepa_wm_ros.recordings.topics import ChosenTopics

# Best effort hears publishers of either kind; those of franka_ros2 are best effort since 2.4. The
# depth is for a busy moment: a state that is overtaken would leave a gap.
STATES = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # heard by latecomers
TOLD_ONCE = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # ... by several


def quality_of(topic: str, topics: ChosenTopics) -> QoSProfile:
    """How a topic of camera and arm is to be heard."""
    if topic == topics.image.name:
        return qos_profile_sensor_data
    return TOLD_ONCE if topics.fixed and topic == topics.fixed.name else STATES


def mismatches(node: Node) -> Iterator[str]:
    """One line for each pair of a publisher and a subscription, one of them the node's, that DDS
    keeps apart; it names both.
    """
    topics = {each.topic_name for each in (*node.subscriptions, *node.publishers)}
    me = node.get_fully_qualified_name()
    for topic in sorted(topics):
        heard = node.get_subscriptions_info_by_topic(topic)
        for said, asked in itertools.product(node.get_publishers_info_by_topic(topic), heard):
            if me in (_name(said), _name(asked)) and (why := _apart(said, asked)):
                yield f'{topic} from {_name(said)} does not reach {_name(asked)}: {why}'


def _name(end) -> str:
    return f'{end.node_namespace.rstrip("/")}/{end.node_name}'


def _apart(said, asked) -> str:
    # Both as the graph knows them: what a node says of its own ends has other default durations.
    fits, why = qos_check_compatible(said.qos_profile, asked.qos_profile)
    return '' if fits != QoSCompatibility.ERROR else why.replace('ERROR: ', '').strip('; ')
