# SPDX-License-Identifier: Apache-2.0
"""The cell without the arm's protocol: physics stepped directly, as fast as it goes.

One step does what a blocking move of the real arm does: the hand travels to an absolute waypoint
and has settled when the picture is taken. The recorder, and closed-loop trials of planners and
models at speed, use it.
"""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.actions import GRIPPER, POSITION, ROTATION, euler_to_matrix, waypoint
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.sim.contact import TableContact
from jepa_wm_ros.sim.design import NOMINAL, CellDesign
from jepa_wm_ros.sim.render import CellRenderer
from jepa_wm_ros.sim.scene import ARM_JOINTS, Layout, SimError, compile_model
from jepa_wm_ros.sim.variation import CellState, cell_of_seed

TRAVEL = 0.50  # s, the arm's joints follow a smooth ramp to the waypoint
SETTLE = 0.35  # s, then stand until the controller's lag has gone
HAND_OPEN_CTRL = 255.0


class InverseKinematics:
    """Damped least squares for the hand TCP, with a pull towards a posture in the null space."""

    def __init__(self, model):
        import mujoco

        self._mujoco = mujoco
        self._model = model
        self._data = mujoco.MjData(model)
        self._layout = Layout.of(model)
        self._range = np.array([model.joint(name).range for name in ARM_JOINTS])

    def solve(
        self,
        start_q: np.ndarray,
        position: np.ndarray,
        rotation: np.ndarray,
        posture: np.ndarray,
        iterations: int = 25,
    ) -> np.ndarray:
        """Joint positions (7,) [rad] near `start_q` with the TCP at `position`, `rotation` (3, 3).

        Raises SimError when the pose is out of the arm's reach.
        """
        q = np.array(start_q, dtype=float)
        jacobian = np.zeros((6, self._model.nv))
        for _ in range(iterations):
            error = self._error(q, position, rotation)
            self._mujoco.mj_jacSite(
                self._model, self._data, jacobian[:3], jacobian[3:], self._layout.tcp
            )
            j = jacobian[:, self._layout.arm_dof]
            inverse = j.T @ np.linalg.inv(j @ j.T + 1e-5 * np.eye(6))
            pull = 0.1 * (posture - q)
            q = q + inverse @ error + pull - inverse @ (j @ pull)
            q = np.clip(q, self._range[:, 0] + 0.02, self._range[:, 1] - 0.02)
        if np.linalg.norm(self._error(q, position, rotation)) > 5e-3:
            raise SimError(
                f'the arm cannot reach {np.round(position, 3).tolist()} in this '
                'orientation: choose a pose inside the workspace'
            )
        return q

    def _error(self, q, position, rotation) -> np.ndarray:
        """Position and rotation error (6,) [m, rad] at q; leaves the data at q."""
        self._data.qpos[self._layout.arm] = q
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_comPos(self._model, self._data)
        now = self._data.site_xmat[self._layout.tcp].reshape(3, 3)
        turn = np.zeros(4)
        angle = np.zeros(3)
        self._mujoco.mju_mat2Quat(turn, (rotation @ now.T).ravel())
        self._mujoco.mju_quat2Vel(angle, turn, 1.0)
        return np.concatenate([position - self._data.site_xpos[self._layout.tcp], angle])


class DirectCell:
    """The cell, one settled step at a time. Deterministic: the same calls give the same frames.

    `reset` first. Poses are pose7 and actions the 7 numbers of `jepa_wm_ros.actions`; frames are
    uint8 RGB (480, 640, 3).
    """

    def __init__(self, seed: int = 0, design: CellDesign = NOMINAL, low: np.ndarray | None = None):
        """low: the lowest corner (3,) [m] of where the hand may be, in place of the arm's."""
        import mujoco

        self._mujoco = mujoco
        self._seed, self.design = seed, design
        self.low = FR3.workspace_low if low is None else low
        self._model = compile_model(design)
        self._data = mujoco.MjData(self._model)
        self._layout = Layout.of(self._model)
        self._kinematics = InverseKinematics(self._model)
        self._renderer = CellRenderer(design=design)
        self._posture = FR3.home
        self._contact = TableContact(self._model)
        self.table_force = 0.0  # N, the most that the arm has pressed on the table since `reset`

    def __enter__(self) -> DirectCell:
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    def close(self) -> None:
        """Give the renderer back."""
        self._renderer.close()

    def reset(
        self, start: np.ndarray, cell: CellState | None = None, posture: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Stand at pose7 `start` in `cell` (default: of this environment's seed).

        `posture` (7,) is where the null space of the arm is pulled to. Returns frame and pose7.
        """
        cell = cell_of_seed(self._seed, self.design) if cell is None else cell
        self._posture = FR3.home if posture is None else posture
        self._mujoco.mj_resetData(self._model, self._data)
        self._renderer.set_appearance(cell.appearance)
        rotation = euler_to_matrix(start[ROTATION])
        q = self._kinematics.solve(
            self._posture, start[POSITION], rotation, self._posture, iterations=100
        )
        self._commanded = np.array(start, dtype=float)
        self._target_q = q
        self._data.qpos[self._layout.arm] = q
        self._data.qpos[self._layout.fingers] = FR3.fingers(start[GRIPPER])
        self._data.qpos[self._layout.cube] = cell.cube_pose
        self._data.ctrl[:7] = q
        self._data.ctrl[7] = HAND_OPEN_CTRL * (1.0 - start[GRIPPER])
        self._run(SETTLE)
        self.table_force = 0.0
        return self.frame(), self.pose

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move by `action` (7,); otherwise as `move_to`."""
        return self.move_to(waypoint(self.pose, self._commanded, np.asarray(action, dtype=float)))

    def move_to(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move to pose7 `target`, its position clipped to the workspace.

        Returns frame and pose7 after the arm has settled. A pose out of the arm's reach raises
        SimError and moves nothing.
        """
        target = np.array(target, dtype=float)
        target[POSITION] = np.clip(target[POSITION], self.low, FR3.workspace_high)
        goal_q = self._kinematics.solve(
            self._target_q, target[POSITION], euler_to_matrix(target[ROTATION]), self._posture
        )
        self._travel(np.array([*goal_q, HAND_OPEN_CTRL * (1.0 - target[GRIPPER])]))
        self._target_q, self._commanded = goal_q, target
        return self.frame(), self.pose

    def lay(self, cube_pose: np.ndarray) -> np.ndarray:
        """Put the cube at rest at position [m] and quaternion (w, x, y, z) (7,); the frame then."""
        self._data.qpos[self._layout.cube] = cube_pose
        self._data.qvel[self._layout.cube_dof] = 0.0
        self._run(SETTLE)
        return self.frame()

    def goal_frame(self, pose: np.ndarray) -> np.ndarray:
        """What the camera would see with the hand at pose7 `pose`; the cell is left as it is."""
        qpos = self._data.qpos.copy()
        qpos[self._layout.arm] = self._kinematics.solve(
            self._posture,
            pose[POSITION],
            euler_to_matrix(pose[ROTATION]),
            self._posture,
            iterations=100,
        )
        qpos[self._layout.fingers] = FR3.fingers(pose[GRIPPER])
        return self._renderer.render(qpos)

    def frame(self) -> np.ndarray:
        """The camera's picture now."""
        return self._renderer.render(self._data.qpos)

    @property
    def pose(self) -> np.ndarray:
        """Measured pose7 of the hand."""
        self._mujoco.mj_kinematics(self._model, self._data)
        return self._layout.hand_pose(self._data)

    @property
    def commanded(self) -> np.ndarray:
        """Last commanded pose7."""
        return self._commanded.copy()

    @property
    def cube(self) -> np.ndarray:
        """Cube position [m] and quaternion (w, x, y, z) (7,)."""
        return self._data.qpos[self._layout.cube].copy()

    @property
    def thing(self) -> np.ndarray:
        """Where the cube is (4,): position [m] and yaw [rad], as a person could point it out."""
        w, x, y, z = self.cube[3:]
        return np.array([*self.cube[:3], np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))])

    def _travel(self, goal: np.ndarray) -> None:
        start = self._data.ctrl.copy()
        steps = round(TRAVEL / self._model.opt.timestep)
        phase = np.arange(1, steps + 1) / steps
        for s in phase * phase * (3.0 - 2.0 * phase):
            self._data.ctrl[:] = start + s * (goal - start)
            self._run(self._model.opt.timestep)
        self._run(SETTLE)

    def _run(self, seconds: float) -> None:
        for _ in range(round(seconds / self._model.opt.timestep)):
            self._mujoco.mj_step(self._model, self._data)
            self.table_force = max(self.table_force, self._contact.force(self._data))
