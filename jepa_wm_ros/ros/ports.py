# SPDX-License-Identifier: Apache-2.0
"""How the planner reaches the rest of the graph: world-model services, arm commands and status.

Everything here but the subscription callback runs in the planner's worker thread and may wait.
"""

from __future__ import annotations

import array
import random
import threading
import time
from collections.abc import Callable

import numpy as np
import torch
from jepa_wm_msgs.msg import ArmCommand, ArmStatus
from jepa_wm_msgs.srv import (
    DescribeModel,
    FreezeContext,
    InterruptScoring,
    PrepareGoal,
    ScoreActions,
)
from rclpy.callback_groups import ReentrantCallbackGroup
from std_srvs.srv import Trigger

from jepa_wm_ros.control.loop import Motion, Observation
from jepa_wm_ros.errors import Fault, FaultCode, Interrupted
from jepa_wm_ros.ros.base.convert import from_pose7, to_pose7
from jepa_wm_ros.ros.base.node import NodeBase, to_ns, to_stamp

OUTCOMES = {
    ArmStatus.OUTCOME_DONE: 'done',
    ArmStatus.OUTCOME_STOPPED: 'stopped',
    ArmStatus.OUTCOME_REFUSED: 'refused',
    ArmStatus.OUTCOME_WORKSPACE: 'workspace',
    ArmStatus.OUTCOME_FAILED: 'failed',
}
MOVED = 'arm moved'  # the controller's words for a refused command whose start pose is outdated
POLL_SECONDS = 0.05  # how often a waiting worker looks for a cancel


class ServiceScore:
    """The `score` seam over the world model's service: (N, H, A) actions in, (N,) costs out."""

    device = torch.device('cpu')

    def __init__(self, ports: RosPorts, context_id: int, action_dim: int) -> None:
        self._ports, self._context_id, self.action_dim = ports, context_id, action_dim

    def __call__(self, actions: torch.Tensor) -> torch.Tensor:
        """Costs of candidates."""
        return self._ask(actions, False)[0]

    def gradient(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs and the gradient of each with respect to its actions."""
        return self._ask(actions, True)

    def imagine(self, actions: torch.Tensor) -> None:
        """Have the decoded rollout of one sequence (H, A) published, when a decoder is loaded."""
        self._ask(actions[None], False, imagine=True)

    def _ask(self, actions: torch.Tensor, want_gradient: bool, imagine: bool = False):
        values = np.ascontiguousarray(actions.detach().cpu().numpy(), np.float32)
        request = ScoreActions.Request(
            context_id=self._context_id,
            candidates=values.shape[0],
            horizon=values.shape[1],
            want_gradient=want_gradient,
            imagine=imagine,
        )
        packed = array.array('f')
        packed.frombytes(values.data.cast('B'))
        request.actions = packed
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


class RosPorts:
    """The `Ports` of `reach.Reach` over topics and services."""

    def __init__(self, node: NodeBase) -> None:
        self._node = node
        self._session = random.getrandbits(63)
        self._sequence = 0
        self._status: ArmStatus | None = None
        self._status_heard = 0.0
        self._news = threading.Condition()
        self.cancelled: Callable[[], bool] = lambda: False
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
        self._stop = node.create_client(Trigger, 'franka_controller/stop', callback_group=group)
        self._command = node.create_publisher(ArmCommand, 'command', 1)
        self._heard = node.create_subscription(ArmStatus, 'arm_status', self._on_status, 1)

    def close(self) -> None:
        """Give up every topic and service."""
        for client in (*self._clients.values(), self._stop):
            self._node.destroy_client(client)
        self._node.destroy_publisher(self._command)
        self._node.destroy_subscription(self._heard)

    # World model

    def ask(self, name: str, request):
        """Call a world-model service and wait; `Fault` when it is lost, answers an error or the
        goal is cancelled meanwhile.
        """
        client, timeout = self._clients[name], self._node.value('model_timeout')
        if not client.wait_for_service(timeout):
            raise Fault(
                FaultCode.MODEL_LOST,
                f'service {client.srv_name} is not there: is the '
                'world_model node running in this namespace?',
            )
        answered, future = threading.Event(), client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        deadline = time.monotonic() + timeout
        while not answered.wait(POLL_SECONDS):
            if self.cancelled():
                client.remove_pending_request(future)
                raise Fault(FaultCode.CANCELED, 'cancelled')
            if time.monotonic() > deadline:
                client.remove_pending_request(future)
                raise Fault(
                    FaultCode.MODEL_LOST, f'{client.srv_name} did not answer within {timeout} s'
                )
        answer = future.result()
        if getattr(answer, 'error_code', 0):
            raise Fault(answer.error_code, answer.error_msg)
        return answer

    def observe(self, goal_id: int, not_before: int) -> Observation:
        """Freeze the first frame after `not_before` [ns]; waits up to observation_timeout."""
        deadline = time.monotonic() + self._node.value('observation_timeout')
        request = FreezeContext.Request(goal_id=goal_id, not_before=to_stamp(not_before))
        while True:
            try:
                seen = self.ask('freeze_context', request)
                break
            except Fault as fault:
                waitable = fault.code in (FaultCode.STALE_IMAGE, FaultCode.STALE_STATE)
                if not waitable or time.monotonic() > deadline or self.cancelled():
                    raise
                self._rest()
        return Observation(
            seen.context_id,
            to_ns(seen.image_stamp),
            to_pose7(seen.pose, seen.gripper),
            seen.distance,
        )

    def interrupt(self, context_id: int) -> None:
        """Ask the world model to give up what it scores from a context."""
        request = InterruptScoring.Request(context_id=context_id)
        self._clients['interrupt_scoring'].call_async(request)

    def score(self, context_id: int) -> ServiceScore:
        """Cost function of a frozen context."""
        return ServiceScore(self, context_id, self.action_dim)

    # Arm

    def now(self) -> int:
        """Node clock [ns]."""
        return self._node.now_ns()

    def commanded(self) -> np.ndarray:
        """The last commanded pose7 of the arm."""
        status = self._fresh_status()
        return to_pose7(status.commanded, status.gripper)

    def move(self, target: np.ndarray, planned_from: np.ndarray, gripper: float) -> Motion:
        """Command one absolute waypoint (pose7) and wait until the controller says how it ended."""
        self._fresh_status()
        self._sequence += 1
        command = ArmCommand(session=self._session, sequence=self._sequence, gripper=gripper)
        command.header.stamp = to_stamp(self.now())
        command.header.frame_id = self._node.value('base_frame')
        command.target, command.planned_from = from_pose7(target), from_pose7(planned_from)
        self._command.publish(command)
        deadline = time.monotonic() + self._node.value('motion_timeout')
        stopping = False
        while True:
            status = self._fresh_status()
            mine = (status.session, status.sequence) == (self._session, self._sequence)
            if mine and status.outcome in OUTCOMES:
                return self._motion(status)
            if self.cancelled() and not stopping:
                stopping = True
                self.stop()
            if time.monotonic() > deadline:
                raise Fault(
                    FaultCode.CONTROLLER_LOST,
                    'the controller did not finish a command within '
                    f'{self._node.value("motion_timeout")} s',
                )
            self._rest()

    def stop(self) -> None:
        """Ask the controller to end the present motion smoothly."""
        if self._stop.service_is_ready():
            self._stop.call_async(Trigger.Request())

    def _motion(self, status: ArmStatus) -> Motion:
        outcome = OUTCOMES[status.outcome]
        if outcome == 'refused' and status.message.startswith(MOVED):
            outcome = 'moved'
        message = status.message or ', '.join(status.errors)
        return Motion(outcome, to_ns(status.header.stamp), status.clipped, message)

    def _on_status(self, status: ArmStatus) -> None:
        with self._news:
            self._status, self._status_heard = status, time.monotonic()
            self._news.notify_all()

    def _fresh_status(self) -> ArmStatus:
        """The newest status; after controller_timeout without one the controller is lost."""
        timeout = self._node.value('controller_timeout')
        with self._news:
            if self._news.wait_for(
                lambda: time.monotonic() - self._status_heard < timeout, timeout
            ):
                return self._status
        raise Fault(
            FaultCode.CONTROLLER_LOST,
            f'no arm_status for {timeout} s: is the '
            'franka_controller node running in this namespace?',
        )

    def _rest(self) -> None:
        with self._news:
            self._news.wait(POLL_SECONDS)

    # Goals

    def describe(self) -> DescribeModel.Response:
        """What model is loaded."""
        answer = self.ask('describe', DescribeModel.Request())
        self.action_dim = answer.action_dim
        return answer

    def prepare(self, goal) -> list[int]:
        """Encode the pictures of a ReachGoal goal; returns their numbers."""
        answer = self.ask(
            'prepare_goal', PrepareGoal.Request(images=goal.goals, compressed=goal.compressed_goals)
        )
        return list(answer.goal_ids)
