# SPDX-License-Identifier: Apache-2.0
"""Who gets the planner: goals at one moment, newer goals, cancels, stops; all get a result."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from action_msgs.msg import GoalStatus  # noqa: E402
from jepa_wm_msgs.msg import ArmStatus  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.ros.commander import CommanderError, JepaCommander  # noqa: E402
from support.planner_rig import PICTURE, Client, planning, toys  # noqa: E402
from support.python_process import node  # noqa: E402
from support.ros_peers import call, meet, ros, wait  # noqa: E402

pytestmark = pytest.mark.ros
PAIRS = 45
NEWER = 'newer goal'


def hold(toy, client):
    """A goal that runs until it is stopped, the arm moving for it; returns its handle."""
    toy.outcome, moves = ArmStatus.OUTCOME_EXECUTING, toy.moves
    handle = client.send()
    assert handle.accepted
    deadline = time.monotonic() + 20.0
    while toy.moves == moves:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    toy.outcome = ArmStatus.OUTCOME_DONE  # of the next command
    return handle


@pytest.mark.fault(25)
def test_of_two_goals_at_the_same_moment_exactly_one_is_taken(ros_domain):
    with planning(clients=2, observation_timeout=30.0) as (_, toy, *clients):
        toy.freeze_error = FaultCode.STALE_IMAGE  # a goal waits until it is cancelled
        accepted, together = [], threading.Barrier(2)

        def send(client):
            together.wait(20.0)
            return client.send()

        with ThreadPoolExecutor(2) as threads:
            for _ in range(PAIRS):
                handles = list(threads.map(send, clients))
                accepted.append(sum(handle.accepted for handle in handles))
                for client, handle in zip(clients, handles, strict=True):
                    if handle.accepted:
                        client.act(handle.cancel_goal_async)
                        assert client.result(handle).result.error_code == FaultCode.CANCELED
        assert accepted == [1] * PAIRS


def test_the_newest_goal_preempts_all_earlier_ones_and_each_of_those_has_its_end(ros_domain):
    with planning(on_new_goal='preempt') as (_, toy, client):
        first = hold(toy, client)
        others = [client.send() for _ in range(3)]
        *superseded, newest = [client.result(handle) for handle in (first, *others)]
        for answer in superseded:
            assert answer.status == GoalStatus.STATUS_ABORTED
            assert answer.result.error_code == FaultCode.CANCELED
            assert NEWER in answer.result.error_msg
        assert newest.result.error_code == FaultCode.SUCCEEDED and toy.stops >= 1
        assert [answer.result.steps for answer in superseded[1:]] == [0, 0]


@pytest.mark.fault(25)
def test_a_late_cancel_of_a_superseded_goal_does_not_stop_the_newer_one(ros_domain):
    with planning(on_new_goal='preempt') as (_, toy, client):
        first = hold(toy, client)
        second = client.send()
        client.act(first.cancel_goal_async)
        assert client.result(first).result.error_code == FaultCode.CANCELED
        client.act(first.cancel_goal_async)
        assert client.result(second).result.error_code == FaultCode.SUCCEEDED


@pytest.mark.fault(5)
def test_a_model_that_answered_into_nothing_is_asked_again(ros_domain):
    with planning() as (_, toy, client):
        toy.unanswered = 2
        assert client.result(client.send()).result.error_code == FaultCode.SUCCEEDED
        assert not toy.unanswered


@pytest.mark.fault(37)
def test_a_deactivated_planner_ends_its_goal_with_a_standing_arm_and_then_goes(ros_domain):
    with planning() as (planner, toy, client):
        handle = hold(toy, client)
        asked = client.node.executor.create_task(handle.get_result_async)
        begun = time.monotonic()
        assert planner.trigger_deactivate().name == 'SUCCESS', planner.failure
        assert time.monotonic() - begun < 2.0
        assert toy.stops >= 1
        answer = wait(asked.result())
        assert answer.status == GoalStatus.STATUS_ABORTED
        assert answer.result.error_code == FaultCode.STOPPED
        assert 'deactivated' in answer.result.error_msg
        assert planner.trigger_activate().name == 'SUCCESS'
        assert client.reach().error_code == FaultCode.SUCCEEDED


@pytest.mark.parametrize('delay', [0.0, 0.002, 0.01, 0.03, 0.1, 0.2])
def test_no_goal_that_begins_beside_a_deactivation_moves_anything_after_it(ros_domain, delay):
    with planning() as (planner, toy, client):
        assert client.action.wait_for_server(60.0)
        meet(client.node, 'planner')
        client.patience = 5.0  # a server that goes answers nobody
        ends = []

        def send():
            try:
                handle = client.send()
            except AssertionError:
                return  # the server went before it was asked
            if handle.accepted:
                ends.append('accepted')
                ends.append(client.result(handle).status)

        sending = threading.Thread(target=send)
        sending.start()
        threading.Event().wait(delay)
        planner.trigger_deactivate()
        moves = toy.moves
        threading.Event().wait(0.5)
        assert toy.moves == moves
        sending.join(60.0)
        told = (GoalStatus.STATUS_ABORTED, GoalStatus.STATUS_SUCCEEDED)
        assert not ends or (ends[0] == 'accepted' and ends[1] in told)


@pytest.mark.fault(37)
def test_a_goal_taken_at_the_moment_of_a_deactivation_hears_of_its_end(ros_domain):
    with planning() as (planner, toy, client):
        claim, leaving = planner.slot.claim, threading.Thread(target=planner.trigger_deactivate)

        def claim_and_leave(preempting):
            turn = claim(preempting)
            leaving.start()
            leaving.join(0.3)  # it goes as far as it gets while the goal cannot go on
            return turn

        planner.slot.claim = claim_and_leave
        answer = client.result(client.send())
        leaving.join(20.0)
        assert answer.status == GoalStatus.STATUS_ABORTED
        assert answer.result.error_code == FaultCode.STOPPED
    assert not toy.moves and planner.failure is None


@pytest.mark.fault(37)
@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGINT])
def test_a_terminated_planner_delivers_the_result_of_its_goal_first(ros_domain, how):
    with ros(), node('planner') as planner:
        client = Client()
        with toys(client) as toy:
            handle = hold(toy, client)
            asked = client.node.executor.create_task(handle.get_result_async)
            planner.send_signal(how)
            output, _ = planner.communicate(timeout=30)
            answer = wait(asked.result())
            assert answer.result.error_code == FaultCode.STOPPED and toy.stops >= 1
        assert planner.returncode == 0 and 'Traceback' not in output, output


@pytest.mark.fault(5)
def test_a_killed_planner_is_missed_within_five_seconds(ros_domain):
    with ros(), node('planner') as planner, toys() as toy, JepaCommander(timeout=60.0) as arm:
        toy.outcome = ArmStatus.OUTCOME_EXECUTING
        killed = []

        def kill(feedback):
            if feedback.phase == feedback.MOVING and not killed:
                planner.kill()
                killed.append(time.monotonic())

        with pytest.raises(CommanderError, match='planner'):
            arm.reach([PICTURE], kill)
        assert time.monotonic() - killed[0] < 5.0


def test_the_process_ends_after_the_shutdown_of_its_life_cycle(ros_domain):
    with ros(), node('planner') as planner:
        client = Client()
        with toys(client):
            assert client.action.wait_for_server(60.0)
            request = ChangeState.Request(
                transition=Transition(id=Transition.TRANSITION_ACTIVE_SHUTDOWN)
            )
            assert call(client.node, ChangeState, 'planner/change_state', request).success
            output, _ = planner.communicate(timeout=30)
        assert planner.returncode == 0 and 'Traceback' not in output, output


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    ('wrong', 'reason'),
    [
        ({'on_new_goal': 'banana'}, 'reject or preempt'),
        ({'profile': 'nosuch'}, 'nosuch'),
        ({'planner': 'nosuch'}, 'nosuch'),
        ({'gripper_open_below': 0.7}, 'gripper_close_above'),
        ({'max_duration': float('nan')}, 'out of range'),
        ({'max_steps': 0}, 'max_steps'),
        ({'base_frame': 'map'}, 'read-only'),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason_and_changes_nothing(ros_domain, wrong, reason):
    with planning() as (planner, _, client):
        before = {name: planner.value(name) for name in wrong}
        request = SetParameters.Request(
            parameters=[
                Parameter(name, value=value).to_parameter_msg() for name, value in wrong.items()
            ]
        )
        (answer,) = call(client.node, SetParameters, 'planner/set_parameters', request).results
        assert not answer.successful and reason in answer.reason
        assert {name: planner.value(name) for name in wrong} == before
