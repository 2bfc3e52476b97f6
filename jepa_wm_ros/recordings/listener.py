# SPDX-License-Identifier: Apache-2.0
"""Messages in, frames with their states out: what a bag reader and a live node do alike."""

from __future__ import annotations

from collections.abc import Callable

from jepa_wm_ros.recordings.streams import NS, Observation, Streams
from jepa_wm_ros.recordings.topics import ChosenTopics, closure_of, pose_of

Report = Callable[[str, str, str], None]  # kind of trouble, topic, what about it


class Listener:
    """Reads the messages of the chosen topics into `Streams`.

    report hears of 'unusable pose', 'no stamps', 'clock back' and 'stamp repeats'.
    """

    def __init__(
        self, topics: ChosenTopics, max_gap: int, patience: int, report: Report | None = None
    ) -> None:
        self.topics = topics
        self._report = report or (lambda *_: None)
        self.streams = Streams(
            max_gap, gripper=topics.gripper is not None, patience=patience, on_jump=self._jumped
        )

    def hear(self, topic: str, message, heard: int) -> list[Observation]:
        """Take a message that arrived at `heard` [ns]; the frames that have their state now.

        The content of an Observation is the message of its frame.
        """
        chosen, matched = self.topics, []
        stamp = self.stamp_of(topic, message, heard)
        if topic == chosen.pose.name:
            pose = pose_of(message, chosen.pose.kind, chosen.spec)
            if pose is None:
                self._report(
                    'unusable pose',
                    topic,
                    'a pose that is not finite, has no orientation, or holds the joints of no '
                    'arm or of several (arm_prefix)',
                )
            else:
                matched += self.streams.add_pose(stamp, *pose, heard)
        if chosen.gripper and topic == chosen.gripper.name:
            closure = closure_of(message, chosen.gripper.kind, chosen.spec)
            if closure is not None:
                matched += self.streams.add_gripper(stamp, closure, heard)
        if topic == chosen.image.name:
            matched += self.streams.add_frame(stamp, heard, message)
        return matched

    def stamp_of(self, topic: str, message, heard: int) -> int:
        """When a message was measured [ns]: its header stamp, or `heard` where that says nothing.

        That is where the description says so, without a header, and where the stamp is zero.
        """
        header = getattr(message, 'header', None)
        if self.topics.spec.stamps == 'record' or header is None:
            return heard
        stamp = header.stamp.sec * NS + header.stamp.nanosec
        if stamp == 0:
            self._report('no stamps', topic, 'header stamps are zero; record times are used')
            return heard
        return stamp

    def _jumped(self, role: str, by: int) -> None:
        topic = getattr(self.topics, role).name
        self._report('clock back', topic, f'the clock jumps back {by / NS:.3f} s')
