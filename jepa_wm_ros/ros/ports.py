# SPDX-License-Identifier: Apache-2.0
"""How the planner reaches the rest of the graph: world-model services, arm commands and status.

Everything here but the subscription callback runs in the planner's worker thread and may wait.
"""

from __future__ import annotations

import array
import math
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jepa_wm_msgs.srv import (
    DescribeModel,
    FreezeContext,
    InterruptScoring,
    PrepareGoal,
    ScoreActions,
)
from rclpy.callback_groups import ReentrantCallbackGroup
from sensor_msgs.msg import CompressedImage, Image

from jepa_wm_ros import actions as convention
from jepa_wm_ros.control.ports import Motion, Observation
from jepa_wm_ros.errors import Fault, FaultCode, Interrupted
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.ros.arm_port import POLL_SECONDS, ArmPort
from jepa_wm_ros.ros.base.convert import objective_message, to_ns, to_pose7, to_stamp
from jepa_wm_ros.ros.base.node import NodeBase

SERVICE_SECONDS = 5.0  # for a service to appear in the graph
ASK_AGAIN_SECONDS = 1.0  # without an answer to a question that may be repeated


class ServiceScore:
    """The `score` seam over the world model's service: (N, H, A) actions in, (N,) costs out."""

    device = torch.device('cpu')

    def __init__(self, ports: RosPorts, seen: Observation, action_dim: int) -> None:
        self._ports, self._context_id, self.action_dim = ports, seen.context_id, action_dim
        self.proposal = None if seen.proposal is None else torch.from_numpy(seen.proposal)

    def __call__(self, actions: torch.Tensor) -> torch.Tensor:
        """Costs of candidates."""
        return self._ask(actions, False)[0]

    def gradient(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs and the gradient of each with respect to its actions."""
        return self._ask(actions, True)

    def imagine(self, actions: torch.Tensor) -> None:
        """Have the decoded rollout of one sequence (H, A) published, when a decoder is loaded and
        somebody looks; does not wait for it.
        """
        request = self._request(actions[None])
        request.imagine = True
        self._ports.imagine(request)

    def _ask(self, actions: torch.Tensor, want_gradient: bool):
        request = self._request(actions)
        request.want_gradient = want_gradient
        try:
            answer = self._ports.ask('score_actions', request)
        except Fault as fault:
            if fault.code != FaultCode.CANCELED:
                raise
            self._ports.interrupt(self._context_id)
            raise Interrupted(str(fault)) from None
        costs = torch.frombuffer(answer.costs, dtype=torch.float32)
        gradient = (
            torch.frombuffer(answer.gradient, dtype=torch.float32).reshape(actions.shape)
            if want_gradient
            else torch.empty(0)
        )
        return costs, gradient

    def _request(self, actions: torch.Tensor) -> ScoreActions.Request:
        values = np.ascontiguousarray(actions.detach().cpu().numpy(), np.float32)
        request = ScoreActions.Request(
            context_id=self._context_id, candidates=values.shape[0], horizon=values.shape[1]
        )
        packed = array.array('f')
        packed.frombytes(values.data.cast('B'))
        request.actions = packed
        return request


class RosPorts:
    """The `Ports` of `control.loop.Reach` over topics and services."""

    def __init__(self, node: NodeBase) -> None:
        self._node = node
        self._arm = ArmPort(node, node.value)
        self.cancelled: Callable[[], bool] = lambda: False
        self.waiting: Callable[[], None] = lambda: None  # hears that there is nothing to plan from
        self.objective, self.mode = Objective(), 'exact'  # of the profile that plans
        group = ReentrantCallbackGroup()
        self._clients = {
            name: node.create_client(kind, f'world_model/{name}', callback_group=group)
            for name, kind in (
                ('describe', DescribeModel),
                ('prepare_goal', PrepareGoal),
                ('freeze_context', FreezeContext),
                ('score_actions', ScoreActions),
                ('interrupt_scoring', InterruptScoring),
            )
        }

    # World model

    def ask(self, name: str, request, again: float = math.inf):
        """Call a world-model service and wait; `Fault` when it is lost, answers an error or the
        goal is cancelled meanwhile. Without an answer for `again` seconds it is asked anew.
        """
        client, timeout = self._clients[name], self._node.value('model_timeout')
        self._await_service(client)
        answered, future = threading.Event(), client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        asked = time.monotonic()
        deadline = asked + timeout
        while not answered.wait(POLL_SECONDS):
            if time.monotonic() > asked + again:
                client.remove_pending_request(future)
                asked, future = time.monotonic(), client.call_async(request)
                future.add_done_callback(lambda _: answered.set())
            if self.cancelled():
                client.remove_pending_request(future)
                raise Fault(FaultCode.CANCELED, 'cancelled')
            if not client.service_is_ready():  # killed or frozen: the graph has lost it
                client.remove_pending_request(future)
                raise Fault(
                    FaultCode.MODEL_LOST,
                    f'{client.srv_name} has left the graph: is the world_model node still running?',
                )
            if time.monotonic() > deadline:
                client.remove_pending_request(future)
                raise Fault(
                    FaultCode.MODEL_LOST, f'{client.srv_name} did not answer within {timeout} s'
                )
        answer = future.result()
        if getattr(answer, 'error_code', 0):
            raise Fault(answer.error_code, answer.error_msg)
        return answer

    def _await_service(self, client) -> None:
        deadline = time.monotonic() + SERVICE_SECONDS
        while not client.service_is_ready():
            if self.cancelled():
                raise Fault(FaultCode.CANCELED, 'cancelled')
            if time.monotonic() > deadline:
                raise Fault(
                    FaultCode.MODEL_LOST,
                    f'service {client.srv_name} is not there: is the world_model node running in '
                    'this namespace?',
                )
            client.wait_for_service(POLL_SECONDS)

    def observe(self, goal_id: int, not_before: int) -> Observation:
        """Freeze the first frame after `not_before` [ns]; waits up to observation_timeout."""
        deadline = time.monotonic() + self._node.value('observation_timeout')
        request = FreezeContext.Request(
            goal_id=goal_id,
            not_before=to_stamp(not_before),
            objective=objective_message(self.objective),
            mode=self.mode,
        )
        while True:
            try:
                seen = self.ask('freeze_context', request)
                break
            except Fault as fault:
                if self.cancelled():
                    raise Fault(FaultCode.CANCELED, 'cancelled') from None
                waitable = fault.code in (FaultCode.STALE_IMAGE, FaultCode.STALE_STATE)
                if not waitable or time.monotonic() > deadline:
                    raise
                self.waiting()
                time.sleep(POLL_SECONDS)  # a model that refuses at once is not to be flooded
        return Observation(
            seen.context_id,
            to_ns(seen.image_stamp),
            to_pose7(seen.pose, seen.gripper),
            seen.distance,
            np.reshape(seen.proposal, (-1, self.action_dim)) if seen.proposal else None,
        )

    def interrupt(self, context_id: int) -> None:
        """Ask the world model to give up what it scores from a context."""
        request = InterruptScoring.Request(context_id=context_id)
        self._clients['interrupt_scoring'].call_async(request)

    def imagine(self, request: ScoreActions.Request) -> None:
        """Ask the world model to draw what it imagines of a plan, if anybody looks."""
        if self._node.count_subscribers('world_model/imagined'):
            self._clients['score_actions'].call_async(request)

    def score(self, seen: Observation) -> ServiceScore:
        """Cost function of a frozen context."""
        return ServiceScore(self, seen, self.action_dim)

    # Arm

    def now(self) -> int:
        """Node clock [ns]."""
        return self._node.now_ns()

    def waypoints(self, seen: Observation, actions: np.ndarray) -> np.ndarray:
        """The path (H + 1, 7) of actions (H, 7) from the pose7 seen."""
        return convention.waypoints(seen.pose, self._arm.commanded(), actions)

    def move(self, target: np.ndarray, planned_from: np.ndarray, gripper: float) -> Motion:
        """Command one absolute waypoint (pose7) and wait until the controller says how it ended."""
        return self._arm.move(target, planned_from, gripper, self.cancelled)

    def stop(self) -> None:
        """Ask the controller to end the present motion smoothly."""
        self._arm.stop()

    def stand(self) -> bool:
        """Stop and wait until the controller says that the arm stands; False when it does not."""
        return self._arm.stand()

    # Goals

    def describe(self) -> DescribeModel.Response:
        """What model is loaded. The first question of a goal, and the one that may be repeated: a
        server that has not met its client yet, as one that was frozen, answers into nothing.
        """
        answer = self.ask('describe', DescribeModel.Request(), again=ASK_AGAIN_SECONDS)
        self.action_dim = answer.action_dim
        return answer

    def prepare(
        self, images: Sequence[Image], compressed: Sequence[CompressedImage] = ()
    ) -> list[int]:
        """Begin a goal: encode its pictures, of one kind; returns their numbers."""
        self._arm.begin()
        request = PrepareGoal.Request(images=images, compressed=compressed)
        answer = self.ask('prepare_goal', request)
        return list(answer.goal_ids)
