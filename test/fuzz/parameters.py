# SPDX-License-Identifier: Apache-2.0
"""Target: the parameters files of nodes, read by ROS and judged by a node."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import rclpy
import yaml

from fuzz.mutations import changed, damaged
from jepa_wm_ros import bringup
from jepa_wm_ros.ros.base.run import init, made
from jepa_wm_ros.ros.nodes.planner import PlannerNode
from support.paths import ROOT


class ParameterFiles:
    """config/params.yaml with one value changed, or damaged as text."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / 'params.yaml'
        self.text = (ROOT / 'config' / 'params.yaml').read_bytes()
        os.environ.update(bringup.dds_environment())

    def prepare(self, rng: np.random.Generator):
        if rng.random() < 0.5:
            content = damaged(self.text, rng)
        else:
            content = yaml.safe_dump(changed(yaml.safe_load(self.text), rng)).encode()
        self.file.write_bytes(content)
        return self._read

    def _read(self) -> None:
        try:
            init(['planner', '--ros-args', '--params-file', str(self.file)])
            node = made(PlannerNode)
            node.tell_unknown()
            node.destroy_node()
        finally:
            rclpy.try_shutdown()
