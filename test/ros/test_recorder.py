# SPDX-License-Identifier: Apache-2.0
"""The recorder: services, keys and what is in the bags, said by a camera and an arm over DDS."""

import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from jepa_wm_ros.errors import JepaWmError  # noqa: E402
from jepa_wm_ros.recordings.formats import open_episodes  # noqa: E402
from jepa_wm_ros.ros import takes  # noqa: E402
from jepa_wm_ros.ros.nodes.recorder import Recorder  # noqa: E402
from support.camera_and_arm import POSITION, CameraAndArm  # noqa: E402
from support.ros_peers import call, ros, spinning, unconfigured  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


def test_takes_are_kept_begun_again_and_thrown_away(ros_domain, tmp_path, picture):
    folder = tmp_path / 'takes'
    with ros(out=folder):
        node, cell = Recorder(), CameraAndArm(picture, 20)
        heard = threading.Semaphore(0)
        cell.node.create_subscription(Image, 'image', lambda _: heard.release(), 10)

        def ask(word: str) -> Trigger.Response:
            return call(cell.node, Trigger, f'recorder/{word}', Trigger.Request())

        def wait_for_pictures(count: int) -> None:
            for _ in range(count):
                assert heard.acquire(timeout=20.0)

        with spinning(node, cell.node):
            assert node.trigger_configure().name == node.trigger_activate().name == 'SUCCESS'
            refused = ask('stop')
            assert not refused.success and 'start one first' in refused.message
            wait_for_pictures(5)
            assert ask('start').message == 'recording take_0000'
            wait_for_pictures(40)
            kept = ask('keep')
            assert kept.success, kept.message
            assert kept.message.startswith('take_0000: ')
            assert kept.message.endswith('; recording take_0001')
            assert 'missing' in kept.message and 'steps of 0.25 s can be used' in kept.message
            assert ask('redo').message == 'take_0001 is thrown away; recording take_0001'
            wait_for_pictures(20)
            level, said, _ = node._take_state()
            assert level == node.diagnostics.OK and said.startswith('recording take_0001')
            assert ask('stop').success
            assert ask('discard').message == 'take_0001 is thrown away'
            assert ask('start').success
            wait_for_pictures(20)
            assert node.trigger_deactivate().name == 'SUCCESS'  # ends the take, and keeps it
        node.destroy_node()
        cell.node.destroy_node()
    assert sorted(p.name for p in folder.glob('take_*')) == ['take_0000', 'take_0001']
    for episode in open_episodes(folder):
        np.testing.assert_array_equal(episode.frames[0], picture)
        np.testing.assert_allclose(episode.proprio[0, :3], POSITION, atol=1e-6)
        np.testing.assert_allclose(episode.proprio[0, 6], 0.25, atol=1e-3)


def test_a_folder_that_cannot_be_and_a_silent_camera_are_told(ros_domain, tmp_path, picture):
    (tmp_path / 'file').write_text('')
    with ros(out=tmp_path / 'file' / 'takes'):
        node, cell = Recorder(), CameraAndArm(picture)
        cell.shooting = False
        with spinning(node, cell.node):
            assert node.trigger_configure().name == node.trigger_activate().name == 'SUCCESS'
            answer = call(cell.node, Trigger, 'recorder/start', Trigger.Request())
            assert not answer.success and 'no take can be written into' in answer.message
            node._pictured -= 5.0
            level, said, _ = node._take_state()
            assert (level, said) == (node.diagnostics.WARN, 'no picture on /image')
            assert node.trigger_deactivate().name == 'SUCCESS'
        node.destroy_node()
        cell.node.destroy_node()
    assert 'no_such' in unconfigured(Recorder, topics='no_such')


def test_keys_ask_for_what_is_written_beside_them_until_q():
    asked = []

    def ask(word):
        asked.append(word)
        if word == 'discard':
            raise JepaWmError('there is no take to throw away')
        return f'{word} done'

    said = list(takes.answers(iter('s kxrdqs'), ask))
    assert asked == ['start', 'stop', 'keep', 'redo', 'discard']
    assert said[0] == 'start done' and said[3] == takes.HELP and 'no take' in said[-1]


def test_without_a_terminal_the_services_are_named(monkeypatch, capsys):
    monkeypatch.setattr('sys.stdin', Path('/dev/null').open())
    assert takes.main([]) == 1
    assert 'call the services' in capsys.readouterr().err
