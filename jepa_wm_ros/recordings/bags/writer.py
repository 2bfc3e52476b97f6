# SPDX-License-Identifier: Apache-2.0
"""Write what a cell records, as `ros2 bag record` would: pictures, hand pose and joint states."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from jepa_wm_ros.actions import GRIPPER, ROTATION, euler_to_quaternion
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.bags.findings import BagError

BAG_VERSION: Final = 8  # metadata that Humble and later read
JPEG_QUALITY = 85

_STORAGE = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
_COMPRESSION = {
    'message': CompressionMode.MESSAGE,
    'file': CompressionMode.FILE,
    'storage': CompressionMode.STORAGE,
}


@cache
def known_types():
    """The message types that bags are written in."""
    return get_typestore(Stores.ROS2_JAZZY)


class CellBagWriter:
    """A bag of one cell: `image` (or `image/compressed`), `ee_pose` and `joint_states`.

    storage: 'mcap' or 'sqlite3'; compression: None, 'message', 'file' or 'storage' (mcap only);
    images: 'raw', 'jpeg' or 'png'. Stamps are ns; `record` is when the message reached the
    recorder, the stamp itself when left out. Use as a context manager.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        storage: str = 'mcap',
        compression: str | None = None,
        images: str = 'raw',
        prefix: str = '',
    ) -> None:
        self.path = Path(path)
        if self.path.exists():
            raise BagError(f'{self.path}: exists already; remove it or choose another name')
        self._images = images
        self._types = known_types()
        self._writer = Writer(self.path, version=BAG_VERSION, storage_plugin=_STORAGE[storage])
        if compression:
            self._writer.set_compression(_COMPRESSION[compression], CompressionFormat.ZSTD)
        self._topics = {
            'image': (
                f'{prefix}/image' if images == 'raw' else f'{prefix}/image/compressed',
                'sensor_msgs/msg/Image' if images == 'raw' else 'sensor_msgs/msg/CompressedImage',
            ),
            'pose': (f'{prefix}/ee_pose', 'geometry_msgs/msg/PoseStamped'),
            'joints': (f'{prefix}/joint_states', 'sensor_msgs/msg/JointState'),
        }
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> CellBagWriter:
        self._writer.open()
        return self

    def __exit__(self, *_exc) -> None:
        self._writer.close()

    def image(
        self, stamp: int, frame: np.ndarray, record: int | None = None, encoding: str = 'rgb8'
    ) -> None:
        """A camera frame (H, W, 3) uint8 RGB taken at `stamp`; raw ones may claim an encoding."""
        types = self._types.types
        header = self._header(stamp, 'exterior_optical_frame')
        if self._images == 'raw':
            height, width = frame.shape[:2]
            message = types['sensor_msgs/msg/Image'](
                header=header,
                height=height,
                width=width,
                encoding=encoding,
                is_bigendian=0,
                step=3 * width,
                data=np.ascontiguousarray(frame).reshape(-1),
            )
        else:
            stream = io.BytesIO()
            Image.fromarray(frame).save(stream, self._images, quality=JPEG_QUALITY)
            message = types['sensor_msgs/msg/CompressedImage'](
                header=header, format=self._images, data=np.frombuffer(stream.getvalue(), np.uint8)
            )
        self.message('image', message, stamp if record is None else record)

    def pose(self, stamp: int, pose7: np.ndarray, record: int | None = None) -> None:
        """A measured hand pose at `stamp`; its gripper closure is not part of this topic."""
        types = self._types.types
        x, y, z = (float(v) for v in pose7[:3])
        qx, qy, qz, qw = (float(v) for v in euler_to_quaternion(pose7[ROTATION]))
        message = types['geometry_msgs/msg/PoseStamped'](
            header=self._header(stamp, FR3.base_frame),
            pose=types['geometry_msgs/msg/Pose'](
                position=types['geometry_msgs/msg/Point'](x=x, y=y, z=z),
                orientation=types['geometry_msgs/msg/Quaternion'](x=qx, y=qy, z=qz, w=qw),
            ),
        )
        self.message('pose', message, stamp if record is None else record)

    def joints(
        self,
        stamp: int,
        pose7: np.ndarray,
        arm: np.ndarray | None = None,
        record: int | None = None,
    ) -> None:
        """Joint states: the arm's angles (7,) when given, and the fingers at pose7's closure."""
        angles = [] if arm is None else list(arm)
        names = FR3.joints[: len(angles)]
        fingers = [FR3.fingers(float(pose7[GRIPPER]))] * 2
        message = self._types.types['sensor_msgs/msg/JointState'](
            header=self._header(stamp, ''),
            name=[*names, *FR3.finger_joints],
            position=np.array([*angles, *fingers]),
            velocity=np.zeros(0),
            effort=np.zeros(0),
        )
        self.message('joints', message, stamp if record is None else record)

    def message(self, role: str, message, record: int) -> None:
        """Any message on the topic of a role: 'image', 'pose' or 'joints'."""
        if role not in self._connections:
            topic, kind = self._topics[role]
            self._connections[role] = self._writer.add_connection(
                topic, kind, typestore=self._types
            )
        raw = self._types.serialize_cdr(message, self._topics[role][1])
        self._writer.write(self._connections[role], record, raw)

    def _header(self, stamp: int, frame: str):
        types = self._types.types
        return types['std_msgs/msg/Header'](
            stamp=types['builtin_interfaces/msg/Time'](sec=stamp // 10**9, nanosec=stamp % 10**9),
            frame_id=frame,
        )
