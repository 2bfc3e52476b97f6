# SPDX-License-Identifier: Apache-2.0
"""Resampling and interpolation against cases worked out by hand."""

import numpy as np
import pytest

from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.clips import choose_clips, clip_starts, resample, split_runs
from jepa_wm_ros.recordings.streams import NS
from jepa_wm_ros.recordings.timeline import Timeline

PERIOD = NS // 4
MAX_GAP = NS // 2


def timeline(seconds, clock=None, poses=None):
    stamps = np.round(np.asarray(seconds, float) * 1e9).astype(np.int64)
    count = len(stamps)
    if poses is None:
        poses = np.zeros((count, 7))
        poses[:, 0] = np.arange(count) * 0.01
    return Timeline(
        stamps,
        stamps,
        poses,
        np.zeros(count, np.int32) if clock is None else np.asarray(clock, np.int32),
    )


def frames_of(seconds, **options):
    return resample(timeline(seconds, **options), PERIOD, MAX_GAP).frames.tolist()


def test_the_nearest_frame_of_each_step_is_taken():
    # grid 0, .25, .5, .75: nearest of a 10 Hz camera
    assert frames_of(np.arange(9) * 0.1) == [0, 2, 5, 7]


def test_jittering_frames_keep_their_step():
    assert frames_of([0.0, 0.31, 0.42, 0.80, 0.95]) == [0, 1, 2, 3, 4]
    steps = resample(timeline([0.0, 0.31, 0.42, 0.80, 0.95]), PERIOD, MAX_GAP)
    np.testing.assert_allclose(steps.offsets, [0.0, 0.06, -0.08, 0.05, -0.05])


def test_a_frame_serves_one_step_only():
    # At 3 Hz the frame at .333 is nearest to .25, that at .667 to .5 (off .167 > .125: missing)
    assert frames_of([0.0, 1 / 3, 2 / 3, 1.0]) == [0, 1, -1, 2, 3]


def test_a_frame_half_way_between_two_steps_serves_the_first():
    assert frames_of([0.0, 0.375, 0.75]) == [0, 1, -1, 2]


def test_a_frame_further_than_half_a_step_is_not_taken():
    assert frames_of([0.0, 0.25, 0.63, 0.75, 1.0]) == [0, 1, -1, 3, 4]
    assert frames_of([0.0, 0.25, 0.625, 0.75, 1.0]) == [0, 1, 2, 3, 4]


def test_frames_without_a_pose_are_holes():
    poses = np.zeros((5, 7))
    poses[2] = np.nan
    assert frames_of(np.arange(5) * 0.25, poses=poses) == [0, 1, -1, 3, 4]


def test_gaps_and_clock_jumps_begin_a_new_run_with_a_grid_of_its_own():
    seconds = [0.0, 0.25, 1.10, 1.35, 0.40, 0.65]
    line = timeline(seconds, clock=[0, 0, 0, 0, 1, 1])
    assert split_runs(line, MAX_GAP).tolist() == [0, 0, 1, 1, 2, 2]
    steps = resample(line, PERIOD, MAX_GAP)
    assert steps.frames.tolist() == [0, 1, 2, 3, 4, 5]
    assert steps.runs.tolist() == [0, 0, 1, 1, 2, 2]
    assert clip_starts(steps, 1, 1).tolist() == [0, 2, 4]
    assert clip_starts(steps, 2, 1).tolist() == []


def test_one_frame_is_one_step():
    assert frames_of([3.0]) == [0]


def test_clips_need_every_frame_and_keep_their_stride():
    poses = np.zeros((12, 7))
    poses[5] = np.nan
    steps = resample(timeline(np.arange(12) * 0.25, poses=poses), PERIOD, MAX_GAP)
    assert clip_starts(steps, 3, 1).tolist() == [0, 1, 6, 7, 8]
    assert clip_starts(steps, 3, 3).tolist() == [0, 6]
    assert clip_starts(steps, 12, 1).tolist() == []


def test_drawn_clips_repeat_with_their_seed_and_stay_in_order():
    line = timeline(np.arange(100) * 0.25)
    steps = resample(line, PERIOD, MAX_GAP)

    def draw(seed):
        clips = choose_clips(line, steps, horizon=3, stride=1, limit=10, seed=seed)
        return [int(clip.frames[0]) for clip in clips]

    assert draw(1) == draw(1) == sorted(draw(1))
    assert len(set(draw(1))) == 10
    assert draw(1) != draw(2)
    clip = choose_clips(line, steps, horizon=3, stride=1, limit=1, seed=1)[0]
    np.testing.assert_allclose(clip.actions[:, 0], 0.01)


# Position [m] and rotation matrix of the TCP that MuJoCo finds in franky-sim's FR3 model.
SIMULATED = [
    (
        [0, -0.785, 0, -2.356, 0, 1.571, 0.785],
        [0.30702, 0.0, 0.48687],
        [1.0, 0.000398, 0.0, 0.000398, -1.0, 0.0, 0.0, 0.0, -1.0],
    ),
    (
        [0.3, -0.5, 0.2, -2.0, -0.4, 1.8, 0.1],
        [0.417409, 0.162666, 0.60081],
        [
            0.377887,
            0.801941,
            0.462701,
            0.920521,
            -0.271873,
            -0.280583,
            -0.099215,
            0.531954,
            -0.840941,
        ],
    ),
    (
        [-1.1, 0.4, 0.7, -1.2, 0.9, 2.2, -0.6],
        [0.685655, -0.311909, 0.663895],
        [
            0.217336,
            0.444341,
            0.869095,
            0.226239,
            -0.889063,
            0.397974,
            0.949516,
            0.110129,
            -0.293753,
        ],
    ),
]


@pytest.mark.parametrize(('joints', 'position', 'rotation'), SIMULATED)
def test_hand_pose_of_the_joints_is_the_simulators(joints, position, rotation):
    pose = FR3.hand_pose(np.array(joints))
    np.testing.assert_allclose(pose[:3, 3], position, atol=2e-6)
    np.testing.assert_allclose(pose[:3, :3].ravel(), rotation, atol=2e-6)
