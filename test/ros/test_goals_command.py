# SPDX-License-Identifier: Apache-2.0
"""The command `goals`, as a person types it."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')
pytest.importorskip('rosbags')

from jepa_wm_ros.goals.library import GoalLibrary  # noqa: E402
from jepa_wm_ros.ros.goals_command import main  # noqa: E402
from support.bags import make_bag, picture_at  # noqa: E402
from support.camera_and_arm import CameraAndArm  # noqa: E402
from support.ros_peers import ros, spinning  # noqa: E402

SCENE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture
def goals(tmp_path, capsys):
    """Runs the command on a library of its own; returns status, stdout and stderr."""

    def run(*words):
        status = main(['--library', str(tmp_path / 'library'), *map(str, words)])
        said = capsys.readouterr()
        return status, said.out, said.err

    run.library = GoalLibrary(tmp_path / 'library')
    return run


@pytest.fixture
def files(tmp_path):
    """A png, a jpeg and a bag."""
    Image.fromarray(SCENE).save(tmp_path / 'my cup.png')
    Image.fromarray(SCENE).save(tmp_path / 'mug.JPG', 'jpeg')
    make_bag(tmp_path / 'bag', seconds=2.0)
    return tmp_path


def test_files_and_bags_are_imported_listed_shown_exported_and_deleted(goals, files):
    assert goals('list')[:2] == (0, f'no goals in {goals.library.folder}: capture or import one\n')
    assert goals('import', files / 'my cup.png', '--camera', 'left')[0] == 0
    assert goals('import', files / 'mug.JPG')[0] == 0
    assert goals('import', files / 'bag', '--at', '1.0', '--name', 'there')[0] == 0
    np.testing.assert_array_equal(goals.library.picture('my_cup'), SCENE)
    np.testing.assert_array_equal(goals.library.picture('there'), picture_at(1.0))
    status, listed, _ = goals('list')
    assert status == 0 and [line.split()[0] for line in listed.splitlines()] == [
        'mug',
        'my_cup',
        'there',
    ]
    shown = goals('show', 'there', 'mug')[1]
    assert 'exterior_optical_frame, 64x48' in shown and 'in fr3_link0' in shown
    assert '2023-11-14 22:13:21' in shown and 'time not known' in shown
    assert goals('export', files / 'stick', 'there', 'mug')[0] == 0
    assert [goal.name for goal in GoalLibrary(files / 'stick').read()[0]] == ['mug', 'there']
    assert goals('rename', 'my_cup', 'cup')[:2] == (0, 'my_cup is cup now\n')
    assert goals('delete', 'mug', 'there')[:2] == (0, 'deleted mug\ndeleted there\n')
    assert goals('import', files / 'stick')[0] == 0
    assert GoalLibrary(files / 'stick').find('there') == goals.library.find('there')


@pytest.mark.parametrize(
    'words, said',
    [
        (('show', 'no'), "no goal 'no'"),
        (('delete', '../bag'), "goal name '../bag'"),
        (('import', 'nothing.png'), 'nothing.png'),
        (('import', 'nothing'), 'no png or jpeg file, no bag and no folder of goals'),
        (('import', 'setup.py'), 'no png or jpeg file'),
        (('capture', 'a b'), "goal name 'a b'"),
        (('capture', 'a', '--topics', 'nosuch'), 'nosuch'),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_status(goals, words, said):
    status, out, err = goals(*words)
    assert status == 1 and out == '' and len(err.splitlines()) == 1
    assert err.startswith('error: ') and said in err


def test_damaged_files_are_named_and_make_the_status(goals, files):
    goals('import', files / 'my cup.png')
    (goals.library.folder / 'bad.json').write_text('{')
    status, out, err = goals('list')
    assert status == 1 and out.startswith('my_cup')
    assert [word in err for word in ('bad.json', 'error: 1 files')] == [True, True]


def test_wrong_options_end_with_status_2(goals):
    for words in ((), ('fly',), ('import',), ('import', 'bag', '--at', 'nan')):
        with pytest.raises(SystemExit) as ended:
            goals(*words)
        assert ended.value.code == 2


@pytest.mark.ros
def test_what_camera_and_arm_show_is_captured(goals, ros_domain):
    with ros():
        cell = CameraAndArm(SCENE)
        cell.joints = (0.1, -0.3, 0.2, -2.3, 0.0, 2.0, 0.785)
        with spinning(cell.node):
            status, out, err = goals('capture', 'here')
            assert status == 0, err
            assert goals('capture')[0] == 0
        cell.node.destroy_node()
    goal = goals.library.find('here')
    assert goal.view.camera == 'toy_optical_frame' and goal.frame == 'fr3_link0'
    assert goal.joints == pytest.approx(cell.joints)
    assert goal.pose7 == pytest.approx((0.5, 0.1, 0.3, np.pi, 0, 0, 0.25))
    np.testing.assert_array_equal(goals.library.picture('here'), SCENE)
    assert goals.library.find('goal').view == goal.view and 'here' in out
