# SPDX-License-Identifier: Apache-2.0
"""The safety envelope: what is left of a requested step when everything unsafe is cut off.

Pure functions of poses, joint angles and Jacobians; nothing here talks to an arm. The simulated
arm checks no limit of its own, and a real one answers with a reflex, so every command passes here.
Units: metres and radians, in the arm's base frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import slerp
from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.fr3 import FR3, Arm
from jepa_wm_ros.robot.pose import Pose, UnsafeCommandError

MIN_FRACTION = 0.1  # of a request that must be left for it to be worth moving
NEGLIGIBLE = 0.02  # requests below this part of a whole step are noise: clipped, not refused
WAYPOINT_SPACING = 0.9  # of a whole step: leaves room for where the arm really comes to rest
SLACK = 0.01  # an arm sags by a millimetre: up to here outside the box counts as on it [m]
CONDITION_SLOW = 17.0  # condition numbers of the Jacobian (MoveIt Servo's thresholds)
CONDITION_HALT = 30.0
MARGIN_SLOW = 0.2  # distance of a joint from its limit [rad]
MARGIN_HALT = 0.1  # MoveIt Servo's joint-limit margin [rad]
_ROUND = 1e-9


class WorkspaceError(JepaWmError):
    """Less than a tenth of the requested step lies inside the safety envelope."""

    code = FaultCode.WORKSPACE_LIMIT


class ArmMovedError(JepaWmError):
    """The arm is no longer where a command was planned from."""

    code = FaultCode.ARM_MOVED


@dataclass(frozen=True, slots=True)
class SafetyEnvelope:
    """Where the hand TCP may be and how far one step may take it."""

    low: tuple[float, ...] = tuple(
        FR3.workspace_low.tolist()
    )  # (3,) corner of the box [m]; low[2] is
    high: tuple[float, ...] = tuple(FR3.workspace_high.tolist())  # the height kept above the table
    max_step: float = FR3.max_step  # translation of one step [m]
    max_turn: float = FR3.max_turn  # rotation of one step [rad]
    max_reach: float = FR3.max_reach  # distance of the TCP from the shoulder [m]
    max_tilt: float = 0.6  # angle of the hand's axis from straight down [rad]
    shoulder: tuple[float, ...] = tuple(FR3.shoulder.tolist())  # (3,) [m]

    def __post_init__(self) -> None:
        if not all(lo < hi for lo, hi in zip(self.low, self.high, strict=True)):
            raise JepaWmError(
                f'workspace box {self.low} .. {self.high} is empty: '
                'every low value must be below its high value'
            )
        if min(self.max_step, self.max_turn, self.max_reach, self.max_tilt) <= 0:
            raise JepaWmError('max_step, max_turn, max_reach and max_tilt must be above 0')

    def outside(self, position: np.ndarray) -> float:
        """How far [m] a position is outside box and reach; 0 inside. A convex function."""
        to_box = position - np.clip(position, self.low, self.high)
        beyond = float(np.linalg.norm(position - np.asarray(self.shoulder))) - self.max_reach
        return max(float(np.linalg.norm(to_box)), beyond, 0.0)

    def contains(self, pose: Pose) -> bool:
        """Whether a pose lies in box, reach and cone."""
        upright = tilt(pose.quaternion) <= self.max_tilt + _ROUND
        return upright and self.outside(pose.position) <= _ROUND


@dataclass(frozen=True, slots=True)
class LimitedStep:
    """What is left of a request."""

    target: Pose
    clipped: bool
    fraction: float  # part of the request that is kept, 0 .. 1
    reason: str  # which limits cut it; empty when none did


def tilt(quaternion: np.ndarray) -> float:
    """Angle [rad], 0 to pi, between the hand's z axis and straight down."""
    x, y, z, w = quaternion
    axis_xy = np.hypot(2 * (x * z + y * w), 2 * (y * z - x * w))
    return float(np.arctan2(axis_xy, -(1 - 2 * (x * x + y * y))))


def limit(envelope: SafetyEnvelope, present: Pose, target: Pose) -> LimitedStep:
    """Cut a requested step down to what the envelope allows.

    From a present pose inside the envelope the result is inside it and at most one step away.
    From further outside (an arm guided there by hand) only a step that leads back is allowed.
    Raises UnsafeCommandError when a pose is not finite, WorkspaceError when less than a tenth of
    the request is left.
    """
    present = Pose.of(present.position, present.quaternion, 'present pose')
    target = Pose.of(target.position, target.quaternion, 'target')
    position, move_kept, move_reasons = _limit_position(envelope, present, target)
    quaternion, turn_kept, turn_reasons = _limit_rotation(envelope, present, target)

    # Translation and rotation count by how many whole steps each asks for.
    moves = present.distance(target) / envelope.max_step
    turns = present.angle(target) / envelope.max_turn
    asked = moves + turns
    fraction = (moves * move_kept + turns * turn_kept) / asked if asked > _ROUND else 1.0
    reasons = move_reasons + turn_reasons
    step = LimitedStep(Pose(position, quaternion), bool(reasons), fraction, ', '.join(reasons))
    if reasons and asked > NEGLIGIBLE and fraction < MIN_FRACTION:
        raise WorkspaceError(
            f'only {fraction:.0%} of the step is left inside the safety envelope '
            f'({step.reason}): ask for a target nearer to the arm and inside the workspace'
        )
    return step


def _limit_position(envelope: SafetyEnvelope, present: Pose, target: Pose):
    start, request = present.position, target.position - present.position
    length = np.linalg.norm(request)
    reasons = []
    goal = target.position
    if length > envelope.max_step + _ROUND:
        goal = start + request * (envelope.max_step / length)
        reasons.append(f'step of {length:.3f} m > {envelope.max_step:g} m')
    before = envelope.outside(start)
    if before > SLACK:
        if length > _ROUND and envelope.outside(goal) >= before:
            reasons.append('leads further out of the workspace')
            goal = start
    else:
        goal = _into_envelope(envelope, start, goal, before, reasons)
    kept = (goal - start) @ request / length**2 if length > _ROUND else 1.0
    return goal, float(np.clip(kept, 0.0, 1.0)), reasons


def _into_envelope(envelope: SafetyEnvelope, start, goal, before: float, reasons: list[str]):
    boxed = np.clip(goal, envelope.low, envelope.high)
    if np.abs(boxed - goal).max() > _ROUND:
        reasons.append('workspace box')
        way = boxed - start  # longer than a step only when the arm stands a little outside
        boxed = start + way * min(1.0, envelope.max_step / max(float(np.linalg.norm(way)), _ROUND))
    bound = before + _ROUND
    part = _largest(lambda t: envelope.outside(start + t * (boxed - start)) <= bound)
    if part < 1.0:
        reasons.append('reach')
    return boxed if part >= 1.0 else start + part * (boxed - start)


def _limit_rotation(envelope: SafetyEnvelope, present: Pose, target: Pose):
    start, goal = present.quaternion, target.quaternion
    angle = present.angle(target)
    reasons = []
    part = 1.0
    if angle > envelope.max_turn + _ROUND:
        part = envelope.max_turn / angle
        reasons.append(f'turn of {angle:.3f} rad > {envelope.max_turn:g} rad')
    before = max(tilt(start), envelope.max_tilt) + _ROUND
    inside = _largest(lambda t: tilt(slerp(start, goal, t * part)) <= before)
    if inside < 1.0:
        reasons.append(f'hand tilted more than {envelope.max_tilt:g} rad')
        part *= inside
    turned = goal if part >= 1.0 else slerp(start, goal, part)
    return turned, part, reasons


def _largest(allowed: Callable[[float], bool]) -> float:
    """The first t in [0, 1] up to which `allowed` holds, found by bisection; allowed(0) holds."""
    if allowed(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return low


def waypoints(envelope: SafetyEnvelope, present: Pose, target: Pose) -> list[Pose]:
    """Poses on the straight way to `target`, each less than one step from the one before."""
    steps = max(
        present.distance(target) / envelope.max_step, present.angle(target) / envelope.max_turn
    )
    count = max(1, int(np.ceil(steps / WAYPOINT_SPACING)))
    way = target.position - present.position
    return [
        Pose(
            present.position + way * (k / count),
            slerp(present.quaternion, target.quaternion, k / count),
        )
        for k in range(1, count + 1)
    ]


def moved(planned_from: Pose, present: Pose, max_distance: float, max_angle: float) -> str:
    """Says how far the arm has moved since a plan was made; empty when within the limits."""
    distance, angle = planned_from.distance(present), planned_from.angle(present)
    if distance <= max_distance and angle <= max_angle:
        return ''
    return (
        f'arm moved {distance * 1000:.1f} mm and {np.rad2deg(angle):.1f} deg since the plan '
        'was made: plan again from where it is'
    )


def proximity_scale(q: np.ndarray, jacobian: np.ndarray, arm: Arm = FR3) -> float:
    """Speed factor, 1 far from joint limits and singularities down to 0 at the halt thresholds.

    q (7,) [rad], jacobian (6, 7) of the TCP in the base frame.
    """
    q, jacobian = np.asarray(q, dtype=np.float64), np.asarray(jacobian, dtype=np.float64)
    if q.shape != (7,) or jacobian.shape != (6, 7):
        raise UnsafeCommandError(f'q {q.shape}, jacobian {jacobian.shape} must be (7,), (6, 7)')
    if not (np.isfinite(q).all() and np.isfinite(jacobian).all()):
        raise UnsafeCommandError('joint angles or Jacobian are not finite: check the arm state')
    margin = np.minimum(q - arm.joint_low, arm.joint_high - q).min()
    by_joint = (margin - MARGIN_HALT) / (MARGIN_SLOW - MARGIN_HALT)
    singular = np.linalg.svd(jacobian, compute_uv=False)
    condition = singular[0] / max(singular[-1], 1e-12)
    by_condition = (CONDITION_HALT - condition) / (CONDITION_HALT - CONDITION_SLOW)
    return float(np.clip(min(by_joint, by_condition), 0.0, 1.0))


def joints_after(q: np.ndarray, jacobian: np.ndarray, present: Pose, target: Pose) -> np.ndarray:
    """Joint angles (7,) [rad] after a small step, to first order (damped least squares)."""
    turn = target.matrix @ present.matrix.T
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2
    twist = np.concatenate([target.position - present.position, axis])
    damped = jacobian @ jacobian.T + 1e-4 * np.eye(6)
    return q + jacobian.T @ np.linalg.solve(damped, twist)


def step_scale(now: float, then: float) -> float:
    """Speed factor of a step between two proximity scales; a step that leads away is not slowed."""
    return 1.0 if then > now else then
