# SPDX-License-Identifier: Apache-2.0
"""What the demo asks of the simulated cell over ROS: tasks, pictures, the true hand position."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
from geometry_msgs.msg import PoseStamped
from jepa_wm_msgs.action import ReachGoal
from jepa_wm_msgs.msg import ArmStatus
from jepa_wm_msgs.srv import DescribeModel, ResetScene
from sensor_msgs.msg import Image
from std_msgs.msg import Float64

from jepa_wm_ros import ros_image
from jepa_wm_ros.bringup import ProcessGroup
from jepa_wm_ros.ros.base.convert import to_ns
from jepa_wm_ros.ros.commander import CommanderError, JepaCommander
from jepa_wm_ros.ros.demo.random_walk import RandomWalk
from jepa_wm_ros.sim.variation import sample_reach_task

READY_SECONDS = 90.0


class StepWatch:
    """Tells of each plan once, from the feedback of a goal: `tell(step, cost, planning_seconds)`
    hears the first cost seen at the start (step 0) and the one seen after the motions of a plan.
    """

    def __init__(self, tell: Callable[[int, float, float], None]) -> None:
        self._tell = tell
        self.latencies: list[float] = []  # of each motion [s]
        # the newest motion, as long as no cost has followed; at the start there was none
        self._moved: ReachGoal.Feedback | None = ReachGoal.Feedback()

    def __call__(self, said: ReachGoal.Feedback) -> None:
        if said.phase == ReachGoal.Feedback.MOVING:
            self.latencies.append(said.latency_seconds)
            self._moved = said
        elif said.phase == ReachGoal.Feedback.WAITING_FOR_OBSERVATION and self._moved is not None:
            if math.isnan(said.cost):
                return  # nothing has been seen yet
            self._tell(said.step, said.cost, self._moved.planning_seconds)
            self._moved = None


class DemoCell(JepaCommander):
    """The commander of a simulated cell that also knows the simulator's ground truth."""

    def __init__(self, group: ProcessGroup, namespace: str = '') -> None:
        super().__init__(namespace, timeout=60.0)
        self._group = group
        self._hand: tuple[int, np.ndarray] | None = None
        self._cube: tuple[int, np.ndarray] | None = None
        self.table_force = math.nan  # N, the most since the cube was laid down
        self.latencies: list[float] = []
        self.node.create_subscription(PoseStamped, 'sim_cell/hand_pose', self._on_hand, 1)
        self.node.create_subscription(PoseStamped, 'sim_cell/cube_pose', self._on_cube, 1)
        self.node.create_subscription(Float64, 'sim_cell/table_force', self._on_force, 1)
        self._walk = RandomWalk(self.node)

    def wait_until_ready(self) -> None:
        """Wait for camera, arm, model and planner; a process that dies first is named."""
        deadline = time.monotonic() + READY_SECONDS
        describe = self.node.create_client(DescribeModel, 'world_model/describe')
        waits = {
            'the world model': lambda: describe.wait_for_service(0.2),
            'the planner': lambda: self._reach.wait_for_server(0.2),
            'the camera': lambda: self._heard(lambda: self._image is not None),
            'the arm': lambda: self._heard(
                lambda: self._status and self._status.mode == ArmStatus.MODE_READY
            ),
            'the simulator': lambda: self._heard(lambda: self._hand is not None),
        }
        for what, ready in waits.items():
            while not ready():
                self._group.check()
                if time.monotonic() > deadline:
                    raise CommanderError(f'{what} was not ready within {READY_SECONDS:.0f} s')

    def check(self) -> None:
        """Raise when one of the processes has ended."""
        self._group.check()

    def prepare(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Set the task of `seed`: returns the goal picture and the true hand position in it [m].

        The arm then stands at the start, and the cube where it stood in the picture.
        """
        task = sample_reach_task(seed)
        self.reset(seed)
        self.move_to(task.goal)
        self.reset(seed)  # the hand may have touched the cube on its way
        picture, position = self.picture(), self.hand_position()
        self.move_to(task.start)
        self.reset(seed)
        return picture, position

    def hand_position(self) -> np.ndarray:
        """The simulator's own hand position (3,) [m], taken after this call."""
        return self._next(lambda: self._hand, 'hand_pose')

    def cube_position(self) -> np.ndarray:
        """The simulator's own cube position (3,) [m], taken after this call."""
        return self._next(lambda: self._cube, 'cube_pose')

    def latest_cube(self) -> np.ndarray:
        """The newest cube position (3,) [m] that the simulator has told."""
        return self.cube_position() if self._cube is None else self._cube[1]

    def latest_hand(self) -> np.ndarray:
        """The newest hand position (3,) [m] that the simulator has told."""
        return self.hand_position() if self._hand is None else self._hand[1]

    def _next(self, told: Callable[[], tuple[int, np.ndarray] | None], topic: str) -> np.ndarray:
        asked = self.node.get_clock().now().nanoseconds

        def newer() -> bool:
            latest = told()
            return latest is not None and latest[0] > asked

        with self._news:
            if not self._news.wait_for(newer, self.timeout):
                raise CommanderError(f'the simulator does not publish sim_cell/{topic}')
            latest = told()
            assert latest is not None
            return latest[1]

    @contextlib.contextmanager
    def filming(
        self,
        on_frame: Callable[[np.ndarray], None],
        on_imagined: Callable[[np.ndarray], None] | None = None,
    ) -> Iterator[None]:
        """Hand over every picture of the camera, at half its size, and what a model with a decoder
        imagines of its plans, as filmstrips: they are drawn only for who asks to hear of them.
        """
        # A copy: a view would keep the whole picture, and a film has thousands of them.
        self.on_frame = lambda message: on_frame(ros_image.to_rgb8(message)[::2, ::2].copy())
        strips = on_imagined and self.node.create_subscription(
            Image,
            'world_model/imagined',
            lambda message: on_imagined(ros_image.to_rgb8(message)),
            1,
        )
        try:
            yield
        finally:
            self.on_frame = None
            if strips:
                self.node.destroy_subscription(strips)

    def watch(self, picture: np.ndarray, on_step, frames: list, max_steps: int):
        """Reach a picture, collecting camera frames. `on_step(step, cost, seconds, position)` is
        told what `StepWatch` tells, and the true hand position then.
        """
        watch = StepWatch(lambda *told: on_step(*told, self._hand[1]))
        try:
            with self.filming(frames.append):
                return self.reach([picture], watch, max_steps=max_steps)
        finally:
            self.latencies += watch.latencies

    def walk(self, seed: int, steps: int) -> None:
        """Take random steps through the same controller and the same loop as the planner."""
        self._walk.take(seed, steps)

    def reset(self, seed: int) -> None:
        """Lay the cube where it lies in the cell of a seed, in its light."""
        self.call(ResetScene, 'sim_cell/reset_scene', ResetScene.Request(seed=seed))

    def _heard(self, condition) -> bool:
        with self._news:
            return bool(self._news.wait_for(condition, 0.2))

    def _on_hand(self, message: PoseStamped) -> None:
        with self._news:
            self._hand = _place(message)
            self._news.notify_all()

    def _on_cube(self, message: PoseStamped) -> None:
        with self._news:
            self._cube = _place(message)
            self._news.notify_all()

    def _on_force(self, message: Float64) -> None:
        self.table_force = message.data


def _place(message: PoseStamped) -> tuple[int, np.ndarray]:
    """Stamp [ns] and position (3,) [m]."""
    p = message.pose.position
    return to_ns(message.header.stamp), np.array([p.x, p.y, p.z])
