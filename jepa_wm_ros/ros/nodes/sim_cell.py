# SPDX-License-Identifier: Apache-2.0
"""Node `sim_cell`: a simulated arm on a loopback address and the camera that looks at it.

Says    image (Image) and camera_info (CameraInfo) unless `pictures` is false, ~/hand_pose and
        ~/cube_pose (PoseStamped) and ~/table_force (Float64, the most [N] that the arm has pressed
        on the table since the last ~/reset_scene): the simulator's truth, to judge by and never to
        plan from; /tf_static (camera), /diagnostics
Serves  the arm's network protocol at `arm_address`, ~/reset_scene
"""

from __future__ import annotations

import time

import numpy as np
from geometry_msgs.msg import PoseStamped
from jepa_wm_msgs.srv import ResetScene
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float64, Header

from jepa_wm_ros import ros_image
from jepa_wm_ros.fr3 import FR3, arm_named
from jepa_wm_ros.ros.base.convert import from_pose7, pose_message, to_stamp
from jepa_wm_ros.ros.base.diagnostics import Diagnostics
from jepa_wm_ros.ros.base.node import NodeBase
from jepa_wm_ros.ros.base.run import leave, run
from jepa_wm_ros.ros.frames import FrameSpeaker, transform
from jepa_wm_ros.sim.design import HEIGHT, WIDTH, CellDesign, cell_design
from jepa_wm_ros.sim.render import CellRenderer
from jepa_wm_ros.sim.scene import CAMERA, OPTICAL_FRAME
from jepa_wm_ros.sim.server import ArmServer
from jepa_wm_ros.sim.shared_state import Snapshot
from jepa_wm_ros.sim.variation import cell_of_seed

NOMINAL_RATE = 1000.0  # Hz, of the arm's control loop
CAMERA_SECONDS = 30.0  # the longest the camera may take to open


class SimCell(NodeBase):
    """Physics run in the arm server's process, pictures are drawn in a worker thread of this one.

    A picture shows one snapshot of the physics, and its stamp is when that was taken.
    """

    def __init__(self) -> None:
        super().__init__('sim_cell')
        fixed = {'read_only': True}
        self.declare('arm_address', '127.0.0.1', 'Loopback address to serve the arm at.', **fixed)
        self.declare('rate', 10.0, 'Pictures per second [Hz].', bounds=(0.1, 60.0), **fixed)
        self.declare('width', WIDTH, 'Picture width [pixels].', bounds=(16, 1920), **fixed)
        self.declare('height', HEIGHT, 'Picture height [pixels].', bounds=(16, 1080), **fixed)
        self.declare('camera', CAMERA, 'Camera of the scene to look through.', **fixed)
        self.declare(
            'arm_prefix', '', 'What the names of its frames begin with, as in left_.', **fixed
        )
        self.declare(
            'cell',
            0,
            'Which cell: 0 is the one that the shipped model knows, any other number one with '
            'another camera, table, light and cube.',
            bounds=(0, 2**31 - 1),
            **fixed,
        )
        self.declare(
            'pictures',
            True,
            'Draw and publish what the camera sees; false where a real camera does.',
            **fixed,
        )
        self.server: ArmServer | None = None
        self._camera: CellRenderer | None = None

    # What it allocates

    def setup(self) -> None:
        prefix = self.value('arm_prefix')
        self._base_frame = arm_named(FR3.name, prefix).base_frame
        self._optical_frame = prefix + OPTICAL_FRAME
        self._design = cell_design(self.value('cell'))
        self.server = ArmServer(self.value('arm_address'), self.value('cell'))
        self.own(self._stop_server)
        self.server.start()
        self.worker = self.create_worker('camera')
        if self.value('pictures'):
            self.own(lambda: self.worker.call(self._close_camera))
            self.worker.call(self._open_camera, CAMERA_SECONDS)
        self.diagnostics.hardware_id = f'simulated FR3 at {self.server.address}'

    def start(self) -> None:
        self._picture = None  # the future of the picture being drawn
        self._info = camera_info(self._design, self.value('width'), self.value('height'))
        self._sent = self._late = 0
        self._last = (time.monotonic(), 0)
        self._said = {
            'hand': self.create_publisher(PoseStamped, '~/hand_pose', 1),
            'cube': self.create_publisher(PoseStamped, '~/cube_pose', 1),
            'force': self.create_publisher(Float64, '~/table_force', 1),
        }
        place = pose_message(*self._design.camera_pose())
        FrameSpeaker(self, fixed=True).say(
            transform(self._base_frame, self._optical_frame, place, to_stamp(self.now_ns()))
        )
        if self.value('pictures'):
            qos = qos_profile_sensor_data
            self._said['image'] = self.create_publisher(Image, 'image', qos)
            self._said['info'] = self.create_publisher(CameraInfo, 'camera_info', qos)
            self.add_part('camera', self._camera_state)
        self.create_service(ResetScene, '~/reset_scene', self._on_reset_scene)
        self.create_steady_timer(1.0 / self.value('rate'), self._shoot)
        self.add_part('arm', self._arm_state)

    # What it says

    def _shoot(self) -> None:
        """Take a snapshot and have it drawn; one that would queue behind another is skipped."""
        if self._picture is not None:
            if not self._picture.done():
                self._late += 1
                return
            self._picture.result()  # raises what went wrong in the worker
        self._picture = self.worker.submit(self._draw, self.server.snapshot())

    def _draw(self, snapshot: Snapshot) -> None:
        pixels = None if self._camera is None else self._camera.render(snapshot.qpos)
        age = time.time_ns() - snapshot.stamp
        stamp = to_stamp(self.now_ns() - age)
        if pixels is not None:
            message = ros_image.fill_image(Image(), pixels, 'rgb8')
            message.header = Header(stamp=stamp, frame_id=self._optical_frame)
            self._info.header = message.header
            self._said['image'].publish(message)
            self._said['info'].publish(self._info)
        self._publish_truth(stamp, snapshot)
        self._sent += 1

    def _publish_truth(self, stamp, snapshot: Snapshot) -> None:
        header = Header(stamp=stamp, frame_id=self._base_frame)
        cube = snapshot.qpos[9:]
        self._said['hand'].publish(PoseStamped(header=header, pose=from_pose7(snapshot.hand_pose)))
        self._said['cube'].publish(
            PoseStamped(header=header, pose=pose_message(cube[:3], cube[[4, 5, 6, 3]]))
        )
        self._said['force'].publish(Float64(data=snapshot.table_force))

    # What it serves

    def _on_reset_scene(self, request, response):
        cell = cell_of_seed(request.seed, self._design)
        self.server.reset_cube(cell.cube_pose)
        if self._camera is not None:
            self.worker.submit(lambda: self._camera.set_appearance(cell.appearance))
        response.success = True
        response.message = f'cube at {np.round(cell.cube[:2], 3).tolist()} m'
        return response

    # What runs in the worker: an OpenGL context belongs to one thread

    def _open_camera(self) -> None:
        size = self.value('width'), self.value('height')
        self._camera = CellRenderer(*size, self.value('camera'), self._design)

    def _close_camera(self) -> None:
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _stop_server(self) -> None:
        self.server.stop()
        self.server = None

    # What it says of itself

    def _camera_state(self):
        sent, late, self._sent, self._late = self._sent, self._late, 0, 0
        values = {'frames_per_second': sent, 'skipped': late}
        if sent == 0:
            return Diagnostics.ERROR, 'no pictures', values
        if late:
            return Diagnostics.WARN, 'drawing takes longer than the period', values
        return Diagnostics.OK, 'pictures are drawn in time', values

    def _arm_state(self):
        now, steps = time.monotonic(), self.server.snapshot().steps
        (before, earlier), self._last = self._last, (now, steps)
        rate = (steps - earlier) / max(now - before, 1e-6)
        values = {'steps_per_second': f'{rate:.0f}'}
        if rate < NOMINAL_RATE / 2:
            return Diagnostics.WARN, 'starved: the arm moves in slow motion', values
        return Diagnostics.OK, 'running', values


def camera_info(design: CellDesign, width: int, height: int) -> CameraInfo:
    """CameraInfo of a cell's camera, a pinhole without distortion; the header is left empty."""
    matrix = design.camera_matrix(width, height)
    info = CameraInfo(width=width, height=height, distortion_model='plumb_bob', d=[0.0] * 5)
    info.k = matrix.ravel().tolist()
    info.r = np.eye(3).ravel().tolist()
    info.p = np.hstack([matrix, np.zeros((3, 1))]).ravel().tolist()
    return info


def main(args: list[str] | None = None) -> None:
    """Run the node until it is interrupted."""
    leave(run(SimCell, args))
