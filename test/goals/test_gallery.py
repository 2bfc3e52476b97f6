# SPDX-License-Identifier: Apache-2.0
"""What people do with goals, without ROS: what was seen is what is sent, and nothing before."""

import io

import numpy as np
import pytest
from PIL import Image

from jepa_wm_ros.goals.gallery import Gallery
from jepa_wm_ros.goals.goal import Goal, GoalError, View
from jepa_wm_ros.goals.library import GoalLibrary
from jepa_wm_ros.goals.thumbnail import BUTTON_HEIGHT, HEIGHT, STRIP, WIDTH, button, thumbnail

VIEW = View('camera', 64, 48)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)


class Live:
    """A camera that shows picture 99."""

    def __init__(self) -> None:
        self.shows = VIEW

    def view(self) -> View:
        return self.shows

    def capture(self, name: str):
        return Goal(name, self.shows, 5), picture(99)


@pytest.fixture
def gallery(tmp_path):
    library = GoalLibrary(tmp_path)
    for seed, name in enumerate('abc'):
        pose7 = (0.4, 0.1 * seed, 0.2, 3.1, 0.0, 0.0, 0.0)
        library.add(Goal(name, VIEW, 1, 'base', pose7), picture(seed))
    library.add(Goal('nowhere', VIEW), picture(7))
    gallery = Gallery(library, Live())
    assert gallery.reload().new.keys() == {'a', 'b', 'c', 'nowhere'}
    gallery.sent = []
    return gallery


def seen(gallery, *seeds) -> bool:
    """Whether these pictures were sent last."""
    return [p.tolist() for p in gallery.sent[-1]] == [picture(seed).tolist() for seed in seeds]


def test_nothing_is_sent_or_put_in_a_row_that_was_not_previewed(gallery):
    for name in ('a', ''):
        with pytest.raises(GoalError, match='first: nothing moves'):
            gallery.plan(name, gallery.sent.append)
        with pytest.raises(GoalError, match='first: nothing moves'):
            gallery.append(name)
    gallery.preview('a')
    with pytest.raises(GoalError, match='preview b first'):
        gallery.plan('b', gallery.sent.append)
    assert gallery.sent == [] and gallery.sequence == []
    gallery.plan('a', gallery.sent.append)
    assert seen(gallery, 0) and gallery.sought == [gallery.previewed]


def test_what_is_sent_is_what_was_shown_although_the_file_has_changed(gallery):
    gallery.preview('a')
    gallery.append('a')
    gallery.library.remove('a')
    gallery.library.add(Goal('a', VIEW), picture(50))
    gallery.plan('a', gallery.sent.append)
    assert seen(gallery, 0)
    assert gallery.reload().new.keys() == {'a'}  # now that it is known, it has to be seen again
    assert gallery.previewed is None and gallery.sequence == []


def test_a_sequence_is_kept_until_it_is_reached_or_stopped(gallery):
    for name in ('a', 'c'):
        gallery.preview(name)
        gallery.append(name)
    gallery.plan('', gallery.sent.append)
    assert seen(gallery, 0, 2)
    gallery.arrive(1)
    assert [shown.goal.name for shown in gallery.sought] == ['c']
    gallery.append('c')  # while the arm is on its way
    gallery.end(reached=False)
    assert [shown.goal.name for shown in gallery.sequence] == ['a', 'c', 'c']
    gallery.plan('', gallery.sent.append)
    gallery.append('c')
    gallery.end(reached=True)
    assert [shown.goal.name for shown in gallery.sequence] == ['c']
    gallery.plan('c', gallery.sent.append)  # this goal, and not the sequence
    gallery.end(reached=True)
    assert len(gallery.sequence) == 1
    gallery.stop()
    assert gallery.sequence == gallery.sought == []


def test_a_planner_that_refuses_leaves_everything_as_it_was(gallery):
    def refuse(_pictures):
        raise GoalError('busy')

    gallery.preview('a')
    gallery.append('a')
    with pytest.raises(GoalError, match='busy'):
        gallery.plan('', refuse)
    assert gallery.sought == [] and len(gallery.sequence) == 1


def test_a_goal_of_another_camera_is_shown_but_not_sent(gallery):
    gallery.camera.shows = View('other', 64, 48)
    with pytest.raises(GoalError, match="goal a was taken by camera 'camera'"):
        gallery.preview('a')
    assert gallery.previewed.goal.name == 'a'
    with pytest.raises(GoalError, match="camera 'camera'"):
        gallery.plan('a', gallery.sent.append)
    gallery.append('a')
    gallery.camera.shows = View('camera', 32, 24)
    with pytest.raises(GoalError, match='64x48'):
        gallery.plan('', gallery.sent.append)
    assert gallery.sent == []


def test_the_goal_whose_hand_is_nearest_is_previewed(gallery):
    assert gallery.preview_nearest((0.5, 0.14, 0.9), 'base').startswith('b:')
    with pytest.raises(GoalError, match="frame 'map'"):
        gallery.preview_nearest((0.5, 0.14, 0.9), 'map')


def test_goals_are_captured_renamed_and_deleted(gallery):
    assert gallery.capture('') == 'captured goal, without a hand pose: none was heard'
    assert gallery.capture('a').startswith('captured a_2')
    assert gallery.reload().new.keys() == {'goal', 'a_2'}
    gallery.preview('a')
    assert gallery.rename('a', 'z') == 'a is z now'
    changes = gallery.reload()
    assert changes.new.keys() == {'z'} and changes.gone == ['a'] and gallery.previewed is None
    with pytest.raises(GoalError, match='new_name'):
        gallery.rename('z', '')
    with pytest.raises(GoalError, match="'a' is not there"):
        gallery.rename('a', 'y')
    gallery.delete('z')
    assert gallery.reload().gone == ['z'] and 'z' not in gallery.names()


def test_only_what_has_changed_is_drawn_again(gallery):
    assert gallery.reload() == gallery.reload() and not gallery.reload().new
    path = gallery.library.folder / 'b.png'
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert gallery.reload().gone == ['b'] and 'b.png' in gallery.complaints[0]
    path.write_bytes(whole)
    assert gallery.reload().new.keys() == {'b'} and gallery.complaints == []


def test_thumbnails_are_jpegs_of_one_size_that_show_the_whole_picture_and_a_name():
    for shape in ((480, 640), (640, 480), (48, 64), (1, 500)):
        half = np.zeros((*shape, 3), np.uint8)
        half[:, shape[1] // 2 :] = (250, 30, 30)
        data = thumbnail(half, 'cup_on_the_left_of_the_plate')
        with Image.open(io.BytesIO(data)) as drawn:
            assert drawn.format == 'JPEG' and drawn.size == (WIDTH, HEIGHT + STRIP)
            pixels = np.asarray(drawn.convert('RGB')).astype(int)
        if shape[1] / shape[0] == WIDTH / HEIGHT:  # red on the right, as in the picture
            assert np.abs(pixels[:HEIGHT, -20:].mean(axis=(0, 1)) - (250, 30, 30)).max() < 12
            assert pixels[:HEIGHT, :20].max() < 40
        assert (pixels[HEIGHT:].min(axis=2) > 150).mean() > 0.03  # there are letters
    with Image.open(io.BytesIO(button('stop', (170, 30, 30)))) as drawn:
        assert drawn.size == (WIDTH, BUTTON_HEIGHT)
