# SPDX-License-Identifier: Apache-2.0
"""Who asked the world model for a new frame, and what is told to whom none comes.

A frame is newer than the newest state when it arrives; the next state, without which nothing can
be planned, is a period away. Meanwhile the picture may be encoded.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.task import Future

from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.recordings.live import LiveObservations
from jepa_wm_ros.recordings.readings import frame_of
from jepa_wm_ros.recordings.streams import Observation
from jepa_wm_ros.ros.base.node import NodeBase


class FrameRequests:
    """Requests for the first frame after a stamp, answered by what `observations` hears.

    `early(frame)` is called once for a request whose frame is there before its state.
    `node` gives max_image_age, max_state_gap [s] and base_frame by name.
    """

    def __init__(
        self, node: NodeBase, observations: LiveObservations, early: Callable[[Observation], None]
    ) -> None:
        self._node, self._observations, self._early = node, observations, early
        self._waiting: list[tuple[Future, int, float]] = []
        self._looked = False  # `early` was called since a request was answered last
        self._wrong_frame = ''

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def admit(self, topic: str, message) -> bool:
        """Whether a message that is about to be heard is no pose of another frame."""
        pose = self._observations.topics.pose
        if topic == pose.name:
            frame = frame_of(message, pose.kind)
            known = frame in (None, self._node.value('base_frame'))
            self._wrong_frame = '' if known else frame
            return known
        return True

    def first_after(self, not_before: int) -> Future:
        """A future of the first frame with a state stamped after `not_before` [ns], or a Fault."""
        future = Future(executor=self._node.executor)
        deadline = time.monotonic() + self._node.value('max_image_age')
        self._waiting.append((future, not_before, deadline))
        self.answer()
        return future

    def answer(self) -> None:
        """Answer what can be answered now."""
        if not self._waiting:
            return
        now, waiting = self._node.now_ns(), []
        for future, not_before, deadline in self._waiting:
            frame = self._observations.observation(not_before, now, self._max_age)
            if self._wrong_frame or (frame is None and time.monotonic() > deadline):
                future.set_exception(self._why_none(not_before, now))
            elif frame is not None:
                future.set_result(frame)
            else:
                self._look(not_before, now)
                waiting.append((future, not_before, deadline))
        self._waiting = waiting
        self._looked &= bool(waiting)

    def refuse(self, fault: Fault) -> None:
        """Answer every request with a fault."""
        waiting, self._waiting = self._waiting, []
        for future, *_ in waiting:
            future.set_exception(fault)

    def _look(self, not_before: int, now: int) -> None:
        frame = self._observations.newest_frame(not_before, now, self._max_age)
        if frame is not None and not self._looked:
            self._looked = True
            self._early(frame)

    @property
    def _max_age(self) -> int:
        return int(self._node.value('max_image_age') * 1e9)

    def _why_none(self, not_before: int, now: int) -> Fault:
        heard, node = self._observations, self._node
        if self._wrong_frame:
            return Fault(
                FaultCode.TF_ERROR,
                f'{heard.topics.pose.name} is in frame {self._wrong_frame!r}, not '
                f'{node.value("base_frame")!r}: set base_frame or publish the pose in it',
            )
        frame = heard.newest_frame(not_before, now, self._max_age)
        if frame is not None and (lacking := heard.missing(frame.stamp)):
            return Fault(
                FaultCode.STALE_STATE,
                f'no state within {node.value("max_state_gap")} s around a frame on topic '
                f'{" and ".join(lacking)}: is the controller running and, with `topics`, '
                'does it say what is said there?',
            )
        return Fault(
            FaultCode.STALE_IMAGE,
            f'{heard.refused or "no new frame came"} within {node.value("max_image_age")} s on '
            f'topic {node.resolve_topic_name(heard.topics.image.name)}: is the camera running and '
            'its clock right?',
        )
