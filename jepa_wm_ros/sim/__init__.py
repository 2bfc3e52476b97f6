# SPDX-License-Identifier: Apache-2.0
"""The simulated cell: one scene, an arm server that speaks the real arm's protocol, cameras.

MuJoCo chooses its OpenGL when it is first imported, so the choice is made here: software OpenGL
without a display (EGL, or OSMesa where that is missing), one thread for each renderer.
"""

import ctypes.util
import os

OFF_SCREEN = {'egl': 'EGL', 'osmesa': 'OSMesa'}  # MuJoCo's name: the library it needs

for _name, _library in OFF_SCREEN.items():
    if ctypes.util.find_library(_library):
        os.environ.setdefault('MUJOCO_GL', _name)
os.environ.setdefault('LP_NUM_THREADS', '1')
