# SPDX-License-Identifier: Apache-2.0
"""Node `world_model`: encodes what the camera sees and scores action sequences in latent space.

Hears   camera, hand pose and gripper, on the topics and in the types that `topics` describes
Says    ~/latent_distance (LatentDistance), ~/imagined (Image, with a decoder), /diagnostics
Serves  ~/prepare_goal, ~/freeze_context, ~/score_actions, ~/interrupt_scoring, ~/describe
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from functools import partial

import numpy as np
from jepa_wm_msgs.msg import LatentDistance
from jepa_wm_msgs.srv import (
    DescribeModel,
    FreezeContext,
    InterruptScoring,
    PrepareGoal,
    ScoreActions,
)
from rclpy.callback_groups import ReentrantCallbackGroup
from sensor_msgs.msg import Image

from jepa_wm_ros import ros_image
from jepa_wm_ros.control.requests import candidates_of, check_pictures
from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.goals.watch import StillStream
from jepa_wm_ros.recordings.live import LiveObservations
from jepa_wm_ros.recordings.streams import NS, STATE_GAP, Observation
from jepa_wm_ros.recordings.topics import TopicSpec, live_topics
from jepa_wm_ros.ros import camera_topic
from jepa_wm_ros.ros.base.convert import message_class, pose_message, to_ns, to_objective, to_stamp
from jepa_wm_ros.ros.base.diagnostics import Diagnostics
from jepa_wm_ros.ros.base.memory import give_back
from jepa_wm_ros.ros.base.node import NodeBase
from jepa_wm_ros.ros.base.qos import quality_of
from jepa_wm_ros.ros.base.run import leave, run
from jepa_wm_ros.ros.camera_check import CameraCheck
from jepa_wm_ros.ros.frame_requests import FrameRequests


class WorldModelNode(NodeBase):
    """Owns the model in a worker thread; callbacks hand over and await."""

    def __init__(self) -> None:
        super().__init__('world_model')
        fixed = {'read_only': True}
        self.declare('model', 'jepa_wm_cell', 'Model name (see `model list`) or file.', **fixed)
        self.declare('weights_dir', '', "Folder of weight files; empty: the package's.", **fixed)
        self.declare(
            'warm_up_mode',
            'exact',
            'Scoring mode made ready at configure (compiled takes a minute); empty: none.',
            **fixed,
        )
        self.declare('device', 'cpu', 'Torch device: cpu, cuda, cuda:1, ...', **fixed)
        self.declare(
            'threads', 0, "CPU threads of the model; 0: torch's choice.", bounds=(0, 256), **fixed
        )
        self.declare(
            'topics',
            'cell',
            'What camera, hand pose and gripper are called: a name in config/topics or a file.',
            **fixed,
        )
        camera_topic.declare(self)
        self.declare('base_frame', FR3.base_frame, 'Frame the hand pose must be in.', **fixed)
        self.declare(
            'max_image_age', 0.5, 'Older frames are not planned from [s].', bounds=(0.01, 60.0)
        )
        self.declare(
            'max_state_gap',
            STATE_GAP / NS,
            'Arm states further apart than this are not interpolated between [s].',
            bounds=(0.01, 60.0),
            **fixed,
        )
        self.camera = CameraCheck(self)
        self.session: ModelSession | None = None
        self._frames = 0
        self._plans: list[float] = []

    # What it allocates

    def setup(self) -> None:
        topics = live_topics(TopicSpec.load(self.value('topics')))
        self._topics = replace(topics, image=camera_topic.heard(self, topics.image))
        self.camera.setup()
        self._kinds = {topic.name: message_class(topic.kind) for topic in self._topics.all}
        self.session = ModelSession.load(
            model=self.value('model'),
            weights_dir=self.value('weights_dir'),
            device=self.value('device'),
            threads=self.value('threads'),
            warm_up_mode=self.value('warm_up_mode'),
        )
        self.get_logger().info(f'{self.session.summary()}')
        self.worker = self.create_worker('model')
        self.diagnostics.hardware_id = self.session.model.spec.name

    def start(self) -> None:
        self.observations = LiveObservations(
            self._topics, self._ns('max_state_gap'), self._ns('max_image_age'), self._report
        )
        self._requests = FrameRequests(self, self.observations, self._look_at)
        self._stream = StillStream()
        for name, kind in self._kinds.items():
            self.create_subscription(
                kind, name, partial(self._on_message, name), quality_of(name, self._topics)
            )
        self._distance = self.create_publisher(LatentDistance, '~/latent_distance', 1)
        self._imagined = self.create_publisher(Image, '~/imagined', 1)
        group = ReentrantCallbackGroup()
        for kind, name, callback in (
            (DescribeModel, 'describe', self._on_describe),
            (PrepareGoal, 'prepare_goal', self._on_prepare_goal),
            (FreezeContext, 'freeze_context', self._on_freeze_context),
            (ScoreActions, 'score_actions', self._on_score_actions),
            (InterruptScoring, 'interrupt_scoring', self._on_interrupt_scoring),
        ):
            self.create_service(kind, f'~/{name}', callback, callback_group=group)
        self.create_steady_timer(0.05, self._requests.answer)
        self.add_part('camera', self._camera_state)
        self.add_part('view', lambda: self.camera.state(self._live))
        self.add_part('model', self._model_state)

    def halt(self) -> None:
        for context in list(self.session.contexts):
            self.session.interrupt(context)
        self._requests.refuse(self.stopping_fault())

    def teardown(self) -> None:
        self.session = None

    # What it hears

    def _on_message(self, topic: str, message) -> None:
        heard, said = self.observations, self.observations.refused
        if not self._requests.admit(topic, message):
            return
        for frame in heard.hear(topic, message, self.now_ns()):
            if frame.state is not None:
                self._stream.see(frame.content.data, frame.state.position)
        self._frames += topic == heard.topics.image.name
        if heard.refused and heard.refused != said:
            self.get_logger().warning(f'frame refused: {heard.refused}', throttle_duration_sec=5.0)
        self._requests.answer()

    def _look_at(self, frame: Observation) -> None:
        self.worker.submit(self.session.look, frame.stamp, lambda: ros_image.to_rgb8(frame.content))

    def _report(self, kind: str, topic: str, what: str) -> None:
        self.get_logger().warning(f'{topic}: {what}', throttle_duration_sec=5.0)

    # What it serves

    def _on_describe(self, request, response):
        spec = self.session.model.spec
        response.name, response.family = spec.name, spec.family
        response.action_dim = spec.action_dim
        response.step_seconds = spec.step_seconds
        response.image_size = spec.img_size
        response.reached_distance = self.session.reached_distance
        response.spec_json = json.dumps(spec.to_dict())
        return response

    async def _on_prepare_goal(self, request, response):
        self.worker.submit(give_back)  # of the goal before: memory stays level over many
        live = self._live()
        self.camera.admit(live)
        pictures = self._goal_pictures(request)
        prepared = self.worker.submit(self.session.prepare_goals, pictures, live)
        ids, distances = await prepared
        response.goal_ids, response.distances = ids, distances
        return response

    def _live(self) -> np.ndarray | None:
        """The newest live picture (H, W, 3) uint8, None without a fresh one."""
        frame = self.observations.newest_frame(0, self.now_ns(), self._ns('max_image_age'))
        return None if frame is None else ros_image.to_rgb8(frame.content)

    def _goal_pictures(self, request) -> list[np.ndarray]:
        if bool(request.images) == bool(request.compressed):
            raise Fault(
                FaultCode.EMPTY_GOAL, 'a goal needs pictures: fill either images or compressed'
            )
        check_pictures(request.images or request.compressed)
        return [ros_image.to_rgb8(message) for message in request.images or request.compressed]

    async def _on_freeze_context(self, request, response):
        frame = await self._requests.first_after(to_ns(request.not_before))
        arm = frame.state
        context = await self.worker.submit(
            self.session.freeze,
            ros_image.to_rgb8(frame.content),
            arm.pose7,
            request.goal_id,
            to_objective(request.objective),
            request.mode or 'exact',
            frame.stamp,
        )
        self._stream.check(arm.position)  # after the picture itself, whose fault says more
        response.context_id, response.distance = context.id, context.distance
        if context.proposal is not None:
            response.proposal.frombytes(context.proposal.tobytes())
        response.image_stamp = to_stamp(frame.stamp)
        response.pose, response.gripper = pose_message(arm.position, arm.quaternion), arm.closure
        said = LatentDistance(goal_id=request.goal_id, distance=context.distance)
        said.header = frame.content.header
        self._distance.publish(said)
        return response

    async def _on_score_actions(self, request, response):
        actions = candidates_of(request)
        begun = time.perf_counter()
        score = await self.worker.submit(
            self.session.score, request.context_id, actions, request.want_gradient, request.imagine
        )
        if not request.imagine:  # which no plan waits for
            self._plans = [*self._plans[-199:], time.perf_counter() - begun]
        response.costs, response.gradient = score.costs, score.gradient
        response.model_seconds = score.seconds
        if score.imagined is not None:
            self._imagined.publish(ros_image.fill_image(Image(), score.imagined, 'rgb8'))
        return response

    def _on_interrupt_scoring(self, request, response):
        response.interrupted = self.session.interrupt(request.context_id)
        return response

    def _ns(self, parameter: str) -> int:
        return int(self.value(parameter) * 1e9)

    # What it says of itself

    def _camera_state(self):
        frame, count = self.observations.frame, self._frames
        self._frames = 0
        age = math.inf if frame is None else (self.now_ns() - frame.stamp) / 1e9
        values = {'frames_per_second': count, 'age_s': f'{age:.3f}'}
        if age > self.value('max_image_age'):
            return Diagnostics.ERROR, self.observations.refused or 'no fresh frame', values
        return Diagnostics.OK, 'frames arrive', values

    def _model_state(self):
        spec = self.session.model.spec
        knows = self.session.model.familiarity is not None
        values = {
            'model': spec.name,
            'device': self.value('device'),
            'novelty': f'{self.session.novelty:.2f}'
            if knows
            else 'not checked: the model has no statistic of its pictures',
        }
        if self._plans:
            p50, p95 = np.percentile(self._plans, [50, 95]) * 1e3
            values |= {'score_ms_p50': f'{p50:.1f}', 'score_ms_p95': f'{p95:.1f}'}
        return Diagnostics.OK, 'ready', values


def main(args: list[str] | None = None) -> None:
    """Run the node until it is interrupted."""
    leave(run(WorldModelNode, args))
