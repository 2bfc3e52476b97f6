# SPDX-License-Identifier: Apache-2.0
"""What presses on the table, against what weighs and pushes there."""

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
mujoco = pytest.importorskip('mujoco')

from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.recordings.skills import TABLE  # noqa: E402
from jepa_wm_ros.sim.contact import CUBE_ON_TABLE, TableContact  # noqa: E402
from jepa_wm_ros.sim.direct import DirectCell  # noqa: E402
from jepa_wm_ros.sim.scene import compile_model  # noqa: E402
from jepa_wm_ros.sim.variation import cell_of_seed  # noqa: E402

CUBE = cell_of_seed(0)


def above(height, closure):
    x, y, yaw = CUBE.cube
    return np.array([x, y, height, *FR3.hand_down[:2], FR3.hand_down[2] + yaw, closure])


@pytest.fixture(scope='module')
def cell():
    with DirectCell(low=TABLE.low) as cell:
        yield cell


def test_a_cube_that_lies_there_alone_is_nobodys_press(cell):
    cell.reset(above(0.2, 0.0), CUBE)
    cell.move_to(above(0.15, 0.0))
    assert cell.table_force == 0.0


def test_what_the_hand_holds_on_the_table_counts_and_held_in_the_air_no_more(cell):
    cell.reset(above(0.15, 0.0), CUBE)
    cell.move_to(above(0.025, 0.0))
    cell.move_to(above(0.025, 1.0))
    assert 0.5 < cell.table_force < 30.0  # a cube of 0.15 kg weighs 1.5 N
    cell.move_to(above(0.15, 1.0))
    cell.table_force = 0.0
    cell.move_to(above(0.2, 1.0))
    assert cell.table_force == 0.0


def test_a_fist_on_the_cube_presses_it_down(cell):
    cell.reset(above(0.15, 1.0), CUBE)
    cell.move_to(above(0.045, 1.0))
    assert cell.table_force > 5.0


def pressed(cell):
    """The sum of the contacts of arm and cube with the table, one by one [N]."""
    data, model, wrench, total = cell._data, cell._model, np.zeros(6), 0.0
    table = model.geom('table').id
    for i in range(data.ncon):
        if table in data.contact[i].geom:
            mujoco.mj_contactForce(model, data, i, wrench)
            total += wrench[0]
    return total


def test_the_force_is_that_of_all_contacts_with_the_table(cell):
    cell.reset(above(0.15, 1.0), CUBE)
    cell.move_to(above(0.045, 1.0))
    standing = cell._contact.force(cell._data)
    assert standing > 5.0 and standing == pytest.approx(pressed(cell), rel=1e-3)


def test_a_cube_under_a_load_presses_with_it_and_its_weight():
    model = compile_model()
    data = mujoco.MjData(model)
    data.xfrc_applied[model.body('cube').id, 2] = -20.0
    mujoco.mj_step(model, data, nstep=500)
    assert TableContact(model).force(data) == 0.0  # nothing of the arm is near
    sensed = data.sensor(CUBE_ON_TABLE).data[2]
    assert sensed == pytest.approx(20.0 + 0.15 * 9.81, rel=0.02)
