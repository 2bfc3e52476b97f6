# SPDX-License-Identifier: Apache-2.0
"""A set that was not seen by one camera throughout, and what is not taken for one."""

import numpy as np
import pytest

from jepa_wm_ros.recordings.cameras import SCENES
from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource
from jepa_wm_ros.recordings.sanity import wrong_in

SIZE, STEPS = 32, 6
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE] / SIZE
SCENE = np.stack([90 + 60 * ROWS, 80 + 50 * COLUMNS, 100 + 40 * (ROWS > 0.5)], axis=-1)


def seen(seed: int, scene=SCENE) -> Episode:
    """A dark arm, a tenth of the picture, before a scene under a light of this episode's own."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(scene[None], STEPS + 1, axis=0)
    places = rng.uniform(0, 0.6, 2) + np.cumsum(rng.uniform(-0.1, 0.1, (STEPS + 1, 2)), axis=0)
    for frame, (row, column) in zip(
        frames, (SIZE * np.clip(places, 0, 0.6)).astype(int), strict=True
    ):
        frame[row : row + 10, column : column + 10] = 30
    frames = np.clip(frames * rng.uniform(0.9, 1.1, 3) * rng.uniform(0.9, 1.1), 0, 255)
    world = np.zeros((STEPS + 1, 2), np.float32)
    return Episode(frames.astype(np.uint8), world, world[1:], 4.0, seed)


def other(seed: int) -> Episode:
    """By a camera from the other side."""
    return seen(seed, SCENE[::-1, ::-1])


class Given(EpisodeSource):
    """Episodes in a list; None is one that cannot be read."""

    def __init__(self, episodes):
        self.episodes = episodes

    def __len__(self):
        return len(self.episodes)

    def __getitem__(self, number):
        if self.episodes[number] is None:
            raise EpisodeError('as the test wants it')
        return self.episodes[number]


def changes(episodes) -> list[int]:
    return [number for number, line in wrong_in(Given(episodes)) if 'another camera' in line]


@pytest.mark.parametrize(('before', 'after'), [(3, 3), (20, 20), (4, 30), (30, 4)])
def test_the_first_episode_of_another_camera_is_named(before, after):
    episodes = [*map(seen, range(before)), *map(other, range(100, 100 + after))]
    assert changes(episodes) == [before]
    ((number, line),) = wrong_in(Given(episodes))
    assert line.startswith(f'episode {before}: from here on the pictures are others than before')


def test_one_that_cannot_be_read_is_named_and_the_others_are_compared():
    episodes = [*map(seen, range(8)), *map(other, range(8))]
    episodes[5] = episodes[8] = None
    assert [number for number, _ in wrong_in(Given(episodes))] == [5, 8, 9]


@pytest.mark.parametrize('seed', range(5))
def test_light_and_the_arm_make_no_other_camera(seed):
    assert changes([seen(100 * seed + number) for number in range(40)]) == []


def test_a_lamp_that_is_dimmed_is_no_other_camera():
    assert changes([*map(seen, range(12)), *(seen(n, 0.8 * SCENE) for n in range(12, 24))]) == []


@pytest.mark.parametrize('at', [0, 1, 7, 14, 15])
def test_one_odd_episode_is_none(at):
    glare = np.repeat(255.0 * (ROWS > 0.5)[..., None], 3, axis=-1)
    for odd in (other(at), seen(at, glare)):
        episodes = [seen(number) for number in range(16)]
        episodes[at] = odd
        assert changes(episodes) == []


def test_a_set_of_many_scenes_is_left_alone():
    count = 6 * (SCENES + 2)
    assert changes([(seen if n // 6 % 2 else other)(n) for n in range(count)]) == []
    assert changes([(seen if n // 6 % 2 else other)(n) for n in range(18)]) == [6, 12]


def test_a_few_episodes_are_too_few():
    assert changes([seen(0), seen(1), other(2), other(3)]) == []
    assert changes([]) == []
