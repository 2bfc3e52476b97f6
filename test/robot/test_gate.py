# SPDX-License-Identifier: Apache-2.0
"""Old commands never move the arm."""

import pytest

from jepa_wm_ros.robot.gate import SESSIONS, CommandGate


def test_new_commands_pass_and_the_same_ones_do_not_pass_again():
    gate = CommandGate()
    for sequence in (1, 2, 5):
        assert gate.refusal(7, sequence, 0.01, 0.5) == ''
        assert 'replay' in gate.refusal(7, sequence, 0.01, 0.5)
    assert 'replay' in gate.refusal(7, 4, 0.01, 0.5)


def test_a_session_is_remembered_while_others_come_and_go():
    gate = CommandGate()
    assert gate.refusal(1, 3, 0.0, 0.5) == ''
    for session in range(2, SESSIONS):
        assert gate.refusal(session, 1, 0.0, 0.5) == ''
    assert 'replay' in gate.refusal(1, 3, 0.0, 0.5)
    assert gate.refusal(1, 4, 0.0, 0.5) == ''


def test_the_first_sequence_is_one():
    assert 'replay' in CommandGate().refusal(1, 0, 0.0, 0.5)


@pytest.mark.parametrize(
    'age, reason', [(0.51, 'is 0.51 s old'), (-0.6, 'in the future'), (1.7e9, 's old')]
)
def test_a_stale_or_future_command_is_refused_and_not_remembered(age, reason):
    gate = CommandGate()
    assert reason in gate.refusal(1, 1, age, 0.5)
    assert gate.refusal(1, 1, 0.0, 0.5) == ''
