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
def nothing_chosen(monkeypatch):
    monkeypatch.delenv('MUJOCO_GL')


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
