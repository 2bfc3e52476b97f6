# SPDX-License-Identifier: Apache-2.0
"""The world-model node's check that the camera stands where its reference picture was taken."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError
from jepa_wm_ros.goals.view import MOVED, ReferenceView
from jepa_wm_ros.ros.base.diagnostics import Diagnostics
from jepa_wm_ros.ros.base.node import NodeBase


class CameraCheck:
    """Compares what is seen with the parameter `camera_reference`: once a second until it is that
    view, and again with every goal.
    """

    def __init__(self, node: NodeBase) -> None:
        self._node = node
        node.declare(
            'camera_reference',
            '',
            'Picture file of the empty cell that the camera must show; empty: not checked.',
            read_only=True,
        )
        node.declare(
            'require_camera_check',
            False,
            'Refuse goals while the camera does not show the view of camera_reference.',
        )
        node.check('camera_reference', 'require_camera_check', by=check_reference)
        self._reference: ReferenceView | None = None
        self.difference = math.nan  # of the last comparison; NaN before

    @property
    def passed(self) -> bool:
        """Whether the last picture compared was of the reference's view."""
        return self.difference <= MOVED

    def setup(self) -> None:
        """Read the reference. Raises JepaWmError where that cannot be."""
        path = self._node.value('camera_reference')
        self._reference, self.difference = ReferenceView.read(path) if path else None, math.nan

    def admit(self, live: np.ndarray | None) -> None:
        """Compare before a goal; a Fault with UNFAMILIAR_VIEW where a view is required and it is
        another, or nothing is seen.
        """
        self._look(live)
        if self._node.value('require_camera_check') and not self.passed:
            raise Fault(FaultCode.UNFAMILIAR_VIEW, f'goal refused: {self._said()}')

    def state(self, newest: Callable[[], np.ndarray | None]) -> tuple:
        """What /diagnostics says of it; `newest` gives the newest live picture."""
        if self._reference is None:
            return Diagnostics.OK, 'not checked: no camera_reference', {}
        if not self.passed:
            try:
                self._look(newest())
            except JepaWmError as error:
                return Diagnostics.WARN, str(error), {}
        values = {'difference': f'{self.difference:.4f}', 'limit': MOVED}
        if self.passed:
            return Diagnostics.OK, 'the camera shows the view of camera_reference', values
        return Diagnostics.WARN, self._said(), values

    def _look(self, live: np.ndarray | None) -> None:
        if self._reference is None:
            return
        self.difference = math.nan if live is None else self._reference.difference(live)
        if self.difference > MOVED:
            self._node.get_logger().warning(self._said(), throttle_duration_sec=5.0)

    def _said(self) -> str:
        if math.isnan(self.difference):
            return 'no fresh picture to compare with camera_reference: is the camera running?'
        return (
            f'the camera does not show the view of camera_reference (difference '
            f'{self.difference:.3f}, at most {MOVED}): was it moved, or is it another one? If that '
            'is meant, take the reference anew'
        )


def check_reference(path: str, required: bool) -> None:
    """Refuse to require a check without a reference. Raises JepaWmError."""
    if required and not path:
        raise JepaWmError(
            'require_camera_check needs a reference: take one with `ros2 run jepa_wm_ros '
            'camera_reference FILE.png` and give it as camera_reference'
        )
