# SPDX-License-Identifier: Apache-2.0
"""How hard the arm presses on the table: by itself, or with what it holds."""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.sim.scene import PREFIX


class TableContact:
    """Reads the contacts of a compiled cell."""

    def __init__(self, model) -> None:
        import mujoco

        self._mujoco, self._model = mujoco, model
        self._table, self._cube = model.geom('table').id, model.geom('cube').id
        owners = [model.body(body).name for body in model.geom_bodyid]
        self._arm = np.array([name.startswith(PREFIX) for name in owners])

    def force(self, data) -> float:
        """Normal force [N] on the table of the arm, and of the cube while the arm touches it."""
        first, second = data.contact.geom.T
        of_arm = self._arm[first] | self._arm[second]
        of_cube = (first == self._cube) | (second == self._cube)
        on_table = (first == self._table) | (second == self._table)
        pressing = on_table & (of_arm | (of_cube & (of_arm & of_cube).any()))
        return float(sum(map(self._normal(data), np.flatnonzero(pressing))))

    def _normal(self, data):
        wrench = np.zeros(6)

        def of(contact: int) -> float:
            self._mujoco.mj_contactForce(self._model, data, contact, wrench)
            return float(wrench[0])

        return of
