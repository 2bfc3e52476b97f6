# SPDX-License-Identifier: Apache-2.0
"""The folder of goals: what is put in comes out, what is damaged is named, nothing leaves it."""

import json
import random
import threading

import numpy as np
import pytest
from PIL import Image

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.goals import library as library_room
from jepa_wm_ros.goals.goal import Goal, GoalError, View
from jepa_wm_ros.goals.library import GoalLibrary, read_picture

VIEW = View('left_camera', 64, 48, (10, 20, 64, 48))
POSE = (0.5, -0.1, 1 / 3, 3.1, 1e-7, -0.2, 0.25)
JOINTS = (0.1, -0.2, 0.3, -2.0, 0.0, 2.2, 0.7)


def scene(seed: int = 0, shape=(48, 64)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def goal(name: str = 'cup', **given) -> Goal:
    known = {'view': VIEW, 'stamp': 1_700_000_000_123_456_789, 'frame': 'left_fr3_link0'}
    return Goal(name, **known | {'pose7': POSE, 'joints': JOINTS} | given)


@pytest.fixture
def library(tmp_path):
    return GoalLibrary(tmp_path / 'goals')


def test_what_is_stored_comes_back_to_the_bit(library):
    library.add(goal(), scene())
    library.add(Goal('bare', View('', 64, 48)), scene(1))
    other = GoalLibrary(str(library.folder))
    assert other.read() == ([Goal('bare', View('', 64, 48)), goal()], [])
    np.testing.assert_array_equal(other.picture('cup'), scene())
    np.testing.assert_array_equal(other.picture('bare'), scene(1))


def test_a_person_can_read_the_folder_and_copy_a_goal_out_of_it(library, tmp_path):
    library.add(goal(), scene())
    assert sorted(path.name for path in library.folder.iterdir()) == ['cup.json', 'cup.png']
    label = json.loads((library.folder / 'cup.json').read_text())
    assert label['view'] == {
        'camera': 'left_camera',
        'width': 64,
        'height': 48,
        'crop': [10, 20, 64, 48],
    }
    np.testing.assert_array_equal(np.array(Image.open(library.folder / 'cup.png')), scene())
    (tmp_path / 'stick').mkdir()
    for name in ('cup.json', 'cup.png'):
        (tmp_path / 'stick' / name).write_bytes((library.folder / name).read_bytes())
    assert GoalLibrary(tmp_path / 'stick').find('cup') == goal()


def test_a_goal_is_renamed_and_deleted_with_its_picture(library):
    library.add(goal(), scene())
    library.add(goal('mug'), scene(1))
    assert library.rename('cup', 'glass') == goal('glass')
    np.testing.assert_array_equal(library.picture('glass'), scene())
    with pytest.raises(GoalError, match='glass.*choose another name'):
        library.rename('mug', 'glass')
    np.testing.assert_array_equal(library.picture('glass'), scene())
    library.remove('glass')
    assert library.read() == ([goal('mug')], [])
    with pytest.raises(GoalError, match="no goal 'glass'.*there is mug"):
        library.remove('glass')


@pytest.mark.parametrize(
    'name',
    ['', '.', '..', '../cup', 'a/b', '/etc/passwd', '.hidden', 'a\n', 'a b', 'x' * 49, 'é', '-a'],
)
def test_a_name_that_is_no_plain_word_is_refused_everywhere(library, tmp_path, name):
    library.add(goal(), scene())
    before = sorted(tmp_path.rglob('*'))
    for step in (
        lambda: library.find(name),
        lambda: library.picture(name),
        lambda: library.remove(name),
        lambda: library.rename('cup', name),
        lambda: library.add(goal(name), scene()),
    ):
        with pytest.raises(GoalError, match='goal name') as caught:
            step()
        assert '\n' not in str(caught.value)
    assert sorted(tmp_path.rglob('*')) == before


def test_a_name_made_of_anything_is_free_and_allowed(library):
    for stem in ('cup', 'cup', 'my goal (2).final', '../..', '', '日本', 'x' * 200, '-_-'):
        library.add(goal(library.free_name(stem)), scene())
    names = [each.name for each in library.read()[0]]
    assert {'cup', 'cup_2', 'my_goal_2_final', 'goal', 'goal_2', 'x' * 40} <= set(names)
    assert len(names) == 8


def test_of_two_who_store_under_one_name_one_is_told_no(library):
    refused, together = [], threading.Barrier(2)

    def store(seed):
        together.wait(10.0)
        try:
            library.add(goal(), scene(seed))
        except GoalError as error:
            refused.append(str(error))

    for _ in range(10):
        threads = [threading.Thread(target=store, args=(seed,)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10.0)
        assert len(refused) == 1 and 'there already' in refused.pop()
        assert any((library.picture('cup') == scene(seed)).all() for seed in (1, 2))
        library.remove('cup')


def test_a_disk_that_is_full_leaves_no_half_goal(library, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    library.add(goal('mug'), scene())
    monkeypatch.setattr(library_room.os, 'fsync', full)
    with pytest.raises(GoalError, match='No space left'):
        library.add(goal(), scene())
    assert sorted(path.name for path in library.folder.iterdir()) == ['mug.json', 'mug.png']


@pytest.mark.parametrize(
    'live, said',
    [
        (View('right_camera', 64, 48, VIEW.crop), "'left_camera'.*'right_camera'"),
        (View('left_camera', 640, 480, VIEW.crop), '64x48.*640x480'),
        (View('left_camera', 48, 64, VIEW.crop), '64x48.*48x64'),
        (View('left_camera', 64, 48), r'the part \[10, 20, 64, 48\].*the whole sensor'),
        (View('left_camera', 64, 48, (10, 21, 64, 48)), r'\[10, 21, 64, 48\]'),
    ],
)
def test_a_goal_of_another_camera_size_or_crop_is_refused_with_the_reason(live, said):
    with pytest.raises(GoalError, match=said) as caught:
        VIEW.check_seen_by(live, 'goal cup')
    assert str(caught.value).startswith('goal cup ') and '\n' not in str(caught.value)


def test_a_goal_of_this_camera_or_one_of_which_that_is_not_known_is_taken():
    VIEW.check_seen_by(VIEW, 'it')
    View('', 64, 48).check_seen_by(View('any', 64, 48), 'it')
    View('any', 64, 48).check_seen_by(View('', 64, 48), 'it')


@pytest.mark.parametrize(
    'given, said',
    [
        ({'view': View('c', 32, 48)}, '32x48'),
        ({'pose7': (0.0,) * 6}, 'pose7 has 6'),
        ({'pose7': (float('nan'),) * 7}, 'pose7'),
        ({'joints': (0.0,) * 17}, '17 joints'),
        ({'frame': 'a\nb'}, 'frame'),
        ({'stamp': -1}, 'stamp'),
    ],
)
def test_a_label_that_makes_no_sense_is_not_stored(library, given, said):
    with pytest.raises(GoalError, match=said):
        library.add(goal(**given), scene())
    assert not library.folder.exists() or not list(library.folder.iterdir())


def test_a_picture_that_shows_nothing_is_not_stored(library):
    with pytest.raises(JepaWmError, match='black'):
        library.add(goal(), scene() * 0)
    assert library.read() == ([], [])


LABEL = {'view': {'camera': '', 'width': 64, 'height': 48, 'crop': []}}
LABEL |= {'stamp': 0, 'frame': '', 'pose7': [], 'joints': []}


@pytest.mark.parametrize(
    'text',
    [
        '',
        'null',
        '[]',
        '{}',
        '[' * 100_000,
        '{"view": ',
        '\0\0',
        '"' + 'x' * 70_000 + '"',
        json.dumps(LABEL | {'more': 1}),
        json.dumps(LABEL | {'view': []}),
        json.dumps(LABEL | {'view': {'camera': ''}}),
        json.dumps(LABEL | {'view': LABEL['view'] | {'width': 1e400}}),
        json.dumps(LABEL | {'view': LABEL['view'] | {'width': -64, 'height': -48}}),
        json.dumps(LABEL | {'view': LABEL['view'] | {'width': 10**9}}),
        json.dumps(LABEL | {'view': LABEL['view'] | {'crop': [[1], 2, 3, 4]}}),
        json.dumps(LABEL | {'pose7': 'abcdefg'}),
        json.dumps(LABEL | {'pose7': [float('nan')] * 7}),
        json.dumps(LABEL | {'joints': [10**400]}),
        json.dumps(LABEL | {'frame': 7}),
        json.dumps(LABEL | {'stamp': True}),
    ],
)
def test_a_damaged_label_is_named_in_one_line_and_the_others_are_read(library, text):
    library.add(goal(), scene())
    (library.folder / 'bad.json').write_text(text)
    (library.folder / 'bad.png').write_bytes((library.folder / 'cup.png').read_bytes())
    goals, (complaint,) = library.read()
    assert goals == [goal()]
    assert str(library.folder / 'bad.json') in complaint and len(complaint.splitlines()) == 1
    assert len(complaint) < 500
    library.remove('bad')
    assert library.read() == ([goal()], [])


def test_files_that_belong_to_no_goal_are_named_and_left(library):
    library.add(goal(), scene())
    for name in ('alone.png', 'two words.json', 'notes.txt', '.cup.png.77'):
        (library.folder / name).write_bytes(b'?')
    (library.folder / 'folder.json').mkdir()
    _, complaints = library.read()
    assert len(complaints) == 3
    assert all(
        any(name in line for line in complaints) for name in ('alone', 'two words', 'folder')
    )
    assert (library.folder / 'alone.png').exists()


SMOOTH = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], (48, 1, 3))


@pytest.mark.parametrize('picture', [scene(), SMOOTH], ids=['busy', 'smooth'])
def test_no_flipped_byte_or_cut_makes_another_picture_of_a_goal(library, picture):
    library.add(goal(), picture)
    path = library.folder / 'cup.png'
    whole, draw = path.read_bytes(), random.Random(0)
    for turn in range(150):
        at = draw.randrange(len(whole))
        if turn % 3:
            damaged = bytearray(whole)
            damaged[at] ^= 1 << draw.randrange(8)
        else:
            damaged = whole[:at]
        path.write_bytes(bytes(damaged))
        try:
            seen = library.picture('cup')
        except GoalError as error:
            assert 'cup.png' in str(error) and '\n' not in str(error)
        else:
            np.testing.assert_array_equal(seen, picture)


def test_a_picture_of_another_size_than_its_label_is_refused(library):
    library.add(goal(), scene())
    Image.fromarray(scene(shape=(24, 32))).save(library.folder / 'cup.png')
    with pytest.raises(GoalError, match=r'32x24, cup.json says 64x48'):
        library.picture('cup')


def test_files_and_libraries_have_a_largest_size(library, tmp_path, monkeypatch):
    library.add(goal(), scene())
    monkeypatch.setattr(library_room, 'LARGEST_PICTURE', 100)
    with pytest.raises(GoalError, match='at most 100 are read'):
        library.picture('cup')
    monkeypatch.setattr(library_room, 'MOST_GOALS', 1)
    with pytest.raises(GoalError, match='holds 1 goals, the most'):
        library.add(goal('mug'), scene())
    bomb = tmp_path / 'bomb.png'
    Image.new('1', (15_000, 15_000)).save(bomb)
    monkeypatch.setattr(library_room, 'LARGEST_PICTURE', 1 << 30)
    with pytest.raises(GoalError, match='bomb.png'):
        read_picture(bomb)


def test_the_signature_changes_with_the_files(library):
    assert library.signature() == {}
    library.add(goal(), scene())
    first = library.signature()
    library.add(goal('mug'), scene())
    assert first != library.signature() and first.keys() <= library.signature().keys()
    library.remove('mug')
    assert library.signature() == first
