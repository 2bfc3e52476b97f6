# SPDX-License-Identifier: Apache-2.0
"""How far a cost may rise over the steps of one plan: higher means that something else is seen.

Measured in the simulated cell, 38 episodes and 428 plans of the profiles cell, fast, reactive and
paper: after its steps a goal's cost never was above what it had been and what was predicted, but
for `paper`, whose three steps at once wander about a goal that is reached: by up to 0.09 of the
first cost and 15 tolerances.
"""

from __future__ import annotations

import math

SHARE = 0.5  # of the first cost of the goal
TOLERANCES = 40  # distances calibrated as reached: near a goal the first cost says little


def cost_bound(before: float, predicted: float, first: float, reached: float) -> float:
    """The highest cost that may be seen after a plan's steps.

    before: the cost they were planned from; predicted: the plan's; first: at the start of the goal;
    reached: calibrated with the model. NaN, no bound, where one of them is not known (NaN).
    """
    known = (before, predicted, first, reached)
    if any(map(math.isnan, known)):
        return math.nan
    return max(before, predicted) + max(SHARE * abs(first), TOLERANCES * reached)
