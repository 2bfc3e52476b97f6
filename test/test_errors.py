# SPDX-License-Identifier: Apache-2.0
"""Fault codes: one list, the same in Python and in the action."""

import re

from jepa_wm_ros.errors import Fault, FaultCode, Interrupted, JepaWmError, code_of
from support.paths import ROOT


def test_the_codes_are_the_constants_of_the_action():
    action = (ROOT / 'jepa_wm_msgs/action/ReachGoal.action').read_text()
    result = action.split('\n---\n')[1]
    constants = dict(re.findall(r'^uint16 ([A-Z_]+) = (\d+)', result, re.MULTILINE))
    assert {name: int(number) for name, number in constants.items()} == {
        code.name: code.value for code in FaultCode
    }


def test_an_error_carries_its_code():
    assert code_of(Fault(FaultCode.STALE_IMAGE, 'late')) is FaultCode.STALE_IMAGE
    assert code_of(JepaWmError('no', FaultCode.BUSY)) is FaultCode.BUSY
    assert code_of(Interrupted('enough')) is FaultCode.CANCELED
    assert code_of(MemoryError()) is FaultCode.OUT_OF_MEMORY
    assert code_of(ValueError('out of memory')) is FaultCode.INTERNAL


def test_the_code_of_a_newer_peer_is_not_an_error():
    assert Fault(12345, 'new').code is FaultCode.INTERNAL
