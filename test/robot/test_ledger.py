# SPDX-License-Identifier: Apache-2.0
"""Who may move: permits, the latched stop, the fault, and what a recovery takes away."""

import time

import numpy as np
import pytest

from jepa_wm_ros.robot.arm_state import ArmMode, ArmState
from jepa_wm_ros.robot.faults import ArmError, ErrorKind
from jepa_wm_ros.robot.ledger import Ledger
from jepa_wm_ros.robot.pose import Pose

REFLEX = ArmError(ErrorKind.REFLEX, 'reflex')
LOST = ArmError(ErrorKind.NETWORK, 'lost')


@pytest.fixture
def ledger():
    made = Ledger('127.0.0.1')
    pose = Pose.of((0.5, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0))
    still = np.zeros(7)
    made.keep(ArmState(0.0, 0.0, ArmMode.READY, still, still, pose, pose, (), 1.0))
    return made


def test_a_stop_makes_earlier_permits_void_and_a_latched_one_all(ledger):
    permit = ledger.permit()
    ledger.revoke()
    assert not ledger.begin(permit, None) and ledger.begin(ledger.permit(), None)
    ledger.revoke(latch=True)
    with pytest.raises(ArmError, match='told to stop'):
        ledger.claim()


@pytest.mark.fault(6)
def test_what_was_judged_before_a_freeze_is_not_begun_after_it(ledger):
    assert not ledger.begin(ledger.permit(until=time.monotonic() - 1e-3), None)
    assert not ledger.running
    assert ledger.begin(ledger.permit(until=time.monotonic() + 60.0), None) and ledger.running


def test_the_first_reason_stays_but_a_lost_connection_is_told(ledger):
    first = ledger.latch(REFLEX)
    ledger.latch(ArmError(ErrorKind.COMMAND, 'later'))
    assert ledger.hindrance is first
    ledger.revoke(latch=True)
    stop = ledger.stopped
    ledger.revoke(latch=True)
    assert ledger.stopped is stop and ledger.hindrance is first
    assert ledger.latch(LOST) is LOST


def test_each_state_has_its_name(ledger):
    assert ledger.state().mode is ArmMode.READY
    ledger.claim()
    assert ledger.state().mode is ArmMode.MOVING
    ledger.revoke(latch=True)
    assert ledger.state().mode is ArmMode.MOVING  # until it rests
    ledger.release()
    assert ledger.state().mode is ArmMode.STOPPED
    ledger.latch(REFLEX)
    assert ledger.state().mode is ArmMode.FAULT
    ledger.latch(LOST)
    assert ledger.state().mode is ArmMode.DISCONNECTED
    with ledger.recovery():
        assert ledger.state().mode is ArmMode.RECOVERING
        ledger.absolve()
    assert ledger.state().mode is ArmMode.READY


def test_a_recovery_and_a_motion_exclude_each_other(ledger):
    with ledger.recovery():
        with pytest.raises(ArmError, match='recovering'):
            ledger.claim()
        with pytest.raises(ArmError, match='under way'), ledger.recovery():
            pass
    ledger.claim()
    with pytest.raises(ArmError, match='under way'), ledger.recovery():
        pass


def test_a_hold_during_a_recovery_ends_motions_and_does_not_latch(ledger):
    """As when a goal's end holds the arm while a person recovers from the stop before it."""
    ledger.revoke(latch=True)
    with ledger.recovery():
        permit = ledger.permit()
        ledger.revoke()
        ledger.absolve()
    assert ledger.stopped is None and not ledger.permits(permit)


def test_a_stop_during_a_recovery_is_not_recovered_from(ledger):
    ledger.revoke(latch=True)
    with ledger.recovery():
        ledger.revoke(latch=True)
        ledger.absolve()
    assert ledger.hindrance is ledger.stopped is not None
    with ledger.recovery():
        ledger.absolve()
    assert ledger.hindrance is None
