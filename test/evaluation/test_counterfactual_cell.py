# SPDX-License-Identifier: Apache-2.0
"""Question 10: pictures of what is imagined, beside what the simulated cell really does."""

import numpy as np
import pytest
from matplotlib import image

from jepa_wm_ros.evaluation.counterfactual_cell import strip, what_happens
from jepa_wm_ros.evaluation.offline.illustrate import SIDE, WAYS
from jepa_wm_ros.findings import command

pytestmark = pytest.mark.usefixtures('one_thread')


def test_the_cube_rises_with_a_hand_that_has_closed_and_stays_under_one_that_has_not():
    closed, opened = (what_happens(3, WAYS[f'{way} and up']) for way in ('close', 'open'))
    up = 4 * 0.05
    assert abs(closed.risen - up) < 0.01 and abs(opened.risen) < 0.001
    for branch in (closed, opened):
        assert abs(branch.poses[-1][2] - branch.poses[0][2] - up) < 0.01
    # Begun alike, and all that differs is the gripper.
    np.testing.assert_array_equal(closed.frames[0], opened.frames[0])
    np.testing.assert_array_equal(closed.actions[:, :6], opened.actions[:, :6])


def test_the_picture_has_what_happens_above_what_is_imagined(tmp_path, capsys):
    words = ['cell', '--question', '10', '--out', str(tmp_path), '--seeds', '3']
    assert command.main(words) == 0
    path = tmp_path / 'cell_10.png'
    assert str(path) in capsys.readouterr().out and image.imread(path).shape[1] > 5 * SIDE
    drawn = strip('jepa_wm_cell_grasp', 3)
    assert [caption for caption, _ in drawn.rows] == [
        'open and up',
        'imagined',
        'close and up',
        'imagined',
    ]
    assert len({picture.shape for _, picture in drawn.rows}) == 1


def test_worlds_and_questions_that_do_not_fit_are_told(tmp_path, capsys):
    for words, said in (
        (['cell', '--question', '2'], 'cell answers 10'),
        (['wall', '--question', '10'], 'wall answers 1, 2'),
        (['wall'], '--data: give the episodes'),
    ):
        with pytest.raises(SystemExit):
            command.main([*words, '--out', str(tmp_path)])
        assert said in capsys.readouterr().err
