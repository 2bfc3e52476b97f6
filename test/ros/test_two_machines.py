# SPDX-License-Identifier: Apache-2.0
"""The arm's machine and the model's, with a cable between them: reached, cut, mended."""

import json
import os
import sys

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')
pytest.importorskip('franky_sim')

from jepa_wm_ros.fr3 import FR3  # noqa: E402
from support import two_hosts  # noqa: E402
from support.paths import ROOT  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope='module')
def seen(pytestconfig):
    """What support/reach_across.py saw."""
    peers = two_hosts.environment(two_hosts.NEAR)
    given = peers | {'PYTHONPATH': os.pathsep.join(map(str, (ROOT, ROOT / 'test')))}
    words = ' '.join(f'{name}={value}' for name, value in given.items())
    leave_out = '-u FASTRTPS_DEFAULT_PROFILES_FILE -u FASTDDS_DEFAULT_PROFILES_FILE'
    script = f'enter env {leave_out} {words} {sys.executable} -m support.reach_across </dev/null'
    done = two_hosts.run(script, timeout=400.0)
    if 'joined' not in done.stdout:
        pytest.skip(f'may not make networks: {done.stderr}')
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(seen, indent=1))
    return seen


def test_a_picture_is_reached_across_the_cable(seen):
    assert seen['first']['code'] == 'SUCCEEDED' and seen['first']['away'] <= 0.04


def test_a_cut_cable_leaves_the_arm_standing_after_its_step(seen):
    cut = seen['cut']
    assert cut['code'] == 'CONTROLLER_LOST', cut
    assert cut['moved'] <= FR3.max_step + 0.001
    assert cut['arm_stood'] < 4.0 and cut['looks_after'] > 10, 'it stands until the cable is back'
    assert cut['goal_ended'] < 3.0 and cut['missed'] < 8.0


def test_the_mended_cable_moves_nothing_by_itself_and_the_next_goal_is_reached(seen):
    assert seen['mended']['moved'] < 0.001
    assert seen['mended']['arm_heard'] < 10.0
    assert seen['again']['code'] == 'SUCCEEDED' and seen['again']['away'] <= 0.04
