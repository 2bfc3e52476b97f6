# SPDX-License-Identifier: Apache-2.0
"""The camera: off-screen pictures of the cell from a copy of its joint positions.

A renderer owns its model and data, so the process that steps the physics never waits for it.
"""

from __future__ import annotations

import os

import numpy as np

from jepa_wm_ros.sim import opengl
from jepa_wm_ros.sim.design import HEIGHT, NOMINAL, WIDTH, Appearance, CellDesign
from jepa_wm_ros.sim.scene import CAMERA, SimError, compile_model


def new_renderer(model, height: int, width: int):
    """MuJoCo's off-screen renderer, or one line where it would abort the process."""
    import mujoco

    wanted = os.environ['MUJOCO_GL']
    if wanted == opengl.NONE:
        raise SimError(opengl.reason())
    if wanted in opengl.BACKENDS and mujoco.GLContext.__module__ != f'mujoco.{wanted}':
        raise SimError(
            'mujoco was imported before jepa_wm_ros.sim and has no off-screen OpenGL: '
            f'set MUJOCO_GL={wanted} in the environment'
        )
    return mujoco.Renderer(model, height, width)


class CellRenderer:
    """Draws the cell without shadows and reflections (software OpenGL draws those slowly).

    Use it from the thread that made it (OpenGL contexts belong to a thread) and `close` it, or
    use it in a `with` statement.
    """

    def __init__(
        self,
        width: int = WIDTH,
        height: int = HEIGHT,
        camera: str = CAMERA,
        design: CellDesign = NOMINAL,
    ):
        import mujoco

        self._mujoco = mujoco
        self._model = compile_model(design)
        self._data = mujoco.MjData(self._model)
        self._model.vis.global_.offwidth = max(width, WIDTH)
        self._model.vis.global_.offheight = max(height, HEIGHT)
        known = [self._model.camera(i).name for i in range(self._model.ncam)]
        if camera not in known:
            raise SimError(f'the scene has no camera {camera!r}: use one of {known}')
        self._camera = camera
        self._lamps = self._model.light_diffuse.copy()
        self._ambient = np.array(self._model.vis.headlight.ambient)
        self._renderer = new_renderer(self._model, height, width)
        self.set_appearance(design.appearance)

    def __enter__(self) -> CellRenderer:
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._renderer.close()

    def set_appearance(self, appearance: Appearance) -> None:
        """Light and colours of the pictures from now on."""
        self._model.light_diffuse[:] = self._lamps * appearance.light[:, None]
        self._model.vis.headlight.ambient[:] = self._ambient * appearance.ambient
        self._model.geom('table').rgba[:] = appearance.table
        self._model.geom('ground').rgba[:] = appearance.floor
        self._model.geom('cube').rgba[:] = appearance.cube

    def render(self, qpos: np.ndarray) -> np.ndarray:
        """Picture uint8 RGB (H, W, 3) of the cell at joint positions `qpos`."""
        mujoco = self._mujoco
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, self._camera)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._renderer.scene.flags[flag] = False
        return self._renderer.render()
