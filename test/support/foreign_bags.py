# SPDX-License-Identifier: Apache-2.0
"""Bags as other people's graphs leave them: any topics and types, frames as a URDF has them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from scipy.spatial.transform import Rotation

from support.bags import START, picture_at

PLUGINS = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
NO_DIGEST = f'RIHS01_{"0" * 64}'
EVENT = 'example_interfaces/srv/AddTwoInts_Event'
EVENT_TEXT = 'int64 a\nint64 b\n---\nint64 sum\n'  # what rosbag2 stores of a service's events
HALF = np.pi / 2
# Of franka_description's URDF: where each joint's frame, turned about z, lies in the one before.
URDF = (
    ((0, 0, 0.333), (0, 0, 0)),
    ((0, 0, 0), (-HALF, 0, 0)),
    ((0, -0.316, 0), (HALF, 0, 0)),
    ((0.0825, 0, 0), (HALF, 0, 0)),
    ((-0.0825, 0.384, 0), (-HALF, 0, 0)),
    ((0, 0, 0), (HALF, 0, 0)),
    ((0.088, 0, 0), (HALF, 0, 0)),
)
URDF_FIXED = (
    ('link7', 'link8', (0, 0, 0.107), (0, 0, 0)),
    ('link8', 'hand', (0, 0, 0), (0, 0, -np.pi / 4)),
    ('hand', 'hand_tcp', (0, 0, 0.1034), (0, 0, 0)),
)


class ForeignBag:
    """Writes any message on any topic. Use as a context manager."""

    def __init__(self, path, storage: str = 'mcap') -> None:
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._writer = Writer(path, version=8, storage_plugin=PLUGINS[storage])
        self._connections: dict = {}

    def __enter__(self):
        self._writer.open()
        return self

    def __exit__(self, *_exc) -> None:
        self._writer.close()

    def define(self, kind: str, text: str) -> None:
        """Make a message type known that ROS 2 does not bring."""
        self._types.register(get_types_from_msg(text, kind))

    def add(self, topic: str, kind: str, text: str | None = None) -> None:
        """A topic with no message yet; with a `text` as its definition, whatever that says."""
        given = (
            {'typestore': self._types} if text is None else {'msgdef': text, 'rihs01': NO_DIGEST}
        )
        self._connections[topic] = self._writer.add_connection(topic, kind, **given)

    def raw(self, topic: str, stamp: int, content: bytes) -> None:
        """Bytes as the message of a topic that was added."""
        self._writer.write(self._connections[topic], stamp, content)

    def say(self, topic: str, kind: str, stamp: int, message) -> None:
        """A message recorded at its stamp [ns], its fields as those of simple namespaces."""
        if topic not in self._connections:
            self.add(topic, kind)
        typed = self._typed(message, kind)
        self.raw(topic, stamp, self._types.serialize_cdr(typed, kind))

    def _typed(self, value, kind: str):
        """A message of rosbags' own class with the fields of `value`, others at zero."""
        fields = {
            name: self._field(getattr(value, name, None), *what)
            for name, what in self._types.fielddefs[kind][1]
        }
        return self._types.types[kind](**fields)

    def _field(self, value, shape, what):
        if shape == Nodetype.NAME:
            return self._typed(value, what)
        if shape == Nodetype.BASE:
            return value if value is not None else ('' if what[0] == 'string' else 0)
        (inner, of), length = what
        if inner == Nodetype.NAME:
            return [self._typed(each, of) for each in value or ()]
        if of[0] == 'string':
            return list(value or ())
        return np.zeros(length, of[0]) if value is None else np.asarray(value, of[0])


def value_of(**fields) -> SimpleNamespace:
    """A message, or a part of one."""
    return SimpleNamespace(**fields)


def header(stamp: int, frame: str = '') -> SimpleNamespace:
    return value_of(stamp=value_of(sec=stamp // 10**9, nanosec=stamp % 10**9), frame_id=frame)


def xyz(values) -> SimpleNamespace:
    return value_of(**dict(zip('xyz', map(float, values), strict=True)))


def xyzw(values) -> SimpleNamespace:
    return value_of(**dict(zip('xyzw', map(float, values), strict=True)))


def image(stamp: int) -> SimpleNamespace:
    """The picture at a stamp, raw."""
    picture = picture_at((stamp - START) / 1e9)
    height, width = picture.shape[:2]
    return value_of(
        header=header(stamp),
        height=height,
        width=width,
        encoding='rgb8',
        step=3 * width,
        data=picture.reshape(-1),
    )


def joint_states(stamp: int, positions: dict[str, float]) -> SimpleNamespace:
    return value_of(
        header=header(stamp), name=list(positions), position=np.array([*positions.values()], float)
    )


def transform(stamp: int, parent: str, child: str, position, rotation) -> SimpleNamespace:
    """A TransformStamped; rotation is scipy's."""
    return value_of(
        header=header(stamp, parent),
        child_frame_id=child,
        transform=value_of(translation=xyz(position), rotation=xyzw(rotation.as_quat())),
    )


def frames(*transforms) -> SimpleNamespace:
    return value_of(transforms=list(transforms))


def moving_frames(stamp: int, q, arm: str = 'fr3_') -> SimpleNamespace:
    """What robot_state_publisher says on /tf of an arm with joint angles q (7,) [rad]."""
    return frames(
        *(
            transform(
                stamp,
                f'{arm}link{k}',
                f'{arm}link{k + 1}',
                position,
                Rotation.from_euler('xyz', euler) * Rotation.from_euler('z', angle),
            )
            for k, ((position, euler), angle) in enumerate(zip(URDF, q, strict=True))
        )
    )


def fixed_frames(stamp: int, arm: str = 'fr3_') -> SimpleNamespace:
    """What robot_state_publisher says on /tf_static."""
    return frames(
        *(
            transform(
                stamp, f'{arm}{parent}', f'{arm}{child}', at, Rotation.from_euler('xyz', euler)
            )
            for parent, child, at, euler in URDF_FIXED
        )
    )
