# SPDX-License-Identifier: Apache-2.0
"""A planner of one's own against the shipped one, in the simulated cell without ROS.

    python examples/own_planner.py [SEED]

It knows a cost function of action sequences and nothing else. For `planner:=mine` in the nodes it
becomes a file of planning/ with a line in its registry (CONTRIBUTING.md).
"""

import sys
from dataclasses import dataclass

import torch

from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.evaluation.closed_loop.trials import Policy, run_trial
from jepa_wm_ros.planning import Profile, load_profile
from jepa_wm_ros.planning.search import Search, SearchPlanner
from jepa_wm_ros.planning.settings import SamplingSettings
from jepa_wm_ros.sim.direct import DirectCell
from jepa_wm_ros.tasks.cell import ReachCell
from jepa_wm_ros.world_model import load_world_model


class RandomShooting(SearchPlanner[SamplingSettings]):
    """Draw candidates around standing still, once, and take the cheapest."""

    def _search(self, search: Search):
        while search.proceed():
            noise = search.normal(self.settings.num_samples, search.horizon, search.action_dim)
            search.evaluate(search.clip(search.start() + search.first_std() * noise))
        return search.finish()


@dataclass(frozen=True, kw_only=True)
class Shooting(Profile):
    """The `cell` profile with this planner in it."""

    def make_planner(self) -> RandomShooting:
        return RandomShooting(self.settings)


def main(seed: str = '7', steps: int = 8) -> dict[str, float]:
    """How far from the goal each planner ends [cm]."""
    torch.set_num_threads(1)  # so small a model is no faster with more
    cell, session = load_profile('cell'), ModelSession(load_world_model('jepa_wm_cell'))
    mine = Shooting(
        name='shooting', planner='shooting', settings=cell.settings, objective=cell.objective
    )
    away = {}
    with DirectCell() as simulated:
        for profile in (cell, mine):
            policy = Policy.planned(profile.name, session, profile)
            trial = run_trial(ReachCell(simulated), policy, int(seed), steps)
            away[profile.name] = 100 * trial.final
    return away


if __name__ == '__main__':
    for name, centimetres in main(*sys.argv[1:]).items():
        print(f'{name:>10}: {centimetres:.1f} cm from the goal')
