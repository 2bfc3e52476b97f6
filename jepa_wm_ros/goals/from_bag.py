# SPDX-License-Identifier: Apache-2.0
"""A frame of a recording as a goal: its picture and where the arm was then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jepa_wm_ros import ros_image
from jepa_wm_ros.goals.goal import Goal, GoalError, View
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.choice import choose_topics
from jepa_wm_ros.recordings.bags.findings import Findings
from jepa_wm_ros.recordings.listener import Listener
from jepa_wm_ros.recordings.readings import arm_joints, frame_of
from jepa_wm_ros.recordings.streams import NS, PATIENCE, STATE_GAP, Observation
from jepa_wm_ros.recordings.topics import ChosenTopics, TopicSpec

JOINT_STATE = 'sensor_msgs/msg/JointState'
JOINTS_NEAR = NS // 5  # of a frame's stamp


@dataclass(frozen=True, slots=True)
class BagFrame:
    """A frame of a bag, labelled, and what was wrong with the recording."""

    goal: Goal
    picture: np.ndarray  # (H, W, 3) uint8 RGB
    findings: Findings


def read_bag_frame(
    path: Path | str,
    name: str,
    at: float | None = None,
    spec: TopicSpec | None = None,
    on_message: Callable[[], None] | None = None,
) -> BagFrame:
    """The frame nearest to `at` [s] after the first one, or the last frame, as a goal of this name.

    Of the last frames the one with a hand pose at its stamp is taken. Raises a JepaWmError.
    """
    findings = Findings()
    with Bag(path, findings) as bag:
        chosen = choose_topics(bag, spec or TopicSpec())
        frame, base = _nearest_frame(bag, chosen, at, on_message)
        picture = ros_image.to_rgb8(frame.content)
        joints = _joints_at(bag, frame, chosen.spec.arm_prefix)
    height, width = picture.shape[:2]
    goal = Goal(
        name,
        View(frame.content.header.frame_id, width, height),
        max(frame.stamp, 0),
        base if frame.state else '',
        tuple(frame.state.pose7.tolist()) if frame.state else (),
        joints,
    )
    return BagFrame(goal, picture, findings)


def _nearest_frame(
    bag: Bag, chosen: ChosenTopics, at: float | None, on_message: Callable[[], None] | None
) -> tuple[Observation, str]:
    """The frame that is asked for, and the frame of the hand poses."""
    listener, base = Listener(chosen, STATE_GAP, PATIENCE), ''
    target: int | None = None
    best: tuple[tuple[int, int], Observation] | None = None

    def look(frames: list[Observation]) -> None:
        nonlocal target, best
        for frame in frames:
            if target is None and at is not None:
                target = frame.stamp + round(at * NS)
            lost = frame.state is None
            rank = (lost, -frame.stamp) if target is None else (abs(frame.stamp - target), lost)
            if best is None or rank <= best[0]:
                best = rank, frame

    for topic, record, message in bag.messages([topic.name for topic in chosen.all]):
        look(listener.hear(topic, message, record))
        if topic == chosen.pose.name:
            base = frame_of(message, chosen.pose.kind) or base
        if on_message:
            on_message()
    look(listener.streams.finish())
    if best is None:
        raise GoalError(f'{bag.path}: no frame of {chosen.image.name} can be read')
    return best[1], base


def _joints_at(bag: Bag, frame: Observation, prefix: str) -> tuple[float, ...]:
    """The arm's joints nearest to a frame; empty where no topic tells them."""
    names = [topic.name for topic in bag.topics.values() if topic.kind == JOINT_STATE]
    near = bag.messages(names, frame.heard - JOINTS_NEAR, frame.heard + JOINTS_NEAR)
    told = [
        (abs(record - frame.heard), tuple(joints.tolist()))
        for _, record, message in near
        if (joints := arm_joints(message, prefix)) is not None
    ]
    return min(told, default=(0, ()))[1]
