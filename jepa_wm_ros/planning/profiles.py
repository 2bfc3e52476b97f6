# SPDX-License-Identifier: Apache-2.0
"""Profiles: everything that makes one way of planning, in one YAML file of config/profiles.

planner: cem                     # registry.PLANNERS
settings: {horizon: 3, ...}      # of that planner
objective: {kind: L2, sum_all: false, alpha: 0.0}
mode: exact                      # of scoring: plain, exact, fast or compiled
steps_executed: 3                # steps carried out before the next plan
budget_seconds: null             # time for one plan; null: until the iterations are done
legs: null                       # a table of control/legs.py, to search legs in place of steps
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jepa_wm_ros import resources
from jepa_wm_ros.objective import Objective, ObjectiveError, checked_mode
from jepa_wm_ros.planning.protocol import Planner, SettingsError
from jepa_wm_ros.planning.registry import (
    DESCENDING,
    make_planner,
    make_settings,
    refuse_unknown,
    settings_keys,
)
from jepa_wm_ros.planning.settings import PlannerSettings, is_count, is_number, require
from jepa_wm_ros.tables import read_table

SEARCH_LENGTH = {'iterations', 'num_samples'}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One way of planning, checked.

    objective and mode are for the scorer: the profile carries them to it.
    """

    name: str
    planner: str
    settings: PlannerSettings
    objective: Objective = Objective()
    mode: str = 'exact'
    steps_executed: int = 1
    budget_seconds: float | None = None
    legs: Mapping[str, Any] | None = None

    def __post_init__(self):
        checked_mode(self.mode)
        require(
            is_count(self.steps_executed, 1) and self.steps_executed <= self.settings.horizon,
            'steps_executed',
            self.steps_executed,
            f'an integer from 1 to the horizon {self.settings.horizon}',
        )
        require(
            self.budget_seconds is None
            or (is_number(self.budget_seconds) and self.budget_seconds > 0),
            'budget_seconds',
            self.budget_seconds,
            'a number > 0 or null',
        )
        require(
            self.legs is None or isinstance(self.legs, Mapping),
            'legs',
            self.legs,
            'a table or null',
        )

    def make_planner(self) -> Planner:
        """A planner with these settings."""
        return make_planner(self.planner, self.settings)


KEYS = [field.name for field in fields(Profile) if field.name != 'name']


def profiles_directory() -> Path:
    """Where the shipped profiles lie. Raises ResourceError when they are not installed."""
    return resources.find('config', 'profiles')


def load_profile(
    name_or_path: str | Path, planner: str | None = None, settings: Mapping[str, Any] | None = None
) -> Profile:
    """The profile in a YAML file, or the shipped one of that name.

    planner: another planner in place of the profile's; of the profile's settings it takes those
    it knows, since a name means the same to all, but for how long to search between planners that
    sample and planners that descend. settings: values in place of the profile's.
    Raises SettingsError in one line that names the file, the key and the valid ones.
    """
    path = Path(name_or_path)
    if path.suffix not in ('.yaml', '.yml'):
        path = profiles_directory() / f'{name_or_path}.yaml'
    if not path.is_file():
        shipped = ', '.join(sorted(p.stem for p in profiles_directory().glob('*.yaml')))
        raise SettingsError(
            f'no profile {str(name_or_path)!r}: give a .yaml file or one of {shipped}'
        )
    values = read_table(path, KEYS, SettingsError)
    try:
        return _profile(path.stem, values, planner, settings or {})
    except (SettingsError, ObjectiveError) as error:
        raise SettingsError(f'{path}: {error}') from error


def _profile(
    name: str, values: dict[str, Any], planner: str | None, overrides: Mapping[str, Any]
) -> Profile:
    if 'planner' not in values:
        raise SettingsError('a profile is a table with at least the key planner')
    given = dict(values)
    refuse_unknown(given, KEYS, 'profile')
    for key in ('settings', 'objective'):
        given[key] = {} if given.get(key) is None else given[key]
        require(isinstance(given[key], Mapping), key, given[key], 'a table of keys and values')
    refuse_unknown(given['objective'], [f.name for f in fields(Objective)], 'objective')
    given['objective'] = Objective(**given['objective'])
    make_settings(given['planner'], given['settings'])
    if planner is not None and planner != given['planner']:
        known = set(settings_keys(planner))
        if (planner in DESCENDING) != (given['planner'] in DESCENDING):
            known -= SEARCH_LENGTH
        given['settings'] = {k: v for k, v in given['settings'].items() if k in known}
        given['planner'] = planner
    given['settings'] = make_settings(given['planner'], {**given['settings'], **overrides})
    return Profile(name=name, **given)
