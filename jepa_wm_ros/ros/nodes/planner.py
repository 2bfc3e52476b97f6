# SPDX-License-Identifier: Apache-2.0
"""Node `planner`: reaches goal pictures by model-predictive control in latent space.

Hears   arm_status (ArmStatus), ~/goal_image (Image)
Says    command (ArmCommand), ~/plan (MarkerArray), ~/status (String), /diagnostics
Serves  action reach_goal (ReachGoal); ~/reach, ~/cancel (Trigger), see ros/goal_services.py
Asks    world_model/{describe,prepare_goal,freeze_context,score_actions,interrupt_scoring},
        franka_controller/hold
"""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import replace

import numpy as np
from jepa_wm_msgs.action import ReachGoal
from rclpy.action import CancelResponse, GoalResponse
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from jepa_wm_ros.control.goal_sequence import NEVER_REACHED, GoalSequence
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.control.legs import decider_of
from jepa_wm_ros.control.loop import Reach
from jepa_wm_ros.control.ports import Decider
from jepa_wm_ros.control.progress import Limits, Outcome, Phase, Progress
from jepa_wm_ros.control.requests import check_pictures
from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError, code_of
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.planning import Profile, SettingsError, load_profile
from jepa_wm_ros.ros.base.convert import from_pose7
from jepa_wm_ros.ros.base.diagnostics import Diagnostics
from jepa_wm_ros.ros.base.faults import REPEAT_SECONDS, one_line
from jepa_wm_ros.ros.base.node import NodeBase
from jepa_wm_ros.ros.base.run import leave, run
from jepa_wm_ros.ros.base.worker import Turn, WorkSlot
from jepa_wm_ros.ros.drawn import Drawn
from jepa_wm_ros.ros.goal_services import GoalServices
from jepa_wm_ros.ros.plan_markers import plan_markers
from jepa_wm_ros.ros.ports import RosPorts

SWITCH = {
    ReachGoal.Goal.SWITCH_ON_COST: 'cost',
    ReachGoal.Goal.SWITCH_ON_STEPS: 'steps',
    ReachGoal.Goal.SWITCH_ON_EITHER: 'either',
    ReachGoal.Goal.SWITCH_ON_PLAN: 'plan',
}
ARM_ACTION_DIM = 7
PREEMPTED = Fault(FaultCode.CANCELED, 'a newer goal took its place (on_new_goal: preempt)')


class PlannerNode(NodeBase):
    """One goal at a time, in a worker thread; callbacks accept, cancel and listen."""

    def __init__(self) -> None:
        super().__init__('planner')
        self.declare('profile', 'cell', 'Planning profile: a name in config/profiles or a file.')
        self.declare('planner', '', "Planner in place of the profile's: cem, icem, mppi, ...")
        self.declare('seed', 0, "Seed of the planner's random numbers.", bounds=(0, 2**31 - 1))
        self.declare('base_frame', FR3.base_frame, 'Frame of commands.', read_only=True)
        self.declare(
            'on_new_goal',
            'reject',
            'What a goal does while another runs.',
            choices=('reject', 'preempt'),
        )
        self.declare('max_goal_images', 16, 'Most pictures in one goal.', bounds=(1, 256))
        self.declare('max_steps', 30, 'Steps after which a goal is given up.', bounds=(1, 10000))
        self.declare(
            'max_duration', 300.0, 'Time after which a goal is given up [s].', bounds=(0.1, 86400.0)
        )
        self.declare(
            'no_progress_steps',
            6,
            'Steps without a new lowest cost before giving up; 0: never.',
            bounds=(0, 1000),
        )
        self.declare(
            'tolerance',
            0.0,
            "Latent distance that counts as reached; 0: the model's calibrated value.",
            bounds=(0.0, 1e9),
        )
        self.declare(
            'planning_budget',
            0.0,
            'Longest time for one plan [s]; 0: no limit.',
            bounds=(0.0, 600.0),
        )
        self.declare(
            'observation_timeout',
            5.0,
            'Longest wait for a fresh observation [s].',
            bounds=(0.1, 60.0),
        )
        self.declare(
            'model_timeout', 60.0, 'Longest wait for the world model [s].', bounds=(0.1, 3600.0)
        )
        self.declare(
            'controller_timeout',
            1.0,
            'Silence after which the controller is lost [s].',
            bounds=(0.1, 60.0),
        )
        self.declare(
            'motion_timeout', 20.0, 'Longest time for one command [s].', bounds=(0.1, 600.0)
        )
        self.declare('use_gripper', False, 'Let plans open and close the gripper.')
        self.declare('gripper_open_below', 0.35, 'Planned closure that opens.', bounds=(0.0, 1.0))
        self.declare('gripper_close_above', 0.65, 'Planned closure that closes.', bounds=(0.0, 1.0))
        self.declare(
            'gripper_hold_steps', 2, 'Steps an opening or closing lasts at least.', bounds=(0, 1000)
        )
        self.declare(
            'gripper_reopens', False, 'Let a hand that has closed on nothing open again at once.'
        )
        self.declare(
            'goes_back',
            False,
            "Begin again from the picture before when a picture's steps are over and more than a "
            'twentieth of the distance to it is left; a last one missed so ends with NO_PROGRESS.',
        )
        self.declare(
            'recovery_profile',
            '',
            'Profile that plans to the last picture alone once one was missed, in place of '
            'beginning again from the one before; empty: none. Needs goes_back.',
        )
        self.check('profile', 'planner', 'seed', by=read_profile)
        self.check('recovery_profile', 'seed', by=read_recovery)
        self.check('gripper_open_below', 'gripper_close_above', by=check_closures)
        self.slot, self._claimed = WorkSlot(), None
        self._planning: list[float] = []
        self._worst = (0, 0.0)  # the goal picture sought, and the highest cost on the way to it
        self._last = 'no goal yet'

    def setup(self) -> None:
        self.diagnostics.hardware_id = 'planner'

    def start(self) -> None:
        self.ports = RosPorts(self)
        self.worker = self.create_worker('reach')
        self.slot, self._claimed = WorkSlot(), None
        self._plan = self.create_publisher(MarkerArray, '~/plan', 1)
        self.create_action_server(
            ReachGoal,
            'reach_goal',
            self._execute,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        self.by_services = GoalServices(self, self.slot, self.worker, self._claim, self._pursue)
        self.add_part('planner', self._state)

    def halt(self) -> None:
        self.slot.close(self.stopping_fault())

    # The action

    def _on_goal(self, _goal: ReachGoal.Goal) -> GoalResponse:
        if self._claimed is not None:  # accepted, but its client went before it was told
            self.slot.release(self._claimed)
            self._claimed.owed.close()
        self._claimed = self._claim()
        return GoalResponse.REJECT if self._claimed is None else GoalResponse.ACCEPT

    def _claim(self) -> Turn | None:
        """The turn of a new goal; None, and why in the log, when there is none for it."""
        preempting = self.value('on_new_goal') == 'preempt'
        with contextlib.ExitStack() as owed:  # before the claim: a node that stops waits for it
            owed.enter_context(self.answering_goal())
            turn = self.slot.claim(PREEMPTED if preempting else None)
            if turn is not None:
                turn.owed = owed.pop_all()
        if turn is None:
            why = 'the node is being deactivated' if self.halting else 'another one is running'
            self.get_logger().warning(
                f'goal rejected: {why} (parameter on_new_goal)',
                throttle_duration_sec=REPEAT_SECONDS,
            )
        return turn

    def _on_accepted(self, handle) -> None:
        turn, self._claimed = self._claimed, None
        handle.execute(functools.partial(self._execute, turn=turn))

    async def _execute(self, handle, turn: Turn) -> ReachGoal.Result:
        with turn.owed:
            outcome = await self._pursue(handle, turn)
            if outcome.code == FaultCode.SUCCEEDED:
                handle.succeed()
            elif outcome.code == FaultCode.CANCELED and handle.is_cancel_requested:
                handle.canceled()
            else:
                handle.abort()
            return ReachGoal.Result(
                error_code=outcome.code,
                error_msg=outcome.message,
                steps=outcome.progress.step,
                cost=outcome.progress.cost,
                best_cost=outcome.progress.best_cost,
            )

    async def _pursue(self, handle, turn: Turn) -> Outcome:
        """Run a goal, of the action or of the services, to its end."""
        outcome = await self.worker.submit(self._reach, handle, turn)
        self.slot.release(turn)
        # the action server keeps what was asked as long as the answer, a quarter of an hour
        handle.request.goals = handle.request.compressed_goals = []
        if turn.ended and outcome.code == FaultCode.CANCELED:
            outcome = replace(outcome, code=turn.fault.code, message=str(turn.fault))
        self._last = outcome.message or f'reached in {outcome.progress.step} steps'
        self.get_logger().info(f'goal ended: {self._last}')
        self.by_services.tell_end(outcome)
        return outcome

    def _reach(self, handle, turn: Turn) -> Outcome:
        """Run one goal in the worker thread."""
        self.ports.cancelled = lambda: handle.is_cancel_requested or turn.ended
        if turn.ended:
            return Outcome(turn.fault.code, str(turn.fault), Progress())
        reach = None
        try:
            goal_ids, reach = self._prepare(handle)
            return reach.run(goal_ids)
        except JepaWmError as error:
            return Outcome(error.code, str(error), Progress())
        except Exception as error:  # a bug, logged whole: the client must still hear of its goal
            self.errors.tell(error, 'goal')
            progress = Progress() if reach is None else reach.progress
            return Outcome(code_of(error), one_line(error), progress)

    def _prepare(self, handle) -> tuple[list[int], Reach]:
        self._worst = (0, 0.0)
        goal = handle.request
        check_pictures([*goal.goals, *goal.compressed_goals], self.value('max_goal_images'))
        pictures = len(goal.goals) + len(goal.compressed_goals)
        if not pictures:
            raise Fault(
                FaultCode.EMPTY_GOAL, 'the goal has no picture: fill goals or compressed_goals'
            )
        if not 0 <= goal.tolerance < math.inf or goal.switch_on not in SWITCH:
            raise Fault(
                FaultCode.BAD_LIMITS,
                'tolerance must be a finite number >= 0 and switch_on one of the SWITCH_ constants',
            )
        model = self.ports.describe()
        if model.action_dim != ARM_ACTION_DIM:
            raise Fault(
                FaultCode.BAD_LIMITS,
                f'model {model.name} has {model.action_dim}-number '
                f'actions: only {ARM_ACTION_DIM}-number models drive an arm',
            )
        tolerance = goal.tolerance or self.value('tolerance') or model.reached_distance
        if math.isnan(tolerance):
            self.get_logger().warning(
                f'model {model.name} has no calibrated tolerance: give one, '
                'or the goal ends by its limits'
            )
            tolerance = NEVER_REACHED
        seconds = goal.max_duration.sec + goal.max_duration.nanosec / 1e9
        recovery = read_recovery(self.value('recovery_profile'), self.value('seed'))
        reach = Reach(
            ports=self.ports,
            decider=self._decider(self._profile()),
            gripper=self._gripper_policy(),
            goals=self._sequence(goal, pictures, tolerance),
            limits=Limits(
                max_steps=goal.max_steps or self.value('max_steps'),
                max_seconds=seconds or self.value('max_duration'),
                no_progress_steps=self.value('no_progress_steps'),
                planning_seconds=self.value('planning_budget') or None,
            ),
            reached_distance=model.reached_distance,
            say=lambda progress: self._say(handle, progress),
            cancelled=self.ports.cancelled,
            recovery=recovery and (lambda: self._decider(recovery)),
        )
        self.ports.waiting = lambda: self._say(
            handle, replace(reach.progress, phase=Phase.WAITING, cost=math.nan)
        )
        return self.ports.prepare(goal.goals, goal.compressed_goals), reach

    def _sequence(self, goal, pictures: int, tolerance: float) -> GoalSequence:
        try:
            return GoalSequence(
                pictures,
                SWITCH[goal.switch_on],
                tolerance,
                list(goal.steps_of_goals) or goal.steps_per_goal or None,
                self.value('goes_back'),
            )
        except SettingsError as error:
            raise Fault(FaultCode.BAD_LIMITS, str(error)) from None

    def _decider(self, profile: Profile) -> Decider:
        """Who decides by a profile, with scores by its objective from now on."""
        self.ports.objective, self.ports.mode = profile.objective, profile.mode
        return Drawn(decider_of(profile))

    def _profile(self) -> Profile:
        return read_profile(self.value('profile'), self.value('planner'), self.value('seed'))

    def _gripper_policy(self) -> GripperPolicy | None:
        if not self.value('use_gripper'):
            return None
        return GripperPolicy(
            self.value('gripper_open_below'),
            self.value('gripper_close_above'),
            self.value('gripper_hold_steps'),
            reopens=self.value('gripper_reopens'),
        )

    # What it says

    def _say(self, handle, progress: Progress) -> None:
        feedback = ReachGoal.Feedback(
            phase=progress.phase,
            step=progress.step,
            goal_index=progress.goal_index,
            cost=progress.cost,
            best_cost=progress.best_cost,
            predicted_cost=progress.predicted_cost,
            planning_seconds=progress.planning_seconds,
            latency_seconds=progress.latency_seconds,
            evaluations=progress.evaluations,
            invalid_costs=progress.invalid_costs,
            budget_exhausted=progress.budget_exhausted,
            clipped=progress.clipped,
        )
        if progress.waypoint is not None:
            feedback.waypoint = from_pose7(progress.waypoint)
        handle.publish_feedback(feedback)
        self.by_services.tell(progress)
        if progress.phase is Phase.MOVING:
            self._planning = [*self._planning[-199:], progress.planning_seconds]
            self._plan.publish(self._markers(progress))

    def _markers(self, progress: Progress) -> MarkerArray:
        now, frame = self.get_clock().now().to_msg(), self.value('base_frame')
        goal, worst = self._worst
        worst = max(progress.cost, worst if goal == progress.goal_index else 0.0)
        self._worst = progress.goal_index, worst
        header = Header(stamp=now, frame_id=frame)
        return plan_markers(progress.path, progress.cost, progress.predicted_cost, worst, header)

    def _state(self):
        values = {'last': self._last, 'busy': self.slot.taken}
        if self._planning:
            p50, p95 = np.percentile(self._planning, [50, 95]) * 1e3
            values |= {'planning_ms_p50': f'{p50:.0f}', 'planning_ms_p95': f'{p95:.0f}'}
        return Diagnostics.OK, 'reaching' if self.slot.taken else 'waiting for a goal', values


def read_profile(name: str, planner: str, seed: int) -> Profile:
    """The planning profile that these parameters describe. Raises JepaWmError."""
    profile = load_profile(name, planner=planner or None, settings={'seed': seed})
    decider_of(profile)
    return profile


def read_recovery(name: str, seed: int) -> Profile | None:
    """The profile for the last picture alone, where one is named. Raises JepaWmError."""
    return read_profile(name, '', seed) if name else None


def check_closures(open_below: float, close_above: float) -> None:
    """Refuse thresholds between which nothing is left. Raises JepaWmError."""
    if open_below >= close_above:
        raise JepaWmError(
            f'gripper_open_below is {open_below} and gripper_close_above {close_above}: '
            'the first must be the smaller one'
        )


def main(args: list[str] | None = None) -> None:
    """Run the node until it is interrupted."""
    leave(run(PlannerNode, args))
