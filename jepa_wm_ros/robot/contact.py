# SPDX-License-Identifier: Apache-2.0
"""A hand that goes down goes carefully: slowly near the table, and back up from what it presses on.

An arm that follows its command stiffly presses with what it lags behind it: at 0.1 m/s more than
100 N before any stop motion takes hold. So its speed bounds the force, and the reaction ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from jepa_wm_ros.robot.pose import Pose

DOWN = 1e-3  # a motion that ends lower by more than this goes down [m]
RETREAT = 0.005  # back up from a contact [m]
RETREAT_FACTOR = 0.5  # of the arm's full dynamics


@dataclass(frozen=True, slots=True)
class Guard:
    """What a motion that goes down is bound to.

    contact_force    change of the vertical force at which it ends [N]: above what the arm's
                     estimate changes by in free motion, a few newtons, and below the reflex
    height           below this height of the hand TCP it goes slowly [m] ...
    dynamics_factor  ... at this part of the arm's limits
    """

    contact_force: float = 10.0
    height: float = 0.1
    dynamics_factor: float = 0.02

    def speed(self, start: Pose, target: Pose, factor: float) -> float:
        """What is left of a dynamics factor."""
        slow = goes_down(start, target) and target.position[2] < self.height
        return min(factor, self.dynamics_factor) if slow else factor


GUARD = Guard()  # where no other is configured


def goes_down(start: Pose, target: Pose) -> bool:
    """Whether a motion is one to be guarded."""
    return bool(target.position[2] < start.position[2] - DOWN)


class Contact:
    """Watches one motion; `force` [N] is what has ended it, 0 while nothing has.

    before   vertical force as it begins [N]: what a load weighs that the arm was not told of, and
             what its estimate is off by, is no contact
    """

    def __init__(self, limit: float, before: float = 0.0) -> None:
        self._limit, self._before, self.force = limit, before, 0.0

    @property
    def condition(self):
        """As franky's. Either sign counts: what the arm tells is the force that it exerts."""
        import franky

        vertical = franky.Measure.FORCE_Z
        return (vertical > self._before + self._limit) | (vertical < self._before - self._limit)

    def watch(self, motion):
        """The same motion of franky, with what it does at a contact.

        Franky looks in the thread that commands the arm, a thousand times a second.
        """
        import franky

        up = franky.Affine([0.0, 0.0, -RETREAT])  # the hand's own z points down
        retreat = franky.CartesianMotion(
            up, franky.ReferenceType.Relative, relative_dynamics_factor=RETREAT_FACTOR
        )
        reaction = franky.CartesianPoseReaction(self.condition, retreat)
        reaction.register_callback(self._note)
        motion.add_reaction(reaction)
        return motion

    def _note(self, state, _motion_time, _time) -> None:
        self.force = self.force or abs(float(state.O_F_ext_hat_K[2]) - self._before)
