# SPDX-License-Identifier: Apache-2.0
"""Damaged inputs end in success or one line, in bounded memory and time; see __main__.py."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fuzz.__main__ import TARGETS, fuzz
from fuzz.trial import run
from jepa_wm_ros.errors import JepaWmError
from support.paths import ROOT

QUICK = {
    'own weights': 200,
    'torch weights': 300,
    'published config': 80,
    'mcap': 100,
    'sqlite': 80,
    'pictures': 400,
    'states': 300,
    'texts': 200,
    'parameters': 20,
    'requests': 500,
}
ROWS = {
    'own weights': 31,
    'torch weights': 30,
    'published config': 31,
    'mcap': 33,
    'sqlite': 33,
    'pictures': 15,
    'states': 3,
    'texts': 36,
    'parameters': 36,
    'requests': 36,
}
SLOW = 100_000
HOURS = 3


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=pytest.mark.fault(ROWS[name])) for name in TARGETS]
)
def test_damaged_input_is_read_or_refused_in_one_line(name):
    tally = fuzz(name, range(QUICK[name]))
    assert [str(finding) for finding in tally.findings] == []
    assert tally.inputs == QUICK[name] and tally.outcomes['read']


@pytest.mark.slow
def test_a_hundred_thousand_damaged_inputs_leave_no_raw_error(capsys):
    command = [sys.executable, '-m', 'fuzz', '--inputs', str(SLOW), '--seed', '1']
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "test"}'},
        capture_output=True,
        text=True,
        timeout=HOURS * 3600,
    )
    with capsys.disabled():
        print(f'\n{done.stdout}')
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


class Careless:
    """A reader that fails in each way that counts as a finding."""

    def __init__(self, fail):
        self.fail = fail

    def prepare(self, rng):
        del rng
        return self.fail


def several_lines():
    raise JepaWmError('one line\nand another')


def believes_a_length():
    try:
        bytearray(1 << 40)
    except MemoryError as error:
        raise JepaWmError('damaged') from error


@pytest.mark.parametrize(
    'fail, outcome',
    [
        (lambda: [][1], 'RAW'),
        (lambda: np.zeros(1 << 30), 'RAW'),  # 8 GiB
        (lambda: sys.exit(), 'RAW'),
        (several_lines, 'NOT ONE LINE'),
        (believes_a_length, 'MEMORY'),
    ],
)
def test_what_a_careless_reader_does_is_found(fail, outcome):
    tally = run('careless', Careless(fail), range(1), 0)
    assert tally.outcomes == {outcome: 1} and len(tally.findings) == 1


def test_an_input_that_takes_too_long_is_found(monkeypatch):
    monkeypatch.setattr('fuzz.trial.SECONDS', 0.0)
    assert run('slow', Careless(lambda: sum(range(10000))), range(1), 0).outcomes == {'SLOW': 1}


def test_an_input_is_the_same_whenever_its_number_is_read(tmp_path):
    target = TARGETS['own weights'][0](tmp_path)
    made = []
    for number in (3, 4, 3):
        target.prepare(np.random.default_rng([0, 7, number]))
        made.append(target.file.read_bytes())
    assert made[0] == made[2] != made[1]
