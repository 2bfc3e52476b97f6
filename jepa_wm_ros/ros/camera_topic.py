# SPDX-License-Identifier: Apache-2.0
"""Where a camera is heard: the parameters `image` and `transport`, and image_transport's names."""

from __future__ import annotations

from rclpy.node import Node

from jepa_wm_ros.arguments import TRANSPORTS
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.recordings.topics import Topic
from jepa_wm_ros.ros.base.parameters import Parameters

RAW, COMPRESSED = TRANSPORTS
KINDS = {RAW: 'sensor_msgs/msg/Image', COMPRESSED: 'sensor_msgs/msg/CompressedImage'}
SUFFIX = f'/{COMPRESSED}'


def declare(node: Parameters) -> None:
    """Declare the two parameters. Raises JepaWmError for a transport that is not known."""
    node.declare('image', '', 'Camera topic in place of the one in `topics`.', read_only=True)
    node.declare(
        'transport',
        '',
        'raw, or compressed: heard on <image>/compressed; empty: as the topic is called.',
        read_only=True,
    )
    node.check('transport', by=_check)


def heard(node: Parameters, described: Topic) -> Topic:
    """The topic of the camera that `topics` describes so, with the parameters in force."""
    image, transport = node.value('image'), node.value('transport')
    if not image and not transport:
        return described
    return resolved(node, image or described.name, transport)


def resolved(node: Node, image: str, transport: str = '') -> Topic:
    """The topic on which `node` hears a camera by a transport; without one, by the topic's name.

    As image_transport does it, a transport is appended to the name that remappings have led to.
    """
    if not transport:
        transport = COMPRESSED if image.endswith(SUFFIX) else RAW
    image = image.removesuffix(SUFFIX)
    if transport == COMPRESSED:
        image = node.resolve_topic_name(image) + SUFFIX
    return Topic(image, KINDS[transport])


def _check(transport: str) -> None:
    if transport not in ('', *TRANSPORTS):
        raise JepaWmError(f'transport is {transport!r}: use {" or ".join(TRANSPORTS)}')
