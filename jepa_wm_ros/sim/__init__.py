# SPDX-License-Identifier: Apache-2.0
"""The simulated cell: one scene, an arm server that speaks the real arm's protocol, cameras.

MuJoCo chooses its OpenGL when it is first imported, so the choice is made here: the first that
draws a picture without a display, one thread for each renderer.
"""

import importlib.util
import os

from jepa_wm_ros.sim import opengl

os.environ.setdefault('LP_NUM_THREADS', '1')
if importlib.util.find_spec('mujoco'):
    opengl.choose()
