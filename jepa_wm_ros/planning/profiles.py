# SPDX-License-Identifier: Apache-2.0
"""Profiles: everything that makes one way of planning, in one YAML file of config/profiles.

    planner: cem                     # registry.PLANNERS
    settings: {horizon: 3, ...}      # of that planner
    objective: {kind: L2, sum_all: false, alpha: 0.0}
    mode: exact                      # of the world model: plain, exact or fast
    steps_executed: 3                # steps carried out before the next plan
    budget_seconds: null             # time for one plan; null: until the iterations are done
    gripper_policy: null             # or {open_below, close_above, min_hold_steps}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from jepa_wm_ros.planning.gripper import GripperPolicy
from jepa_wm_ros.planning.protocol import Planner, SettingsError
from jepa_wm_ros.planning.registry import make_planner, make_settings, refuse_unknown
from jepa_wm_ros.planning.settings import PlannerSettings, is_count, is_number, require

MODES = ('plain', 'exact', 'fast')
OBJECTIVES = ('L2', 'L1', 'cosine')


@dataclass(frozen=True, kw_only=True)
class ObjectiveChoice:
    """The objective a scorer is to use, passed through by the planner's owner (section 4.1).

    kind: L2 (mean square), L1 or cosine; sum_all: all steps instead of the last; alpha: weight
    of the proprioceptive distance.
    """

    kind: str = 'L2'
    sum_all: bool = False
    alpha: float = 0.0

    def __post_init__(self):
        require(self.kind in OBJECTIVES, 'objective.kind', self.kind,
                f'one of {", ".join(OBJECTIVES)}')
        require(isinstance(self.sum_all, bool), 'objective.sum_all', self.sum_all,
                'true or false')
        require(is_number(self.alpha) and self.alpha >= 0, 'objective.alpha', self.alpha,
                'a number >= 0')


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One way of planning, checked."""

    name: str
    planner: str
    settings: PlannerSettings
    objective: ObjectiveChoice = ObjectiveChoice()
    mode: str = 'exact'
    steps_executed: int = 1
    budget_seconds: float | None = None
    gripper_policy: Mapping[str, Any] | None = None

    def __post_init__(self):
        require(self.mode in MODES, 'mode', self.mode, f'one of {", ".join(MODES)}')
        require(is_count(self.steps_executed, 1) and self.steps_executed <= self.settings.horizon,
                'steps_executed', self.steps_executed,
                f'an integer from 1 to the horizon {self.settings.horizon}')
        require(self.budget_seconds is None
                or (is_number(self.budget_seconds) and self.budget_seconds > 0),
                'budget_seconds', self.budget_seconds, 'a number > 0 or null')
        self.make_gripper_policy()

    def make_planner(self) -> Planner:
        """A planner with these settings."""
        return make_planner(self.planner, self.settings)

    def make_gripper_policy(self, closed: bool = False) -> GripperPolicy | None:
        """A fresh gripper policy, or None where the profile has none."""
        if self.gripper_policy is None:
            return None
        refuse_unknown(self.gripper_policy, ['open_below', 'close_above', 'min_hold_steps'],
                       'gripper_policy')
        return GripperPolicy(**self.gripper_policy, closed=closed)


def profiles_directory() -> Path:
    """Where the shipped profiles lie: the source tree, or the installed package share."""
    source = Path(__file__).resolve().parents[2] / 'config' / 'profiles'
    if source.is_dir():
        return source
    from ament_index_python.packages import get_package_share_directory
    return Path(get_package_share_directory('jepa_wm_ros')) / 'config' / 'profiles'


def load_profile(name_or_path: str | Path) -> Profile:
    """The profile in a YAML file, or the shipped one of that name.

    Raises SettingsError in one line that names the file, the key and the valid ones.
    """
    path = Path(name_or_path)
    if path.suffix not in ('.yaml', '.yml'):
        path = profiles_directory() / f'{name_or_path}.yaml'
    if not path.is_file():
        shipped = ', '.join(sorted(p.stem for p in profiles_directory().glob('*.yaml')))
        raise SettingsError(f'no profile {str(name_or_path)!r}: give a .yaml file or one of '
                            f'{shipped}')
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise SettingsError(f'{path}: not YAML: {" ".join(str(error).split())}') from error
    try:
        return _profile(path.stem, values)
    except SettingsError as error:
        raise SettingsError(f'{path}: {error}') from error


def _profile(name: str, values: Any) -> Profile:
    if not isinstance(values, Mapping) or 'planner' not in values:
        raise SettingsError('a profile is a table with at least the key planner')
    given = dict(values)
    refuse_unknown(given, [f.name for f in fields(Profile) if f.name != 'name'], 'profile')
    for key in ('settings', 'objective', 'gripper_policy'):
        if given.get(key) is not None and not isinstance(given[key], Mapping):
            raise SettingsError(f'profile: {key} must be a table of keys and values')
    objective = given.pop('objective', None) or {}
    refuse_unknown(objective, [f.name for f in fields(ObjectiveChoice)], 'objective')
    settings = make_settings(given['planner'], given.pop('settings', None))
    return Profile(name=name, settings=settings, objective=ObjectiveChoice(**objective), **given)
