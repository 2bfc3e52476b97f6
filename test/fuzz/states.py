# SPDX-License-Identifier: Apache-2.0
"""Target: what the arm says of itself, through the reader that live nodes and bags share."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.live import LiveObservations
from jepa_wm_ros.recordings.streams import NS
from jepa_wm_ros.recordings.topics import KINDS, ChosenTopics, Topic, TopicSpec

ODD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 5e-324, 1e-160, 1e160)
NAMES = ('', 'finger', 'fr3_finger_joint1', 'x_joint1', 'joint7', 'ü')
START = 1_700_000_000


class States:
    """Some seconds of messages of any pose and gripper type with odd numbers in them."""

    def __init__(self, folder: Path) -> None:
        del folder

    def prepare(self, rng: np.random.Generator):
        pose = KINDS['pose'][rng.integers(len(KINDS['pose']))]
        gripper = KINDS['gripper'][rng.integers(len(KINDS['gripper']))]
        stamps = ('header', 'record')[rng.integers(2)]
        topics = ChosenTopics(
            Topic('image', 'sensor_msgs/msg/Image'),
            Topic('pose', pose),
            Topic('gripper', gripper) if rng.random() < 0.9 else None,
            TopicSpec(stamps=stamps, gripper_joints=('finger',) if rng.random() < 0.2 else ()),
        )
        oddness = float(rng.choice((0.0, 0.02, 0.3)))
        said, now = [], START * NS
        for _ in range(24):
            now += int(rng.integers(0, NS // 5)) if rng.random() < 0.95 else -NS
            topic = ('image', 'pose', 'gripper')[rng.integers(3)]
            said.append((topic, _message(rng, now, oddness), now))

        def read():
            heard = LiveObservations(topics, NS // 5, NS // 2)
            for topic, message, when in said:
                if topic == 'gripper' and topics.gripper is None:
                    continue
                for frame in heard.hear(topic, message, when):
                    if frame.state is not None:
                        assert np.isfinite(frame.state.pose7).all(), frame.state.pose7
                heard.observation(0, when, NS)

        return read


def _column_major(number) -> list[float]:
    """A pose as old robot states have it."""
    return [number(value) for value in (1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0.4, 0, 0.3, 1)]


def _message(rng: np.random.Generator, now: int, oddness: float) -> SimpleNamespace:
    """Every field that any of the types has."""

    def number(usual: float) -> float:
        return float(ODD[rng.integers(len(ODD))]) if rng.random() < oddness else usual

    stamp = SimpleNamespace(sec=now // NS, nanosec=now % NS)
    if rng.random() < oddness:
        stamp.sec = int(rng.choice((0, -(1 << 31), (1 << 31) - 1)))
        stamp.nanosec = int(rng.choice((0, (1 << 32) - 1)))
    position = SimpleNamespace(x=number(0.4), y=number(0.0), z=number(0.3))
    orientation = SimpleNamespace(x=number(1.0), y=number(0.0), z=number(0.0), w=number(0.0))
    pose = SimpleNamespace(position=position, orientation=orientation)
    names = [*FR3.joints, *FR3.finger_joints]
    if rng.random() < oddness:
        names = [*names, *rng.choice(NAMES, 3)][int(rng.integers(9)) :]
    angles = np.array([number(0.1) for _ in range(int(rng.choice((len(names), 9, 3, 0))))])
    inside = pose
    if rng.random() < 0.5:  # PoseWithCovariance inside PoseWithCovarianceStamped
        inside = SimpleNamespace(pose=pose, position=position, orientation=orientation)
    header = SimpleNamespace(stamp=stamp, frame_id='')
    transform = SimpleNamespace(translation=position, rotation=orientation)
    frames = ['fr3_link0', 'fr3_link7', 'fr3_hand_tcp', '']
    told = [
        SimpleNamespace(
            header=SimpleNamespace(stamp=stamp, frame_id=parent),
            child_frame_id=child,
            transform=transform,
        )
        for parent, child in zip(frames, frames[1:], strict=False)
        if rng.random() > oddness
    ]
    return SimpleNamespace(
        header=header,
        child_frame_id='fr3_hand_tcp',
        transforms=told,
        pose=SimpleNamespace(pose=inside, position=position, orientation=orientation),
        o_t_ee=SimpleNamespace(pose=pose) if rng.random() < 0.5 else _column_major(number),
        transform=transform,
        name=names,
        position=angles,
        gripper=number(0.5),
        data=number(0.5),
    )
