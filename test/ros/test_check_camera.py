# SPDX-License-Identifier: Apache-2.0
"""The commands check_camera and diagnose: nothing moves unasked, and what they say of a cell."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')

from jepa_wm_ros.errors import JepaWmError  # noqa: E402
from jepa_wm_ros.evaluation.fit.jogs import COUNT, JOG  # noqa: E402
from jepa_wm_ros.evaluation.offline.sample_bag import record_sample  # noqa: E402
from jepa_wm_ros.ros import check_camera, diagnose  # noqa: E402
from jepa_wm_ros.ros.commander import CommanderError  # noqa: E402
from jepa_wm_ros.ros.consent import ask_consent  # noqa: E402
from jepa_wm_ros.ros.jog import jog  # noqa: E402
from support.running_cell import running_cell  # noqa: E402

pytestmark = pytest.mark.ros
START = np.array([0.5, 0.0, 0.25, np.pi, 0.0, 0.0, 0.2])


class StubCommander:
    """An arm that goes where it is told, until `reach` moves were made."""

    def __init__(self, reach=COUNT):
        self.reach, self.at, self.told, self.stops = reach, START, [], 0
        self.on_frame = None
        self.node = SimpleNamespace(get_clock=lambda: self)

    def now(self):
        return SimpleNamespace(nanoseconds=2_000_000_000)

    def picture(self):
        stamp = SimpleNamespace(sec=1, nanosec=900_000_000)
        self.on_frame(SimpleNamespace(header=SimpleNamespace(stamp=stamp)))
        return np.full((4, 4, 3), len(self.told), np.uint8)

    def pose(self):
        return self.at

    def move_to(self, target):
        if len(self.told) == self.reach:
            raise CommanderError('the workspace ends here')
        self.told.append(target)
        self.at = target

    def stop(self):
        self.stops += 1


def test_the_arm_makes_the_steps_and_each_is_recorded_with_its_picture():
    commander, counted = StubCommander(), []
    recorded = jog(commander, 4.0, lambda: counted.append(1))
    (episode,) = recorded.episodes
    assert (episode.steps, len(counted), commander.stops) == (COUNT, COUNT, 0)
    path = np.array([START, *commander.told])
    np.testing.assert_allclose(np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1), JOG)
    np.testing.assert_allclose(path[-1, :3], START[:3], atol=1e-9)
    np.testing.assert_allclose(path[:, 6], START[6])
    np.testing.assert_allclose(episode.proprio, path, atol=1e-6)
    assert episode.frames[:, 0, 0, 0].tolist() == list(range(COUNT + 1))
    np.testing.assert_allclose(recorded.ages, 0.1)
    assert commander.on_frame is None


def test_an_arm_that_cannot_go_on_is_told_to_stop():
    commander = StubCommander(reach=5)
    with pytest.raises(CommanderError, match='workspace'):
        jog(commander, 4.0, lambda: None)
    assert commander.stops == 1


def test_nothing_moves_unless_somebody_agrees(monkeypatch, capsys):
    monkeypatch.setattr('sys.stdin.isatty', lambda: False, raising=False)
    for command in (check_camera.main, diagnose.main):
        assert command([]) == 1
        assert 'give --yes' in capsys.readouterr().err
    monkeypatch.setattr('sys.stdin', SimpleNamespace(isatty=lambda: True))
    for said in ('', 'n', 'maybe'):
        with pytest.raises(JepaWmError, match='nobody agreed'):
            ask_consent('It moves.', False, lambda question, said=said: said)
    ask_consent('It moves.', False, lambda question: 'y')
    ask_consent('It moves.', True)


@pytest.mark.slow
def test_a_bag_of_the_cell_is_judged_without_ros(tmp_path, capsys):
    record_sample(tmp_path / 'bag', seconds=20.0, seed=0, storage='mcap', images='jpeg')
    assert check_camera.main(['--bag', str(tmp_path / 'bag')]) == 0
    assert 'camera and frame are as the model expects them' in capsys.readouterr().out
    diagnose.main(['--bag', str(tmp_path / 'bag')])
    said = capsys.readouterr().out
    assert said.count('good ') >= 5 and 'BAD' not in said


@pytest.mark.slow
def test_the_camera_of_the_running_cell_is_right(ros_domain, capsys):
    with running_cell():
        assert check_camera.main(['--yes']) == 0
        said = capsys.readouterr().out
        assert 'camera and frame are as the model expects them' in said
