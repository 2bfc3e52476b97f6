# SPDX-License-Identifier: Apache-2.0
"""Small steps of the arm with somebody's consent, and what the camera shows of them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from jepa_wm_ros.actions import integrate
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.fit.bag import Recorded
from jepa_wm_ros.evaluation.fit.jogs import jog_actions
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.recordings.streams import NS
from jepa_wm_ros.ros.base.convert import to_ns
from jepa_wm_ros.ros.commander import JepaCommander


def jog(commander: JepaCommander, rate: float, on_step: Callable[[], None]) -> Recorded:
    """Make the steps of `jog_actions` and take a picture after each; it ends where it began.

    The arm is told to stop when anything goes wrong, an interrupt as well. Raises JepaWmError.
    """
    ages: list[float] = []
    clock = commander.node.get_clock()
    commander.on_frame = lambda image: ages.append(
        (clock.now().nanoseconds - to_ns(image.header.stamp)) / NS
    )
    try:
        frames, poses, taken = [commander.picture()], [commander.pose()], []
        target = poses[0]
        for action in jog_actions(target[:3], FR3.workspace_low, FR3.workspace_high):
            target = integrate(target, action)
            commander.move_to(target)
            taken.append(action)
            frames.append(commander.picture())
            poses.append(commander.pose())
            on_step()
    except BaseException:
        _stop(commander)
        raise
    finally:
        commander.on_frame = None
    episode = Episode(
        np.stack(frames),
        np.stack(poses).astype(np.float32),
        np.stack(taken).astype(np.float32),
        rate,
    )
    return Recorded([episode], np.array(ages))


def _stop(commander: JepaCommander) -> None:
    try:
        commander.stop()
    except JepaWmError as error:
        print(f'the arm could not be told to stop: {error}', file=sys.stderr)
