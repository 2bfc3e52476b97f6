# SPDX-License-Identifier: Apache-2.0
"""Goals sent to the planner from inside a node, one at a time, and the way to stop them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from jepa_wm_msgs.action import ReachGoal
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from jepa_wm_ros import ros_image
from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError
from jepa_wm_ros.ros.base.node import NodeBase

LOOK_SECONDS = 0.5  # how often it is seen whether the planner is there
ANSWER_SECONDS = 10.0  # the longest the planner may take to take a goal or not
CLOSE_SECONDS = 2.0  # ... and to take a cancel when the node stops
STOPPED = Fault(FaultCode.CANCELED, 'stopped before the planner took the goal')


class ReachClient:
    """Everything here runs in the executor's thread, but `begin` and `close`, which any other may
    call. Whoever wants a motion notes `stops` when it is asked for: a stop that comes later wins.
    """

    def __init__(
        self,
        node: NodeBase,
        on_feedback: Callable[[ReachGoal.Feedback], None],
        on_end: Callable[[FaultCode, str], None],
    ) -> None:
        """on_end(code, line) is told how each goal that was begun has ended."""
        self._node, self._on_feedback, self._on_end = node, on_feedback, on_end
        self._reach = node.create_action_client(ReachGoal, 'reach_goal')
        self._planner = node.create_client(GetState, 'planner/get_state')
        self._stop = node.create_client(Trigger, 'franka_controller/stop')
        self._recover = node.create_client(Trigger, 'franka_controller/recover')
        self.stops = 0
        self._idle = threading.Event()
        self._idle.set()
        self._handle = None
        self._awaited: Future | None = None  # what a goal waits for, ...
        self._deadline = float('inf')  # ... and until when
        self._met: Future | None = None
        node.create_steady_timer(LOOK_SECONDS, self._watch)

    @property
    def busy(self) -> bool:
        """Whether a goal runs."""
        return not self._idle.is_set()

    def begin(self, pictures: Sequence[np.ndarray], stops: int) -> None:
        """Have the arm reach pictures (H, W, 3) uint8 in order. Raises JepaWmError while a goal
        runs, and where a stop has come since `stops` was noted.
        """
        if self.busy:
            raise JepaWmError('a goal runs already: wait, or stop it first', FaultCode.BUSY)
        if stops != self.stops:
            raise STOPPED
        goal = ReachGoal.Goal(
            goals=[ros_image.fill_image(Image(), picture, 'rgb8') for picture in pictures]
        )
        self._idle.clear()
        self._node.executor.create_task(self._run, goal, stops)

    def stop(self) -> Future:
        """Cancel the goal and stop the arm, whoever moves it; the future of the controller's
        answer. Raises JepaWmError where no controller is there to be asked.
        """
        self.stops += 1
        if self._handle is not None:
            self._handle.cancel_goal_async()
        elif self.busy:
            self._give_up(STOPPED)
        return _ask(self._stop, ' If the arm moves, use its emergency stop')

    def recover(self) -> Future:
        """Let the arm move again after a stop or a fault; as `stop`."""
        return _ask(self._recover)

    def close(self) -> None:
        """Cancel the goal, if any, and wait until it has ended here."""
        self.stops += 1
        executor = self._node.executor
        if self._idle.is_set() or executor is None:
            return
        handle = self._handle
        if handle is not None:
            executor.create_task(handle.cancel_goal_async)
        if not self._idle.wait(CLOSE_SECONDS):
            executor.create_task(self._give_up, self._node.stopping_fault())
            self._idle.wait(CLOSE_SECONDS)

    async def _run(self, goal: ReachGoal.Goal, stops: int) -> None:
        try:
            result = await self._pursue(goal, stops)
            code = FaultCode(result.error_code)
            line = result.error_msg or f'reached in {result.steps} steps'
        except JepaWmError as error:
            code, line = error.code, str(error)
        except Exception as error:  # a bug: who began the goal must still hear of its end
            self._node.errors.tell(error, 'goal')
            code, line = FaultCode.INTERNAL, 'the goal failed: see the log of this node'
        self._handle = None
        self._idle.set()
        self._on_end(code, line)

    async def _pursue(self, goal: ReachGoal.Goal, stops: int) -> ReachGoal.Result:
        if not self._reach.server_is_ready():
            raise JepaWmError('action reach_goal is not there: is the planner node running?')
        await self._meet()
        if stops != self.stops:
            raise STOPPED
        sent = self._reach.send_goal_async(goal, lambda said: self._on_feedback(said.feedback))
        try:
            handle = await self._answer(sent, ANSWER_SECONDS)
        except JepaWmError:
            sent.add_done_callback(_cancel_late)
            raise
        if not handle.accepted:
            raise JepaWmError('the planner took no goal: another one is running', FaultCode.BUSY)
        self._handle = handle
        if stops != self.stops:
            handle.cancel_goal_async()
        return (await self._answer(handle.get_result_async(), float('inf'))).result

    async def _meet(self) -> None:
        """Wait until the planner answers: what it answers a client it does not know yet is lost,
        and a goal, unlike this question, must not be sent twice.
        """
        self._met = Future(executor=self._node.executor)
        self._ask_planner()
        try:
            await self._answer(self._met, ANSWER_SECONDS)
        finally:
            self._met = None

    async def _answer(self, future: Future, seconds: float):
        """The result of a future of the planner's; JepaWmError when it is late or leaves."""
        awaited = self._awaited = Future(executor=self._node.executor)
        self._deadline = time.monotonic() + seconds
        future.add_done_callback(lambda _: awaited.done() or awaited.set_result(None))
        await awaited
        return future.result()

    def _ask_planner(self) -> None:
        met = self._met
        asked = self._planner.call_async(GetState.Request())
        asked.add_done_callback(lambda _: met.done() or met.set_result(None))

    def _watch(self) -> None:
        if self._idle.is_set():
            return
        if self._met is not None:
            self._ask_planner()
        if not self._reach.server_is_ready():
            self._give_up(JepaWmError('the planner has left the graph: is it still running?'))
        elif time.monotonic() > self._deadline:
            self._give_up(JepaWmError(f'the planner did not answer within {ANSWER_SECONDS:g} s'))

    def _give_up(self, error: JepaWmError) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(error)


def _ask(client: Client, otherwise: str = '') -> Future:
    if not client.service_is_ready():
        raise JepaWmError(
            f'{client.srv_name} is not there: is franka_controller running?{otherwise}',
            FaultCode.CONTROLLER_LOST,
        )
    return client.call_async(Trigger.Request())


def _cancel_late(sent: Future) -> None:
    """Cancel a goal that was taken after nobody waited for it any more."""
    handle = sent.result()
    if handle is not None and handle.accepted:
        handle.cancel_goal_async()
