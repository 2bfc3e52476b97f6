# SPDX-License-Identifier: Apache-2.0
"""A goal picture's label: which camera took it and how, when, and where the arm was then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jepa_wm_ros import ros_image
from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.tables import check_kinds

POSE = 7
MOST_JOINTS = 16
LONGEST_TEXT = 256
LATEST = 2**63  # ns
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]{0,47}')


class GoalError(JepaWmError):
    """A goal that is not there, cannot be read, or must not be stored or shown."""

    code = FaultCode.BAD_IMAGE


@dataclass(frozen=True, slots=True)
class View:
    """What a picture shows of the world: whose it is, its size, and the part of the sensor."""

    camera: str  # frame of its images; empty: not known
    width: int  # [px]
    height: int
    crop: tuple[int, ...] = ()  # x, y, width, height [px of the sensor]; empty: all of it

    def __post_init__(self) -> None:
        check_kinds(self, GoalError)
        _check_text('camera', self.camera)
        if min(self.width, self.height) < 1 or self.width * self.height > ros_image.MOST_PIXELS:
            raise GoalError(f'width and height are {self.width} and {self.height}: no picture has')
        if self.crop and (len(self.crop) != 4 or min(self.crop) < 0 or 0 in self.crop[2:]):
            raise GoalError(f'crop is {list(self.crop)}: it must be x, y, width, height, or empty')

    def check_seen_by(self, live: View, what: str) -> None:
        """Raise a GoalError where `what`, a picture of this view, is of another camera, size or
        crop than what the camera shows now.
        """
        if self.camera and live.camera and self.camera != live.camera:
            raise GoalError(
                f'{what} was taken by camera {self.camera!r}, the live pictures come from '
                f'{live.camera!r}: capture the goal with this camera',
                FaultCode.UNFAMILIAR_VIEW,
            )
        if (self.width, self.height) != (live.width, live.height):
            raise GoalError(
                f'{what} is {self.width}x{self.height}, the live pictures are '
                f'{live.width}x{live.height}: set the camera as it was, or capture the goal anew',
                FaultCode.WRONG_ASPECT,
            )
        if self.crop != live.crop:
            raise GoalError(
                f'{what} shows {_part(self.crop)}, the live pictures {_part(live.crop)}: set the '
                "camera's region of interest as it was, or capture the goal anew",
                FaultCode.UNFAMILIAR_VIEW,
            )


@dataclass(frozen=True, slots=True)
class Goal:
    """What is known of a goal picture beside its pixels; what is empty or 0 is not known."""

    name: str
    view: View
    stamp: int = 0  # when it was taken [ns]
    frame: str = ''  # of the hand pose
    pose7: tuple[float, ...] = ()  # of the hand then, see jepa_wm_ros/actions.py
    joints: tuple[float, ...] = ()  # of the arm then [rad]

    def __post_init__(self) -> None:
        check_name(self.name)
        check_kinds(self, GoalError)
        _check_text('frame', self.frame)
        if not 0 <= self.stamp < LATEST:
            raise GoalError(f'stamp is {self.stamp}: it must be nanoseconds since 1970')
        if len(self.pose7) not in (0, POSE):
            raise GoalError(f'pose7 has {len(self.pose7)} numbers: it must have {POSE}, or none')
        if len(self.joints) > MOST_JOINTS:
            raise GoalError(f'{len(self.joints)} joints: no arm has more than {MOST_JOINTS}')


def check_name(name: str) -> str:
    """The name, when a goal may have it: it is a file's name, and drawn into a small picture."""
    if not NAME.fullmatch(name):
        raise GoalError(
            f'goal name {name[:60]!r}: use up to 48 letters (a-z), digits, - and _, the first of '
            'them a letter or digit'
        )
    return name


def _check_text(what: str, text: str) -> None:
    if len(text) > LONGEST_TEXT or not text.isprintable():
        raise GoalError(f'{what} is {text[:60]!r}: it must be one short line')


def _part(crop: Sequence[int]) -> str:
    return f'the part {list(crop)} of the sensor' if crop else 'the whole sensor'
