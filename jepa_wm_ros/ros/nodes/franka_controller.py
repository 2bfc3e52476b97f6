# SPDX-License-Identifier: Apache-2.0
"""Node `franka_controller`: drives one Franka arm, real or simulated, one small step at a time.

Hears   command (ArmCommand)
Says    joint_states (JointState), ee_pose (PoseStamped, measured hand TCP), arm_status (ArmStatus),
        /diagnostics
Serves  ~/stop, ~/hold, ~/recover, ~/home (Trigger), ~/move_to (MoveTo), ~/set_gripper (SetGripper)

A command is refused unless it is fresh, new, in the base frame, finite, made from the pose the arm
still has, and the arm is idle and without error; what is left of it inside the safety envelope is
executed. If whoever commands dies, the arm ends that one step and stands still. Whoever commands
ends a motion by ~/hold; a person by ~/stop, and then nothing moves until ~/recover.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from geometry_msgs.msg import PoseStamped
from jepa_wm_msgs.msg import ArmCommand, ArmStatus
from jepa_wm_msgs.srv import MoveTo, SetGripper
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.duration import Duration
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.robot.arm_state import ArmMode, ArmState
from jepa_wm_ros.robot.command import Command, CommandLimits, Outcome, Record, refused_as
from jepa_wm_ros.robot.driver import ArmDriver
from jepa_wm_ros.robot.faults import ArmError, ErrorKind
from jepa_wm_ros.robot.ledger import Permit
from jepa_wm_ros.robot.pose import Pose
from jepa_wm_ros.robot.realtime import scheduling, take_precedence
from jepa_wm_ros.ros import controller_parameters
from jepa_wm_ros.ros.base.convert import pose_message, position_and_quaternion, to_ns, to_stamp
from jepa_wm_ros.ros.base.diagnostics import Diagnostics
from jepa_wm_ros.ros.base.faults import REPEAT_SECONDS
from jepa_wm_ros.ros.base.node import NodeBase
from jepa_wm_ros.ros.base.run import leave, run

FAREWELL = Duration(seconds=0.5)  # for the last status to arrive before its publisher goes


class FrankaController(NodeBase):
    """Callbacks check and hand over; the arm moves in one worker thread, one job at a time."""

    def __init__(self) -> None:
        super().__init__('franka_controller')
        controller_parameters.declare(self)
        self._arm = controller_parameters.arm_of(self)
        self.driver: ArmDriver | None = None
        self._launching = threading.Lock()  # a job is accepted before a halt or not at all
        self._publishing = threading.Lock()

    # What it allocates

    def setup(self) -> None:
        self.driver = controller_parameters.build_driver(self)
        self.own(self.driver.close)
        self.driver.connect()
        self.worker = self.create_worker('arm')
        self.stopper = self.create_worker('stop')  # the other one may hang in a call to the arm
        self.diagnostics.hardware_id = f'{self._arm.name} at {self.driver.arm.address}'
        self._told = None
        self._last = self._running = Record()
        self._idle, self._job = threading.Event(), None
        self._idle.set()
        self._counts = dict.fromkeys(('accepted', 'clipped', 'refused', 'failed', 'contacts'), 0)

    def start(self) -> None:
        self._said = {
            'joints': self.create_publisher(JointState, 'joint_states', 1),
            'pose': self.create_publisher(PoseStamped, 'ee_pose', 1),
            'status': self.create_publisher(ArmStatus, 'arm_status', 1),
        }
        self.create_subscription(ArmCommand, 'command', self._on_command, 1)
        # Reentrant: a service that waits for the arm must not hold up ~/stop.
        group = ReentrantCallbackGroup()
        for kind, name, callback in (
            (Trigger, 'recover', self._on_recover),
            (Trigger, 'stop', self._on_stop),
            (Trigger, 'hold', self._on_hold),
            (Trigger, 'home', self._on_home),
            (MoveTo, 'move_to', self._on_move_to),
            (SetGripper, 'set_gripper', self._on_set_gripper),
        ):
            self.create_service(kind, f'~/{name}', callback, callback_group=group)
        self.create_steady_timer(1.0 / self.value('rate'), self._publish)
        self.add_part('arm', self._arm_part)
        self.add_part('commands', self._command_part)
        self.add_part('gripper', self._gripper_part)

    def halt(self) -> None:
        try:
            self.driver.hold()  # whatever was accepted before; `_launch` accepts nothing any more
        finally:  # who waits for that command hears its end, also when it was ended by force
            self.worker.drain()
            self._said['status'].wait_for_all_acked(FAREWELL)

    # What it hears

    def _on_command(self, command: ArmCommand) -> None:
        record = Record(command.session, command.sequence)
        # given before anything is judged: who is frozen meanwhile begins nothing when he wakes
        permit = self.driver.permit(time.monotonic() + self.value('max_command_age'))
        try:
            heard = self._read(command)
            step = self.driver.judge(heard, self._limits(), busy=not self._idle.is_set())
        except JepaWmError as error:
            return self._refuse(
                replace(record, outcome=refused_as(error), message=str(error), code=error.code)
            )
        self._counts['accepted'] += 1
        self._counts['clipped'] += step.clipped
        self._last = self._running = replace(
            record, outcome=Outcome.EXECUTING, clipped=step.clipped, message=step.reason
        )
        self._launch(self._execute, self._running, step.target, heard.closure, permit)

    def _read(self, command: ArmCommand) -> Command:
        return Command(
            session=command.session,
            sequence=command.sequence,
            age=(self.now_ns() - to_ns(command.header.stamp)) / 1e9,
            frame=command.header.frame_id,
            target=position_and_quaternion(command.target),
            planned_from=position_and_quaternion(command.planned_from),
            gripper=command.gripper,
        )

    def _limits(self) -> CommandLimits:
        return CommandLimits(
            base_frame=self.value('base_frame'),
            max_age=self.value('max_command_age'),
            max_state_age=self.value('max_state_age'),
            max_moved_distance=self.value('max_moved_distance'),
            max_moved_angle=self.value('max_moved_angle'),
        )

    def _refuse(self, record: Record) -> None:
        self._counts['refused'] += 1
        self.get_logger().warning(
            f'command {record.sequence}: {record.message}', throttle_duration_sec=REPEAT_SECONDS
        )
        running = (self._running.session, self._running.sequence)
        # A duplicate of the running command must not hide how that one ends.
        if self._idle.is_set() or (record.session, record.sequence) != running:
            self._last = record
            self._publish()

    # What runs in the worker

    def _launch(self, function, *args):
        """Hand one job to the worker; the returned future holds its result."""
        with self._launching:
            if self.halting:
                raise ArmError(ErrorKind.STOPPED, 'the controller is being deactivated')
            self._idle.clear()
            self._job = self.worker.submit(self._sole_job, function, *args)
            return self._job

    def _sole_job(self, function, *args):
        try:
            return function(*args)
        finally:
            self._idle.set()
            self._publish()  # at once: the next command may wait for nothing but this

    def _execute(self, record: Record, target: Pose, closure: float | None, permit: Permit) -> None:
        try:
            ended = self.driver.execute(record, target, closure, permit)
        except Exception as error:  # a bug: the sender must still hear that its command failed
            self.errors.tell(error, 'command')
            message = 'unexpected error: see the log of franka_controller'
            ended = replace(
                record, outcome=Outcome.FAILED, message=message, code=FaultCode.INTERNAL
            )
        self._counts['failed'] += ended.outcome is Outcome.FAILED
        self._counts['contacts'] += bool(self.driver.arm.touched)
        self._last = ended

    # What it serves

    async def _on_stop(self, _request, response):
        return await self._end_motion(response, self.driver.stop)

    async def _on_hold(self, _request, response):
        return await self._end_motion(response, self.driver.hold)

    async def _end_motion(self, response, how):
        await self._answer(response, lambda: self.stopper.submit(how))
        if response.success and self._job is not None:
            try:
                await self._job
            except JepaWmError:
                pass  # whoever asked for that motion hears of it
        return response

    async def _on_home(self, _request, response):
        def begin():
            self.driver.check_fit(self.value('max_state_age'), busy=not self._idle.is_set())
            return self._launch(self.driver.drive_home, self.value('home_q'), self.driver.permit())

        return await self._answer(response, begin)

    async def _on_move_to(self, request, response):
        def begin():
            self.driver.check_fit(self.value('max_state_age'), busy=not self._idle.is_set())
            target = self.driver.judge_target(
                position_and_quaternion(request.target.pose),
                request.target.header.frame_id,
                self.value('base_frame'),
            )
            return self._launch(self.driver.drive_to, target, self.driver.permit())

        return await self._answer(response, begin)

    async def _on_set_gripper(self, request, response):
        def begin():
            self.driver.check_gripper(busy=not self._idle.is_set())
            return self._launch(self.driver.drive_gripper, request.closure, self.driver.permit())

        return await self._answer(response, begin)

    async def _on_recover(self, _request, response):
        def begin():
            self.driver.check_idle(busy=not self._idle.is_set())
            return self._launch(self.driver.recover)

        return await self._answer(response, begin)

    async def _answer(self, response, begin):
        """Say what the job that `begin` launches came to, or why it was not begun."""
        try:
            response.message = await begin()
            response.success = True
        except JepaWmError as error:
            response.success, response.message = False, str(error)
            if not isinstance(response, Trigger.Response):
                response.error_code = error.code
        return response

    # What it says

    def _publish(self) -> None:
        with self._publishing:  # one after the other: who hears two hears the newer one last
            last = self._last  # before the state: an ended command with an arm that still moves
            state = self.driver.arm.state()  # is never said
            age = time.monotonic() - state.stamp
            header = Header(
                stamp=to_stamp(self.now_ns() - int(age * 1e9)), frame_id=self.value('base_frame')
            )
            if state.mode is not ArmMode.DISCONNECTED and age < self.value('max_state_age'):
                self._said['joints'].publish(self._joint_state(header, state))
                self._said['pose'].publish(
                    PoseStamped(
                        header=header, pose=pose_message(state.pose.position, state.pose.quaternion)
                    )
                )
            self._said['status'].publish(self._status(header, state, last))
        fault = self.driver.arm.fault
        if fault is not None and fault is not self._told:
            self.get_logger().error(str(fault))
        self._told = fault

    def _joint_state(self, header: Header, state: ArmState) -> JointState:
        message = JointState(
            header=Header(stamp=header.stamp),
            name=list(self._arm.joints),
            position=state.q.tolist(),
            velocity=state.dq.tolist(),
        )
        if (gripper := self.driver.gripper) is not None:
            message.name += self._arm.finger_joints
            message.position.extend([gripper.width / 2] * 2)
            message.velocity.extend([gripper.speed / 2] * 2)
        return message

    def _status(self, header: Header, state: ArmState, last: Record) -> ArmStatus:
        gripper = self.driver.gripper
        return ArmStatus(
            header=header,
            mode=state.mode.value,
            errors=list(state.errors),
            gripper=gripper.closure if gripper else 0.0,
            commanded_gripper=gripper.commanded if gripper else 0.0,
            gripper_failed=bool(gripper and gripper.failure),
            pose=pose_message(state.pose.position, state.pose.quaternion),
            commanded=pose_message(state.commanded.position, state.commanded.quaternion),
            session=last.session,
            sequence=last.sequence,
            outcome=last.outcome.value,
            clipped=last.clipped,
            message=last.message,
            error_code=int(last.code),
        )

    # What it says of itself

    def _arm_part(self):
        state = self.driver.arm.state()
        age = time.monotonic() - state.stamp
        values = {
            'mode': state.mode.name,
            'state_age_s': f'{age:.3f}',
            'errors': ', '.join(state.errors),
            'control_command_success_rate': f'{state.success_rate:.3f}',
            'vertical_force_n': f'{state.vertical_force:.1f}',
            'scheduling': scheduling(),
        }
        trouble = self.driver.trouble(self.value('max_state_age'))
        if trouble:
            return Diagnostics.ERROR, str(trouble), values
        return Diagnostics.OK, state.mode.name.lower(), values

    def _command_part(self):
        return Diagnostics.OK, self._last.message or 'no complaint', self._counts

    def _gripper_part(self):
        gripper = self.driver.gripper
        if gripper is None:
            return Diagnostics.OK, 'no gripper', {}
        values = {'closure': f'{gripper.closure:.3f}'}
        if gripper.failure:
            return Diagnostics.WARN, gripper.failure, values
        return Diagnostics.OK, 'ready', values


def main(args: list[str] | None = None) -> None:
    """Run the node until it is interrupted."""
    take_precedence()  # also for franky's own thread, which commands the arm every millisecond
    leave(run(FrankaController, args))


if __name__ == '__main__':
    main()
