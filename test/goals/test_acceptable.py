# SPDX-License-Identifier: Apache-2.0
"""What counts as a picture that shows something."""

import numpy as np
import pytest

from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.goals.acceptable import check_content


def flat(colour, noise=0, shape=(480, 640)):
    """A picture of one colour with `noise` grey levels added to each pixel, up or down."""
    levels = np.random.default_rng(0).integers(-noise, noise + 1, (*shape, 3))
    return np.clip(np.array(colour) + levels, 0, 255).astype(np.uint8)


def with_disc(ground, colour, share):
    """A plain picture with a disc that covers this share of it."""
    picture = flat(ground, shape=(224, 224))
    row, column = np.mgrid[:224, :224] - 112
    picture[row**2 + column**2 <= share * 224**2 / np.pi] = colour
    return picture


@pytest.mark.parametrize(
    ('picture', 'said'),
    [
        (flat((0, 0, 0)), 'black'),
        (flat((6, 6, 6), noise=6), 'black'),
        (flat((255, 255, 255)), 'saturated'),
        (flat((253, 253, 253), noise=3), 'saturated'),
        (flat((120, 60, 30)), 'one flat colour'),
        (flat((120, 60, 30), noise=6), 'one flat colour'),
        (with_disc((90, 90, 90), (255, 0, 0), 0.01), 'one flat colour'),
        (flat((7, 7, 7), shape=(1, 1)), 'black'),
    ],
)
def test_a_picture_that_shows_nothing_is_named(picture, said):
    with pytest.raises(
        Fault, match=f'goal picture 3 is {said}|goal picture 3 is of {said}'
    ) as caught:
        check_content(picture, 'goal picture 3')
    assert caught.value.code is FaultCode.BAD_IMAGE and '\n' not in str(caught.value)


@pytest.mark.parametrize('ground', [(0, 0, 0), (255, 255, 255), (90, 90, 90)])
def test_a_small_thing_on_a_plain_ground_is_a_picture(ground):
    check_content(with_disc(ground, (200, 40, 40), 0.03), 'it')


def test_a_dark_and_a_bright_room_are_pictures():
    scene = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).repeat(10, 0).repeat(10, 1)
    for picture in (scene * 0.15, scene, 180 + scene * 0.4):
        check_content(np.clip(picture, 0, 255).astype(np.uint8), 'it')
