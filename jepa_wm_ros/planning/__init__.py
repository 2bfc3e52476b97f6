# SPDX-License-Identifier: Apache-2.0
"""Search over action sequences behind one seam (protocol.py).

profile = load_profile('paper')
plan = profile.make_planner().plan(cost)        # once
mpc = Mpc(profile)                              # again and again
plan = mpc.plan(cost)
mpc.executed()
"""

from jepa_wm_ros.planning.gripper import GripperSampling
from jepa_wm_ros.planning.mpc import Mpc
from jepa_wm_ros.planning.profiles import Profile, load_profile
from jepa_wm_ros.planning.protocol import (
    Budget,
    CostFunction,
    IterationReport,
    Plan,
    Planner,
    PlanningError,
    SettingsError,
)
from jepa_wm_ros.planning.registry import PLANNERS, make_planner, make_settings

__all__ = [
    'PLANNERS',
    'Budget',
    'CostFunction',
    'GripperSampling',
    'IterationReport',
    'Mpc',
    'Plan',
    'Planner',
    'PlanningError',
    'Profile',
    'SettingsError',
    'load_profile',
    'make_planner',
    'make_settings',
]
