# SPDX-License-Identifier: Apache-2.0
"""The action reach_goal in a topic and two services, for who can call services but no actions, such
as Foxglove and Lichtblick.

Hears   ~/goal_image (Image): the newest is the goal of the next ~/reach; alone it moves nothing
Says    ~/status (String): how goals go, of whatever origin; who comes late hears the last line
Serves  ~/reach (Trigger): begins a goal and answers at once whether it has begun
        ~/cancel (Trigger): ends the goal that runs, and answers when the arm stands
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jepa_wm_msgs.action import ReachGoal
from rclpy.callback_groups import ReentrantCallbackGroup
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from jepa_wm_ros.control.progress import Outcome, Progress
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.ros.base.node import NodeBase
from jepa_wm_ros.ros.base.qos import LATCHED
from jepa_wm_ros.ros.base.worker import Turn, Worker, WorkSlot

CANCELLED = Fault(FaultCode.CANCELED, 'cancelled by ~/cancel')


class ServiceGoal:
    """A goal without a client of the action: what of its handle the planner asks."""

    is_cancel_requested = False  # ~/cancel ends its turn

    def __init__(self, picture: Image) -> None:
        self.request = ReachGoal.Goal(goals=[picture])

    def publish_feedback(self, feedback: ReachGoal.Feedback) -> None:
        """Nobody takes it; ~/status says the same."""


class GoalServices:
    """Lets goals begin and end by services. `claim()` gives a turn or None when there is none to be
    had, `pursue(goal, turn)` runs a goal to its end in `worker`.
    """

    def __init__(
        self,
        node: NodeBase,
        slot: WorkSlot,
        worker: Worker,
        claim: Callable[[], Turn | None],
        pursue: Callable,
    ) -> None:
        self._node, self._slot, self._worker = node, slot, worker
        self._claim, self._pursue = claim, pursue
        self._picture: Image | None = None
        self._text = ''
        self._status = node.create_publisher(String, '~/status', LATCHED)
        node.create_subscription(Image, '~/goal_image', self._on_picture, 1)
        group = ReentrantCallbackGroup()  # who waits for an end must not hold up the arm's status
        for name, callback in (('reach', self._on_reach), ('cancel', self._on_cancel)):
            node.create_service(Trigger, f'~/{name}', callback, callback_group=group)

    def tell(self, progress: Progress) -> None:
        """Say how a goal goes."""
        cost = f'cost {progress.cost:.4f}' if math.isfinite(progress.cost) else 'no picture yet'
        self._say(
            f'{progress.phase.name.lower()}: picture {progress.goal_index + 1}, '
            f'step {progress.step}, {cost}'
        )

    def tell_end(self, outcome: Outcome) -> None:
        """Say how a goal ended."""
        steps = f'after {outcome.progress.step} steps'
        why = f': {outcome.message}' if outcome.message else ''
        self._say(f'{outcome.code.name} {steps}{why}')

    def _say(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self._status.publish(String(data=text))

    def _on_picture(self, picture: Image) -> None:
        self._picture = picture

    def _on_reach(self, _request, response):
        picture = self._picture
        if picture is None:
            raise Fault(FaultCode.EMPTY_GOAL, 'no picture has come on ~/goal_image yet')
        turn = self._claim()
        if turn is None:
            raise Fault(FaultCode.BUSY, 'another goal is running (parameter on_new_goal)')
        self._node.executor.create_task(self._run, ServiceGoal(picture), turn)
        response.success, response.message = True, 'begun: ~/status says how it goes'
        return response

    async def _run(self, goal: ServiceGoal, turn: Turn) -> None:
        with turn.owed:
            await self._pursue(goal, turn)

    async def _on_cancel(self, _request, response):
        ended = self._slot.end(CANCELLED)
        await self._worker.submit(lambda: None)  # its turn comes when the goal has ended
        response.success = True
        response.message = 'the goal has ended' if ended else 'no goal was running'
        return response
