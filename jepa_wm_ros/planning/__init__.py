# SPDX-License-Identifier: Apache-2.0
"""Search over action sequences behind one seam (protocol.py).

    profile = load_profile('paper')
    planner = profile.make_planner()
    plan = planner.plan(cost)
"""

from jepa_wm_ros.planning.profiles import ObjectiveChoice, Profile, load_profile
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
    'IterationReport',
    'ObjectiveChoice',
    'Plan',
    'Planner',
    'PlanningError',
    'Profile',
    'SettingsError',
    'load_profile',
    'make_planner',
    'make_settings',
]
