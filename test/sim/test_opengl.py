# SPDX-License-Identifier: Apache-2.0
"""The OpenGL that is chosen is one that draws; where none does, the reason says what to install."""

import os
import subprocess
import sys

import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('mujoco')
from jepa_wm_ros.sim import opengl  # noqa: E402
from jepa_wm_ros.sim.render import CellRenderer  # noqa: E402
from jepa_wm_ros.sim.scene import SimError  # noqa: E402

OTHER = 'from jepa_wm_ros import sim; import mujoco, os; print(os.environ["MUJOCO_GL"])'


@pytest.fixture
def nothing_chosen(monkeypatch, tmp_path):
    monkeypatch.delenv('MUJOCO_GL')
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))  # where what drew is kept


def test_what_is_chosen_draws():
    assert os.environ['MUJOCO_GL'] in opengl.BACKENDS
    assert opengl.trouble(os.environ['MUJOCO_GL']) == ''


def test_a_library_that_is_missing_is_named():
    assert 'glfw' not in opengl.BACKENDS
    assert opengl.trouble('glfw') != ''  # no display here


def test_the_first_that_draws_is_taken(nothing_chosen, monkeypatch):
    monkeypatch.setattr(opengl, 'trouble', {'egl': 'no libGL.so.1', 'osmesa': ''}.get)
    assert opengl.choose() == 'osmesa' == os.environ['MUJOCO_GL']


def test_what_somebody_has_set_is_left_alone(monkeypatch):
    monkeypatch.setenv('MUJOCO_GL', 'osmesa')
    monkeypatch.setattr(opengl, 'trouble', lambda name: pytest.fail('nothing to try'))
    assert opengl.choose() == 'osmesa'


def test_where_nothing_draws_the_packages_are_named(nothing_chosen, monkeypatch):
    monkeypatch.setattr(opengl, 'trouble', lambda name: f'{name} is broken')
    assert opengl.choose() == opengl.NONE
    with pytest.raises(SimError, match='egl is broken.*osmesa is broken.*install libegl1 libgl1'):
        CellRenderer()


def test_a_machine_without_opengl_still_steps_the_physics():
    done = subprocess.run(
        [sys.executable, '-c', OTHER],
        env={**os.environ, 'MUJOCO_GL': opengl.NONE},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.returncode) == (opengl.NONE, 0), done.stderr


@pytest.fixture
def tried(nothing_chosen, monkeypatch):
    """The backends that are tried, one after the other."""
    names = []
    monkeypatch.setattr(opengl, 'trouble', lambda name: names.append(name) or '')
    return names


def chosen_anew(monkeypatch):
    monkeypatch.delenv('MUJOCO_GL', raising=False)
    return opengl.choose()


def test_what_drew_is_kept_for_the_next_start(tried, monkeypatch):
    assert [chosen_anew(monkeypatch) for _ in range(3)] == ['egl'] * 3
    assert tried == ['egl']


def test_what_drew_is_tried_again_when_the_libraries_have_changed(tried, monkeypatch):
    chosen_anew(monkeypatch)
    monkeypatch.setattr(opengl, '_state_of_libraries', lambda: 'others')
    chosen_anew(monkeypatch)
    assert tried == ['egl', 'egl']


def test_a_note_that_is_cut_short_or_cannot_be_written_only_costs_time(
    tried, monkeypatch, tmp_path
):
    (tmp_path / '.jepa_wm_opengl').write_text('e')
    assert chosen_anew(monkeypatch) == 'egl'
    monkeypatch.setattr(sys, 'prefix', '/proc/none')
    assert [chosen_anew(monkeypatch) for _ in range(2)] == ['egl'] * 2
    assert len(tried) == 3


def test_that_nothing_draws_is_not_kept(tried, monkeypatch):
    monkeypatch.setattr(opengl, 'trouble', lambda name: tried.append(name) or 'broken')
    assert [chosen_anew(monkeypatch) for _ in range(2)] == [opengl.NONE] * 2
    assert tried == ['egl', 'osmesa'] * 2


def test_a_setting_that_draws_nothing_is_named_where_others_draw(monkeypatch):
    monkeypatch.setenv('MUJOCO_GL', 'osmesa')
    monkeypatch.setattr(opengl, 'trouble', {'egl': '', 'osmesa': 'no libOSMesa'}.get)
    with pytest.raises(SystemExit, match='MUJOCO_GL=osmesa is set .* unset it'):
        opengl.main()


def test_the_set_up_asks_this_file_as_a_script():
    done = subprocess.run([sys.executable, opengl.__file__], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == (os.environ['MUJOCO_GL'], 0), done.stderr
