# SPDX-License-Identifier: Apache-2.0
"""Which off-screen OpenGL draws a picture on this machine.

    python jepa_wm_ros/sim/opengl.py     prints its name, or why there is none (status 1)

The set-up asks the same question of the same code as the simulated cell. A library that is found
says little (PyOpenGL's EGL also needs libGL.so.1), so each candidate draws a red box and somebody
looks whether it is red. That happens in a process of its own: MuJoCo chooses its OpenGL once, when
it is imported, and a driver that fails may take its process with it.
"""

import os
import subprocess
import sys

BACKENDS = ('egl', 'osmesa')  # the first that draws is taken; EGL is also that of a GPU
PACKAGES = 'libegl1 libgl1 libgl1-mesa-dri'  # Debian's names of what EGL needs
SECONDS = 60.0  # for one picture of a machine that is busy
NONE = 'disable'  # MuJoCo's word for physics without pictures

DRAW = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light pos="0 0 3"/>'
    '<geom type="box" size="9 9 .1" rgba="1 0 0 1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 16, 16) as renderer:
    renderer.update_scene(data)
    red, green, _ = renderer.render()[8, 8]
assert red > 40 and green < red / 4, 'the picture is not the one that was drawn'
"""


def trouble(backend: str) -> str:
    """Why `backend` draws no picture, as one line; empty when it does."""
    variables = {**os.environ, 'MUJOCO_GL': backend}
    variables.pop('PYOPENGL_PLATFORM', None)
    try:
        done = subprocess.run(
            [sys.executable, '-c', DRAW],
            env=variables,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f'no picture within {SECONDS:g} s'
    if done.returncode == 0:
        return ''
    words = [line.strip() for line in done.stderr.splitlines() if 'Error' in line]
    return words[-1] if words else f'the process that drew ended with status {done.returncode}'


def choose() -> str:
    """Set MUJOCO_GL to what draws, for this process and those it starts, and return what it is.

    A MUJOCO_GL that somebody has set is left alone. Where nothing draws, physics goes on without
    pictures and `reason` says why.
    """
    if 'MUJOCO_GL' not in os.environ:
        os.environ['MUJOCO_GL'] = next((name for name in BACKENDS if not trouble(name)), NONE)
    return os.environ['MUJOCO_GL']


def reason() -> str:
    """Why this machine draws no picture off-screen, and what mends it, as one line."""
    tried = '; '.join(f'{name}: {trouble(name)}' for name in BACKENDS)
    return f'MuJoCo draws no picture off-screen ({tried}): install {PACKAGES}'


if __name__ == '__main__':
    if choose() == NONE:
        sys.exit(f'error: {reason()}')
    print(os.environ['MUJOCO_GL'])
