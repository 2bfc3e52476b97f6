# SPDX-License-Identifier: Apache-2.0
"""The live pictures of one goal against the first one, and against the way of the hand."""

import numpy as np
import pytest

from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.goals.watch import PictureWatch, StillStream

HERE, STEP = np.array([0.5, 0.0, 0.3]), np.array([0.05, 0.0, 0.0])


def scene(seed=0, height=48, width=64):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def code_of(call, *given):
    with pytest.raises(Fault) as caught:
        call(*given)
    assert '\n' not in str(caught.value)
    return caught.value.code


def test_a_goal_of_another_aspect_is_refused_and_one_of_another_size_is_not():
    watch = PictureWatch([scene(height=96, width=128), scene(height=97, width=128)])
    watch.check(scene())
    square = PictureWatch([scene(), scene(height=64)])
    assert code_of(square.check, scene()) is FaultCode.WRONG_ASPECT
    assert code_of(square.check_aspect, (48, 64, 3)) is FaultCode.WRONG_ASPECT


@pytest.mark.parametrize('shape', [(96, 128), (48, 62), (64, 48)])
def test_a_live_picture_of_another_size_than_the_first_is_refused(shape):
    watch = PictureWatch([scene()])
    watch.check(scene(1))
    watch.check(scene(2))
    assert code_of(watch.check, scene(3, *shape)) is FaultCode.WRONG_ASPECT
    watch.check(scene(4))


def test_goal_and_live_pictures_have_the_same_judge():
    black = np.zeros((48, 64, 3), np.uint8)
    assert code_of(PictureWatch, [scene(), black]) is FaultCode.BAD_IMAGE
    assert code_of(PictureWatch([scene()]).check, black) is FaultCode.BAD_IMAGE


class Camera:
    """What the model sees of a scene: 3 x 96 x 96 numbers with spread 1, and noise on them."""

    def __init__(self, noise=0.0):
        self._rng, self._noise = np.random.default_rng(0), noise
        self.scene = self._rng.normal(size=(3, 96, 96))

    def shoot(self):
        return self.scene + self._noise * self._rng.normal(size=self.scene.shape)


def test_a_frozen_picture_is_noticed_when_the_hand_has_moved():
    watch, camera = PictureWatch([scene()]), Camera()
    watch.check_motion(camera.shoot(), HERE)
    watch.check_motion(camera.shoot(), HERE)
    watch.check_motion(camera.shoot(), HERE + 0.02 * STEP)  # 1 mm: nothing need be seen of it
    assert code_of(watch.check_motion, camera.shoot(), HERE + STEP) is FaultCode.STALE_IMAGE
    assert code_of(watch.check_motion, camera.shoot(), HERE + STEP) is FaultCode.STALE_IMAGE
    camera.scene = camera.scene + 0.01
    watch.check_motion(camera.shoot(), HERE + STEP)


def test_small_steps_under_a_frozen_picture_add_up():
    watch, camera = PictureWatch([scene()]), Camera()
    watch.check_motion(camera.shoot(), HERE)
    watch.check_motion(camera.shoot(), HERE + 0.04 * STEP)
    assert code_of(watch.check_motion, camera.shoot(), HERE + 0.08 * STEP) is FaultCode.STALE_IMAGE


def test_a_picture_that_changes_a_little_passes_whatever_the_hand_does():
    for camera in (Camera(noise=1.7e-3), Camera()):
        watch, where = PictureWatch([scene()]), HERE
        for _ in range(5):
            watch.check_motion(camera.shoot(), where)
            where = where + STEP
            camera.scene = camera.scene.copy()
            camera.scene[:, 40:44, 40:44] += 1.0


def test_a_stream_that_froze_in_the_middle_of_a_motion_is_noticed_after_it():
    stream = StillStream()
    for share, content in enumerate((b'a', b'b', b'c', b'c', b'c')):
        stream.see(content, HERE + 0.25 * share * STEP)
    stream.check(HERE + 0.5 * STEP)
    assert code_of(stream.check, HERE + STEP) is FaultCode.STALE_IMAGE
    stream.see(b'd', HERE + STEP)
    stream.check(HERE + STEP)
