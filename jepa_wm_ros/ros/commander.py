# SPDX-License-Identifier: Apache-2.0
"""`JepaCommander`: drive the whole graph from a script, without writing a node.

    with JepaCommander() as arm:
        goal = arm.picture()             # the arm stands where it should come back to
        arm.move_to(start)               # pose7
        result = arm.reach([goal])

Calls block until they are done or raise a JepaWmError in one line.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import rclpy
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import PoseStamped
from jepa_wm_msgs.action import ReachGoal
from jepa_wm_msgs.msg import ArmStatus
from jepa_wm_msgs.srv import MoveTo, SetGripper
from lifecycle_msgs.srv import GetState
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger

from jepa_wm_ros import ros_image
from jepa_wm_ros.dds import dds_environment
from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.ros import camera_topic
from jepa_wm_ros.ros.base.convert import from_pose7, message_class, to_ns, to_pose7
from jepa_wm_ros.ros.base.run import spin

CLOSE_SECONDS = 2.0
POLL_SECONDS = 0.2
ASK_SECONDS = 1.0
GONE_SECONDS = 0.5  # for an answer that was sent before its server left the graph


class CommanderError(JepaWmError):
    """Something the graph was asked for did not happen."""


class JepaCommander:
    """A client of camera, controller and planner in one namespace.

    Where rclpy is not initialised it has a context of its own, and ends it; what it may reach is
    this host, or what ROS_AUTOMATIC_DISCOVERY_RANGE or ROS_STATIC_PEERS say. `timeout` [s] bounds
    every wait but that for a goal to end; a server that leaves the graph meanwhile, even one that
    is killed, is missed within 5 s (config/fastdds.xml: leaseDuration). `image` and `transport`
    ('raw' or 'compressed') say where the camera is heard, as the arguments of plan.launch.py do.
    """

    def __init__(
        self, namespace: str = '', timeout: float = 30.0, image: str = 'image', transport: str = ''
    ) -> None:
        self.timeout = timeout
        self._own: Context | None = None
        if not rclpy.ok():  # Ctrl-C stays Python's, so that `close` can still cancel a goal
            os.environ.update(dds_environment())
            self._own = Context()
            rclpy.init(context=self._own, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(
            'jepa_commander', namespace=namespace or None, context=self._own
        )
        self._news = threading.Condition()
        self._image: Image | CompressedImage | None = None
        self._status: ArmStatus | None = None
        self.on_frame: Callable[[Image | CompressedImage], None] | None = None
        self._camera = camera_topic.resolved(self.node, image, transport)
        self.node.create_subscription(
            message_class(self._camera.kind),
            self._camera.name,
            self._on_image,
            qos_profile_sensor_data,
        )
        self.node.create_subscription(ArmStatus, 'arm_status', self._on_status, 1)
        self._reach = ActionClient(self.node, ReachGoal, 'reach_goal')
        self._clients: dict[str, object] = {}
        self._goal = None
        self._executor = SingleThreadedExecutor(context=self._own)
        self._executor.add_node(self.node)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, name='commander', daemon=True)
        self._thread.start()

    def __enter__(self) -> JepaCommander:
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    def close(self) -> None:
        """Cancel a running goal and leave the graph, with all that DDS holds for it.

        Left to Python it would go at any time, also while another commander is given its port.
        """
        goal, self._goal = self._goal, None
        if goal is not None and self.node.context.ok():
            try:
                self._act(goal.cancel_goal_async, 'cancel', CLOSE_SECONDS)
            except CommanderError:
                pass  # a planner that is gone cannot answer
        self._closing.set()
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(timeout=2.0)
        self._reach.destroy()
        self.node.destroy_node()
        if self._own is not None:
            self._own.try_shutdown()
            self._own.destroy()

    # The cell

    def picture(self) -> np.ndarray:
        """A camera picture (H, W, 3) uint8 RGB taken after this call."""
        asked = self.node.get_clock().now().nanoseconds
        with self._news:
            fresh = self._news.wait_for(
                lambda: self._image is not None and to_ns(self._image.header.stamp) > asked,
                self.timeout,
            )
        if not fresh:
            raise CommanderError(
                f'no camera picture within {self.timeout} s: is a camera '
                f'publishing on {self.node.resolve_topic_name(self._camera.name)}?'
            )
        return ros_image.to_rgb8(self._image)

    def pose(self) -> np.ndarray:
        """The measured pose7 of the hand, heard after this call."""
        status = self._arm_status()
        return to_pose7(status.pose, status.gripper)

    def base_frame(self) -> str:
        """The frame that poses of this arm are in."""
        return self._arm_status().header.frame_id

    def _arm_status(self) -> ArmStatus:
        with self._news:
            self._status = None
            if not self._news.wait_for(lambda: self._status is not None, self.timeout):
                raise CommanderError(
                    f'no arm_status within {self.timeout} s: is franka_controller running?'
                )
            return self._status

    # Set-up motions

    def move_to(self, pose7: np.ndarray) -> None:
        """Drive the hand to a pose7 in small straight steps inside the safety envelope."""
        target = PoseStamped(pose=from_pose7(np.asarray(pose7, float)))
        target.header.frame_id = self.base_frame()
        request = MoveTo.Request(target=target)
        self.call(MoveTo, 'franka_controller/move_to', request)

    def set_gripper(self, closure: float) -> None:
        """Open (0) or close (1) the gripper and wait."""
        self.call(SetGripper, 'franka_controller/set_gripper', SetGripper.Request(closure=closure))

    def home(self) -> None:
        """Drive to the home posture."""
        self.call(Trigger, 'franka_controller/home', Trigger.Request())

    def stop(self) -> None:
        """End whatever moves and wait until the arm stands; nothing moves then until `recover`."""
        self.call(Trigger, 'franka_controller/stop', Trigger.Request())

    def recover(self) -> None:
        """Let the arm move again after a fault or a stop, once its cause is gone."""
        self.call(Trigger, 'franka_controller/recover', Trigger.Request())

    # Goals

    def reach(
        self,
        pictures: list[np.ndarray],
        on_feedback: Callable[[ReachGoal.Feedback], None] | None = None,
        max_steps: int = 0,
        tolerance: float = 0.0,
        max_seconds: float = 0.0,
        switch_on: int = ReachGoal.Goal.SWITCH_ON_COST,
        steps_of_goals: Sequence[int] = (),
    ) -> ReachGoal.Result:
        """Reach goal pictures (H, W, 3) uint8 RGB in order; returns the action's result. When it
        goes on from one to the next, switch_on and steps_of_goals say, see ReachGoal.action.

        Ctrl-C cancels the goal, and goes on as a KeyboardInterrupt that says how it ended, when
        the arm stands.
        """
        goal = ReachGoal.Goal(
            goals=[ros_image.fill_image(Image(), picture, 'rgb8') for picture in pictures],
            max_steps=max_steps,
            tolerance=tolerance,
            max_duration=Duration(sec=int(max_seconds), nanosec=int(max_seconds % 1 * 1e9)),
            switch_on=switch_on,
            steps_of_goals=list(steps_of_goals),
        )
        if not self._reach.wait_for_server(self.timeout):
            raise CommanderError('action reach_goal is not there: is the planner node running?')
        self._meet('planner')
        asked = self._begin(
            lambda: self._reach.send_goal_async(
                goal, lambda message: on_feedback and on_feedback(message.feedback)
            )
        )
        try:
            return self._result(asked)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._give_up(asked)) from None

    def _result(self, asked) -> ReachGoal.Result:
        """The result of the goal that was sent with `asked`, when it has ended."""
        handle = self._end(asked, 'reach_goal', self.timeout)
        if not handle.accepted:
            raise CommanderError('goal rejected: another goal is running', FaultCode.BUSY)
        self._goal = handle
        answer = self._act(handle.get_result_async, 'the planner', None)
        self._goal = None
        if answer.status == GoalStatus.STATUS_UNKNOWN:
            raise CommanderError('the planner lost the goal')
        return answer.result

    def _give_up(self, asked) -> str:
        """Cancel the goal, also one that is only just being accepted, and wait for its end: that is
        when the arm stands. Returns how it ended.
        """
        handle = self._end(asked, 'reach_goal', self.timeout)
        if not handle.accepted:
            return 'the goal had been rejected'
        self._act(handle.cancel_goal_async, 'cancel', self.timeout)
        answer = self._act(handle.get_result_async, 'the planner', self.timeout)
        self._goal = None
        return answer.result.error_msg or 'it was reached'

    def cancel(self) -> None:
        """Cancel the running goal, if any, and wait until the planner has taken it."""
        goal, self._goal = self._goal, None
        if goal is not None:
            self._act(goal.cancel_goal_async, 'cancel', self.timeout)

    # Plumbing

    def call(self, kind: type, name: str, request):
        """Call a service and wait; raises when it is missing or answers without success, with the
        code of the answer where it has one.
        """
        client = self._client(kind, name)
        if not client.wait_for_service(self.timeout):
            raise CommanderError(f'service {client.srv_name} is not there within {self.timeout} s')
        answer = self._wait(client.call_async(request), name, self.timeout, client.service_is_ready)
        if not getattr(answer, 'success', True):
            code = getattr(answer, 'error_code', None)
            raise CommanderError(f'{name}: {answer.message}', code and FaultCode(code))
        return answer

    def _client(self, kind: type, name: str):
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        return self._clients[name]

    def _meet(self, node: str) -> None:
        """Wait until a node answers us: an answer to a client that its server has not discovered
        yet is lost, and a goal, unlike this question, must not be sent twice.
        """
        client = self._client(GetState, f'{node}/get_state')
        deadline = time.monotonic() + self.timeout
        while True:
            future = client.call_async(GetState.Request())
            try:
                self._wait(future, node, ASK_SECONDS)
                return
            except CommanderError:
                client.remove_pending_request(future)
                if time.monotonic() > deadline:
                    raise CommanderError(f'{node} did not answer within {self.timeout} s') from None

    def _act(self, ask: Callable, what: str, timeout: float | None):
        """Ask the action server and wait for its answer."""
        return self._end(self._begin(ask), what, timeout)

    def _begin(self, ask: Callable):
        """Ask the action server, in the thread that takes its answers.

        rclpy's action client, unlike its service client, holds no lock: an answer that comes
        before the question is on its list is dropped, and the caller would wait for ever.
        """
        return self._executor.create_task(ask)

    def _end(self, begun, what: str, timeout: float | None):
        """The answer to what was begun."""
        asked = self._wait(begun, what, timeout)
        return self._wait(asked, what, timeout, self._reach.server_is_ready)

    def _wait(
        self, future, what: str, timeout: float | None, there: Callable[[], bool] = lambda: True
    ):
        """The result of a future; `timeout` [s], or None: as long as its server is `there`."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        deadline = None if timeout is None else time.monotonic() + timeout
        while not done.wait(POLL_SECONDS):  # short waits let an interrupt through
            if not self._thread.is_alive():
                raise CommanderError(f'{what}: the connection to ROS has ended')
            if not there() and not done.wait(GONE_SECONDS):
                raise CommanderError(f'{what}: its node has left the graph; is it still running?')
            if deadline is not None and time.monotonic() > deadline:
                raise CommanderError(f'{what} did not answer within {timeout} s')
        return future.result()

    def _spin(self) -> None:
        try:
            spin(self._executor, self._closing.is_set)
        except ExternalShutdownException:
            pass

    def _on_image(self, message: Image | CompressedImage) -> None:
        with self._news:
            self._image = message
            self._news.notify_all()
        if self.on_frame is not None:
            self.on_frame(message)

    def _on_status(self, message: ArmStatus) -> None:
        with self._news:
            self._status = message
            self._news.notify_all()
