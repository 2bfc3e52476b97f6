# SPDX-License-Identifier: Apache-2.0
"""Planners by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

from jepa_wm_ros.planning.gripper import GripperSampling
from jepa_wm_ros.planning.protocol import Planner, SettingsError
from jepa_wm_ros.planning.settings import PlannerSettings

PLANNERS = {
    'cem': ('cem', 'Cem', 'CemSettings'),
    'nevergrad': ('nevergrad', 'Nevergrad', 'NevergradSettings'),
    'gd': ('gd', 'Gd', 'GdSettings'),
    'adam': ('adam', 'Adam', 'AdamSettings'),
    'mppi': ('mppi', 'Mppi', 'MppiSettings'),
    'icem': ('icem', 'Icem', 'IcemSettings'),
}
DESCENDING = ('gd', 'adam')  # their iterations are small steps, their samples starting points


def settings_keys(name: str) -> list[str]:
    """Names of the settings of planner `name`."""
    return [f.name for f in fields(_look_up(name)[1])]


def make_settings(name: str, values: Mapping[str, Any] | None = None) -> PlannerSettings:
    """Settings of planner `name` from plain values; unknown keys are refused (SettingsError)."""
    given = dict(values or {})
    refuse_unknown(given, settings_keys(name), f'settings of planner {name!r}')
    if isinstance(given.get('gripper'), Mapping):
        gripper = given['gripper']
        refuse_unknown(
            gripper,
            [f.name for f in fields(GripperSampling)],
            f'gripper settings of planner {name!r}',
        )
        given['gripper'] = GripperSampling(**gripper)
    return _look_up(name)[1](**given)


def make_planner(name: str, settings: PlannerSettings | Mapping[str, Any] | None = None) -> Planner:
    """The planner called `name`, with its settings object or plain values for it.

    Raises SettingsError for an unknown name, an unknown key or a value out of range.
    """
    planner, kind = _look_up(name)
    if not isinstance(settings, PlannerSettings):
        settings = make_settings(name, settings)
    if not isinstance(settings, kind):
        raise SettingsError(
            f'planner {name!r} needs {kind.__name__}, got {type(settings).__name__}'
        )
    return planner(settings)


def refuse_unknown(given: Mapping[str, Any], valid: list[str], where: str) -> None:
    """Raise SettingsError naming the valid keys when `given` holds another one."""
    unknown = sorted(str(key) for key in given if key not in valid)
    if unknown:
        raise SettingsError(
            f'{where}: unknown {", ".join(unknown)}; valid are {", ".join(sorted(valid))}'
        )


def _look_up(name: str) -> tuple[type, type]:
    if not isinstance(name, str) or name not in PLANNERS:
        raise SettingsError(f'unknown planner {name!r}; valid are {", ".join(sorted(PLANNERS))}')
    module, planner, settings = PLANNERS[name]
    room = import_module(f'jepa_wm_ros.planning.{module}')
    return getattr(room, planner), getattr(room, settings)
