# SPDX-License-Identifier: Apache-2.0
"""Messages in, frames with their states out: what a bag reader and a live node do alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jepa_wm_ros.recordings.frames import FrameTree
from jepa_wm_ros.recordings.readings import Pose, closure_of, pose_of, transforms_of, usable_pose
from jepa_wm_ros.recordings.streams import NS, Observation, Streams
from jepa_wm_ros.recordings.topics import FRAMES, TRANSFORM, ChosenTopics, TopicSpec, frame_names

Report = Callable[[str, str, str], None]  # kind of trouble, topic, what about it


class Listener:
    """Reads the messages of the chosen topics into `Streams`.

    report hears of 'unusable pose', 'no such frames', 'frames apart', 'no stamps', 'clock back' and
    'stamp repeats'.
    """

    def __init__(
        self, topics: ChosenTopics, max_gap: int, patience: int, report: Report | None = None
    ) -> None:
        self.topics = topics
        self._report = report or (lambda *_: None)
        self._frames = _frames(topics.pose.kind, topics.spec)
        self.streams = Streams(
            max_gap, gripper=topics.gripper is not None, patience=patience, on_jump=self._jumped
        )

    def hear(self, topic: str, message, heard: int) -> list[Observation]:
        """Take a message that arrived at `heard` [ns]; the frames that have their state now.

        The content of an Observation is the message of its frame.
        """
        chosen, matched = self.topics, []
        if chosen.fixed and topic == chosen.fixed.name:
            self._fix(message)
        if topic == chosen.pose.name:
            poses = self._told if self._frames else self._said
            for stamp, pose in poses(topic, message, heard):
                matched += self.streams.add_pose(stamp, *pose, heard)
        if chosen.gripper and topic == chosen.gripper.name:
            closure = closure_of(message, chosen.gripper.kind, chosen.spec)
            if closure is not None:
                stamp = self.stamp_of(topic, message, heard)
                matched += self.streams.add_gripper(stamp, closure, heard)
        if topic == chosen.image.name:
            stamp = self.stamp_of(topic, message, heard)
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

    def _said(self, topic: str, message, heard: int) -> Iterator[tuple[int, Pose]]:
        """The stamp [ns] and the pose of a message that says one."""
        pose = pose_of(message, self.topics.pose.kind, self.topics.spec)
        if pose is not None:
            yield self.stamp_of(topic, message, heard), pose
            return
        self._report(
            'unusable pose',
            topic,
            'a pose that is not finite, has no orientation, or holds the joints of no arm or of '
            'several (arm_prefix)',
        )

    def _told(self, topic: str, message, heard: int) -> Iterator[tuple[int, Pose]]:
        """The stamps [ns] for which a message of transforms completes the hand's pose."""
        assert self._frames is not None
        moved = known = False
        for transform, parent, child, link in transforms_of(message, self.topics.pose.kind):
            if link is None:
                self._report('unusable pose', topic, f'the frame {child} has no usable pose')
                continue
            stamp = self.stamp_of(topic, transform, heard)
            pose = self._frames.hear(parent, child, link, stamp)
            moved |= self._frames.moves(child)
            if pose and (usable := usable_pose(*pose)):
                known = True
                yield stamp, usable
        base, hand = self._frames.base, self._frames.hand
        if not self._frames.connected:
            self._report(
                'no such frames',
                topic,
                f'{base} and {hand} (base_frame, hand_frame) are not connected; heard of '
                f'{self._frames.known()}',
            )
        elif moved and not known:
            self._report(
                'frames apart',
                topic,
                f'the moving frames between {base} and {hand} are told for different times: '
                'a pose is known only where all have one stamp',
            )

    def _fix(self, message) -> None:
        assert self._frames is not None
        for _, parent, child, link in transforms_of(message, FRAMES):
            if link is not None:
                self._frames.hear(parent, child, link)

    def _jumped(self, role: str, by: int) -> None:
        topic = getattr(self.topics, role).name
        self._report('clock back', topic, f'the clock jumps back {by / NS:.3f} s')


def _frames(kind: str, spec: TopicSpec) -> FrameTree | None:
    """Where the pose is told as transforms between frames; a transform alone may be the pose."""
    if kind == FRAMES or (kind == TRANSFORM and spec.hand_frame):
        return FrameTree(*frame_names(spec))
    return None
