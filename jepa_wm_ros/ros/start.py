# SPDX-License-Identifier: Apache-2.0
"""The executables of the nodes. A signal that comes while their modules are still being imported,
which takes seconds, ends the process without a word; afterwards the node handles it.
"""

from __future__ import annotations

import signal
from importlib import import_module


def _node(name: str):
    def main() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own prints where it was
        import_module(f'jepa_wm_ros.ros.nodes.{name}').main()

    main.__doc__ = f'Run the node {name} until it is interrupted.'
    return main


world_model = _node('world_model')
planner = _node('planner')
franka_controller = _node('franka_controller')
sim_cell = _node('sim_cell')
goal_gallery = _node('goal_gallery')
