# SPDX-License-Identifier: Apache-2.0
"""Whether a camera was moved, judged in the simulated cell, whose camera a test can move."""

import numpy as np
import pytest
from PIL import Image

from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError
from jepa_wm_ros.goals.view import MOVED, ReferenceView
from jepa_wm_ros.sim.direct import DirectCell
from jepa_wm_ros.sim.variation import sample_reach_task

RANDOM = np.random.default_rng(0)
HOME = np.array([0.45, 0.0, 0.35, np.pi, 0.0, 0.0, 0.0])


class MovableCamera:
    """The cell's camera, put elsewhere for one picture."""

    def __init__(self, cell: DirectCell) -> None:
        self._cell, model = cell, cell._renderer._model
        self._camera = model.camera(cell._renderer._camera)

    def shoot(self, metres: float = 0.0, degrees: float = 0.0) -> np.ndarray:
        """A picture from `metres` away in any direction, turned by `degrees` about any axis."""
        import mujoco

        place, turn = self._camera.pos.copy(), self._camera.quat.copy()
        rotation, turned = np.zeros(4), np.zeros(4)
        mujoco.mju_axisAngle2Quat(rotation, direction(), np.radians(degrees))
        mujoco.mju_mulQuat(turned, turn, rotation)
        self._camera.pos[:], self._camera.quat[:] = place + metres * direction(), turned
        try:
            return self._cell.frame()
        finally:
            self._camera.pos[:], self._camera.quat[:] = place, turn


def direction() -> np.ndarray:
    axis = RANDOM.normal(size=3)
    return axis / np.linalg.norm(axis)


@pytest.fixture(scope='module')
def pictures():
    """The reference at home, and pictures with arm, cube, light and some cameras elsewhere."""
    taken = {'same': [], '5 cm': [], '5 degrees': []}
    with DirectCell() as cell:
        camera = MovableCamera(cell)
        reference = cell.reset(HOME)[0]
        for seed in range(9000, 9010):
            task = sample_reach_task(seed)
            cell.reset(task.start, task.cell)
            taken['same'].append(camera.shoot())
            taken['5 cm'].append(camera.shoot(metres=0.05))
            taken['5 degrees'].append(camera.shoot(degrees=5.0))
    return reference, taken


def test_arm_cube_light_and_noise_are_no_other_view(pictures):
    reference, taken = pictures
    view = ReferenceView(reference)
    for picture in taken['same']:
        noisy = np.clip(picture * 0.8 + RANDOM.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
        assert view.difference(picture) < 0.1 * MOVED and view.difference(noisy) < 0.5 * MOVED


@pytest.mark.parametrize('moved', ['5 cm', '5 degrees'])
def test_a_camera_that_was_moved_has_another_view(pictures, moved):
    reference, taken = pictures
    view = ReferenceView(reference)
    assert min(view.difference(picture) for picture in taken[moved]) > MOVED


def test_another_size_and_another_picture_are_another_view(pictures):
    reference, _ = pictures
    view = ReferenceView(reference)
    assert view.difference(reference[::2, ::2].copy()) > MOVED
    assert view.difference(RANDOM.integers(0, 256, reference.shape, np.uint8)) > MOVED
    assert view.difference(reference * 0) > MOVED


def test_a_reference_comes_from_a_file_that_shows_something(pictures, tmp_path):
    reference, _ = pictures
    path = tmp_path / 'reference.png'
    Image.fromarray(reference).save(path)
    assert ReferenceView.read(path).difference(reference) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(Fault) as caught:
        ReferenceView(reference * 0)
    assert caught.value.code is FaultCode.BAD_IMAGE
    path.write_bytes(path.read_bytes()[:500])
    for wrong in (path, tmp_path / 'none.png'):
        with pytest.raises(JepaWmError) as caught:
            ReferenceView.read(wrong)
        assert '\n' not in str(caught.value) and wrong.name in str(caught.value)
