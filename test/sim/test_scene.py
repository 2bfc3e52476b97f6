# SPDX-License-Identifier: Apache-2.0
"""The scene, its camera and its drawings from seeds."""

import dataclasses
import itertools

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('mujoco')
pytest.importorskip('franky_sim')

from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.sim import scene, variation  # noqa: E402
from jepa_wm_ros.sim.design import HEIGHT, NOMINAL, WIDTH, cell_design  # noqa: E402


@pytest.fixture(scope='module')
def model():
    return scene.compile_model()


@pytest.fixture(scope='module')
def renderer():
    from jepa_wm_ros.sim.render import CellRenderer

    with CellRenderer() as renderer:
        yield renderer


def arm_at(model, q):
    import mujoco

    data = mujoco.MjData(model)
    data.qpos[scene.Layout.of(model).arm] = q
    mujoco.mj_kinematics(model, data)
    return data


@pytest.mark.parametrize('q', [tuple(FR3.home), (0.4, 0.2, -0.3, -1.9, 0.3, 2.3, 0.2)])
def test_hand_pose_equals_the_kinematics_of_the_arms_own_urdf(model, q):
    pin = pytest.importorskip('pinocchio')
    from franky_sim.urdf import URDF_PATH

    arm = pin.buildModelFromUrdf(str(URDF_PATH))
    data = arm.createData()
    pin.framesForwardKinematics(arm, data, np.array(q))
    flange = data.oMf[arm.getFrameId('link8')]
    hand = flange * pin.SE3(pin.rpy.rpyToMatrix(0, 0, -np.pi / 4), np.array([0, 0, 0.1034]))

    pose = scene.Layout.of(model).hand_pose(arm_at(model, q))

    np.testing.assert_allclose(pose[:3], hand.translation, atol=1e-5)
    rotation = pin.rpy.rpyToMatrix(*pose[3:6])
    np.testing.assert_allclose(rotation, hand.rotation, atol=1e-4)


def test_gripper_closure_runs_from_open_to_closed(model):
    layout, qpos = scene.Layout.of(model), np.zeros(model.nq)
    assert layout.closure(qpos) == 1.0
    qpos[layout.fingers] = 0.04
    assert layout.closure(qpos) == 0.0


def test_whole_workspace_lies_in_the_central_square_of_the_picture():
    corners = itertools.product(*zip(FR3.workspace_low, FR3.workspace_high, strict=True))
    pixels = np.array([project(np.array(corner)) for corner in corners])
    margin = (WIDTH - HEIGHT) / 2
    assert (pixels[:, 0] > margin + 15).all() and (pixels[:, 0] < WIDTH - margin - 15).all()
    assert (pixels[:, 1] > 15).all() and (pixels[:, 1] < HEIGHT - 15).all()


@pytest.mark.parametrize(
    'position', [(0.60, -0.15, 0.025), (0.50, 0.20, 0.025), (0.62, 0.05, 0.20)]
)
def test_the_cube_is_seen_where_camera_matrix_and_pose_project_it(model, renderer, position):
    layout, qpos = scene.Layout.of(model), model.qpos0.copy()
    qpos[layout.arm] = (-1.5, -0.9, 0.0, -2.3, 0.0, 2.0, 0.785)  # out of the camera's way
    qpos[layout.cube] = [*position, 1, 0, 0, 0]
    plain = NOMINAL.appearance
    magenta = np.array([1.0, 0.0, 1.0, 1.0])  # nothing else in the scene is
    renderer.set_appearance(dataclasses.replace(plain, cube=magenta))
    red, green, blue = np.moveaxis(renderer.render(qpos).astype(int), -1, 0)
    renderer.set_appearance(plain)
    corners = [
        project(np.array(position) + NOMINAL.cube_half * np.array(sign))
        for sign in itertools.product((-1, 1), repeat=3)
    ]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    rows, columns = np.nonzero((red > 60) & (blue > 60) & (green < 40))
    first, last = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
    # Pixel centres inside the outline: the first and last lie less than one pixel within it.
    for gap in (first - low, high - last):
        assert (gap > -0.1).all() and (gap < 1.1).all()


def test_light_and_colours_of_the_cell_reach_the_picture(model, renderer):
    qpos = model.qpos0
    plain = renderer.render(qpos).copy()
    renderer.set_appearance(variation.cell_of_seed(3).appearance)
    changed = renderer.render(qpos).copy()
    renderer.set_appearance(NOMINAL.appearance)
    assert np.abs(changed.astype(int) - plain).mean() > 1.0
    assert np.array_equal(renderer.render(qpos), plain)


def test_an_unknown_camera_is_named_with_the_known_ones():
    from jepa_wm_ros.sim.render import CellRenderer

    with pytest.raises(scene.SimError, match="no camera 'wrist': use one of .*exterior"):
        CellRenderer(camera='wrist')


def test_other_cells_look_otherwise_and_still_show_the_whole_workspace():
    from jepa_wm_ros.sim.render import CellRenderer

    pictures = []
    for number in range(4):
        design = cell_design(number)
        corners = itertools.product(*zip(FR3.workspace_low, FR3.workspace_high, strict=True))
        pixels = np.array([design.pixel(np.array(corner)) for corner in corners])
        away = np.abs(pixels - [(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
        assert away.max() < HEIGHT / 2 - 14
        with CellRenderer(design=design) as drawn:
            pictures.append(drawn.render(scene.compile_model(design).qpos0).astype(int))
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one - other).mean() > 20
    assert cell_design(3).camera_fovy == cell_design(3).camera_fovy != cell_design(2).camera_fovy


def test_reach_tasks_are_apart_inside_the_workspace_and_clear_of_the_cube():
    for seed in range(200):
        task = variation.sample_reach_task(seed)
        apart = np.linalg.norm(task.goal[:3] - task.start[:3])
        assert 0.10 <= apart <= 0.25
        for pose in (task.start, task.goal):
            assert (pose[:3] >= FR3.workspace_low).all()
            assert (pose[:3] <= FR3.workspace_high).all()
            beside = np.linalg.norm(pose[:2] - task.cell.cube[:2])
            assert beside >= 0.10 or pose[2] >= 0.14


def test_a_seed_means_the_same_cell_for_a_task_and_for_reset_scene():
    task, cell = variation.sample_reach_task(11), variation.cell_of_seed(11)
    assert np.array_equal(task.cell.cube, cell.cube)
    assert np.array_equal(task.cell.appearance.light, cell.appearance.light)
    assert not np.array_equal(task.cell.cube, variation.cell_of_seed(12).cube)


def project(point):
    """Pixel (column, row) of a point in the base frame, by the pinhole equation."""
    x, y, z = NOMINAL.camera_rotation().T @ (point - NOMINAL.camera_position)
    k = NOMINAL.camera_matrix()
    return np.array([k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2]])
