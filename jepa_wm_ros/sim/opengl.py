# SPDX-License-Identifier: Apache-2.0
"""Which off-screen OpenGL draws a picture on this machine.

    python jepa_wm_ros/sim/opengl.py     prints its name, or why there is none (status 1)

The set-up asks the same question of the same code as the simulated cell. A library that is found
says little (PyOpenGL's EGL also needs libGL.so.1), so each candidate draws a red box and somebody
looks whether it is red. That happens in a process of its own: MuJoCo chooses its OpenGL once, when
it is imported, and a driver that fails may take its process with it. The answer is kept until the
libraries of the system or MuJoCo change, so that a start costs nothing.
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

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
        os.environ['MUJOCO_GL'] = _kept() or _try_all()
    return os.environ['MUJOCO_GL']


def reason() -> str:
    """Why pictures cannot be drawn off-screen, and what mends it, as one line."""
    chosen = os.environ.get('MUJOCO_GL', NONE)
    if chosen not in (NONE, *BACKENDS):
        return f'MUJOCO_GL={chosen} draws no picture ({trouble(chosen)}): unset it'
    troubles = {name: trouble(name) for name in BACKENDS}
    if not all(troubles.values()):
        return f'MUJOCO_GL={chosen} is set and draws no picture: unset it'
    tried = '; '.join(f'{name}: {why}' for name, why in troubles.items())
    return f'MuJoCo draws no picture off-screen ({tried}): install {PACKAGES}'


def _try_all() -> str:
    """The first backend that draws, which is noted; NONE, which is not, where none does."""
    for name in BACKENDS:
        if not trouble(name):
            with contextlib.suppress(OSError):  # then the next start tries again
                note = _note()
                note.parent.mkdir(parents=True, exist_ok=True)
                new = note.with_name(f'{note.name}.{os.getpid()}')
                new.write_text(f'{name} {_state_of_libraries()}')
                new.replace(note)
            return name
    return NONE


def _kept() -> str:
    """What drew before, as long as nothing that draws has changed; empty otherwise."""
    try:
        name, state = _note().read_text().split(maxsplit=1)
    except (OSError, ValueError):
        return ''
    return name if name in BACKENDS and state == _state_of_libraries() else ''


def _note() -> Path:
    if sys.prefix != sys.base_prefix:  # a virtual environment keeps its own
        return Path(sys.prefix) / '.jepa_wm_opengl'
    return Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser() / 'jepa_wm_ros_opengl'


def _state_of_libraries() -> str:
    """Changes with whatever is installed into the system, and with MuJoCo."""
    mujoco = importlib.util.find_spec('mujoco')
    paths = ['/etc/ld.so.cache', *([mujoco.origin] if mujoco and mujoco.origin else [])]
    return ' '.join(str(os.stat(path).st_mtime_ns) for path in paths if os.path.exists(path))


def main() -> None:
    """Print what draws; end with the reason where nothing does."""
    given = 'MUJOCO_GL' in os.environ
    chosen = choose()
    if chosen == NONE and not given or given and chosen != NONE and trouble(chosen):
        sys.exit(f'error: {reason()}')
    print(chosen)


if __name__ == '__main__':
    main()
