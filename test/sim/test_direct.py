# SPDX-License-Identifier: Apache-2.0
"""Direct stepping and the recorder on top of it."""

import resource

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('mujoco')
pytest.importorskip('franky_sim')

from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.recordings.folder import claim  # noqa: E402
from jepa_wm_ros.sim import record, scene, variation  # noqa: E402
from jepa_wm_ros.sim.design import NOMINAL  # noqa: E402
from jepa_wm_ros.sim.direct import DirectCell  # noqa: E402


@pytest.fixture(scope='module')
def cell():
    with DirectCell() as cell:
        yield cell


def down(x, y, z, closure=0.0):
    return np.array([x, y, z, *FR3.hand_down, closure])


def move(**parts):
    names = ('x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper')
    return np.array([parts.get(name, 0.0) for name in names])


def test_a_step_ends_within_a_millimetre_of_the_command(cell):
    rng = np.random.default_rng(0)
    cell.reset(down(0.5, 0.0, 0.25))
    for _ in range(6):
        step = rng.normal(size=3)
        step *= rng.uniform(0.005, 0.05) / np.linalg.norm(step)
        before = cell.pose
        _, pose = cell.step(move(x=step[0], y=step[1], z=step[2]))
        np.testing.assert_allclose(pose[:3] - before[:3], step, atol=1e-3)


def test_the_hand_keeps_pointing_down_over_many_steps(cell):
    cell.reset(down(0.45, -0.1, 0.2))
    for _ in range(12):
        _, pose = cell.step(move(x=0.01, y=0.02))
    angles = np.angle(np.exp(1j * (pose[3:6] - FR3.hand_down)))
    assert np.abs(angles).max() < 2e-3


def test_rotations_turn_the_hand_about_the_axes_of_the_base(cell):
    from scipy.spatial.transform import Rotation

    cell.reset(down(0.5, 0.0, 0.25))
    cell.step(move(yaw=0.12))
    _, pose = cell.step(move(pitch=0.10))
    wanted = (
        Rotation.from_rotvec([0, 0.10, 0])
        * Rotation.from_rotvec([0, 0, 0.12])
        * Rotation.from_rotvec([np.pi, 0, 0])
    )
    wrong = Rotation.from_euler('xyz', pose[3:6]) * wanted.inv()
    assert wrong.magnitude() < 3e-3


def test_the_gripper_opens_and_closes_within_one_step(cell):
    cell.reset(down(0.5, 0.0, 0.3))
    _, pose = cell.step(move(gripper=1.0))
    assert pose[6] == pytest.approx(1.0, abs=0.04)
    _, pose = cell.step(move(gripper=-0.5))
    assert pose[6] == pytest.approx(0.5, abs=0.04)


def test_a_command_out_of_the_workspace_stops_at_its_wall(cell):
    cell.reset(down(0.64, 0.0, 0.06))
    _, pose = cell.step(move(x=0.07, z=-0.07))
    assert pose[0] == pytest.approx(FR3.workspace_high[0], abs=2e-3)
    assert pose[2] == pytest.approx(FR3.workspace_low[2], abs=2e-3)


def test_an_unreachable_orientation_is_refused_and_moves_nothing(cell):
    cell.reset(down(0.66, 0.26, 0.42))
    before = cell.pose
    with pytest.raises(scene.SimError, match='the arm cannot reach'):
        cell.step(move(roll=1.5, pitch=1.5))
    np.testing.assert_allclose(cell.pose, before)


def test_a_hand_going_through_the_cube_pushes_it(cell):
    task = variation.sample_reach_task(0)
    state = variation.CellState(np.array([0.5, 0.0, 0.0]), task.cell.appearance)
    cell.reset(down(0.5, 0.09, 0.05, closure=1.0), state)
    for _ in range(3):
        cell.step(move(y=-0.05))
    assert cell.cube[1] < -0.05
    assert cell.cube[2] == pytest.approx(NOMINAL.cube_half[2], abs=3e-3)


def test_the_goal_picture_is_what_the_camera_sees_once_the_hand_is_there(cell):
    task = variation.sample_reach_task(1)
    cell.reset(task.start, task.cell)
    imagined = cell.goal_frame(task.goal).astype(int)
    seen, _ = cell.reset(task.goal, task.cell)
    assert np.abs(imagined - seen).mean() < 0.3


def test_the_same_seed_and_actions_give_the_same_frames():
    def play():
        with DirectCell(seed=4) as cell:
            cell.reset(down(0.5, 0.1, 0.1))
            return [cell.step(move(x=0.02, y=-0.03, z=-0.02))[0] for _ in range(2)]

    for first, second in zip(play(), play(), strict=True):
        assert np.array_equal(first, second)


def test_an_episode_holds_what_was_commanded_and_what_came_of_it(cell):
    pytest.importorskip('h5py')
    pytest.importorskip('torch')
    episode = record.record_episode(cell, seed=5, steps=6)
    assert episode.frames.shape == (7, 96, 96, 3)
    assert np.linalg.norm(episode.actions[:, :3], axis=1).max() <= 0.0751
    target = episode.proprio[:-1, :3] + episode.actions[:, :3]
    inside = ((target > FR3.workspace_low) & (target < FR3.workspace_high)).all(axis=1)
    assert inside.any()
    np.testing.assert_allclose(
        episode.extras['achieved'][inside, :3], episode.actions[inside, :3], atol=4e-3
    )
    again = record.record_episode(cell, seed=5, steps=6)
    assert np.array_equal(episode.frames, again.frames)


def test_recording_resumes_and_refuses_a_folder_with_other_content(cell, tmp_path, capsys):
    h5py = pytest.importorskip('h5py')
    pytest.importorskip('tqdm')
    from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter

    out = tmp_path / 'cell'
    claim(out, record.settings(seed=0, steps=1, cell=0))
    with EpisodeWriter(out, 'interrupted') as writer:
        writer.write(0, record.record_episode(cell, seed=0, steps=1))
    assert record.main(['--out', str(out), '--episodes', '2', '--steps', '1', '--jobs', '1']) == 0
    names = {path.name: list(h5py.File(path)) for path in out.glob('*.h5')}
    assert names == {
        'episodes_interrupted_0000.h5': ['episode_000000'],
        'episodes_job0_0000.h5': ['episode_000001'],
    }

    assert record.main(['--out', str(out), '--episodes', '2', '--steps', '2']) == 1
    assert 'holds another recording' in capsys.readouterr().err
    (tmp_path / 'notes.txt').write_text('mine')
    assert record.main(['--out', str(tmp_path)]) == 1
    assert 'not empty' in capsys.readouterr().err
    assert record.main(['--out', str(out), '--episodes', '0']) == 1
    assert 'at least 1' in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_disk_ends_a_recording_and_the_same_command_goes_on(tmp_path, capsys):
    pytest.importorskip('h5py')
    pytest.importorskip('tqdm')
    from jepa_wm_ros.recordings.formats import open_episodes

    words = ['--out', str(tmp_path / 'cell'), '--episodes', '3', '--steps', '2', '--jobs', '1']
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (230_000, limits[1]))  # its workers inherit it
    try:
        assert record.main(words) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f'error: {tmp_path / "cell"}: episode 1 cannot be written (File too')
    assert len(open_episodes(tmp_path / 'cell')) == 1
    assert record.main(words) == 0
    assert [episode.seed for episode in open_episodes(tmp_path / 'cell')] == [0, 1, 2]
