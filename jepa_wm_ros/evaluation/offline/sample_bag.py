# SPDX-License-Identifier: Apache-2.0
"""A sample bag from the simulated cell: an arm that wanders between points, as if guided by hand.

    python -m jepa_wm_ros.evaluation.offline.sample_bag OUT [--seconds 60] [--storage mcap]

Camera at 10 Hz (compressed), hand pose and joint states at 30 Hz, all in simulated time. The hand
moves smoothly at up to 0.24 m/s, so that a quarter of a second is a step the planners know.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jepa_wm_ros.actions import GRIPPER, POSITION, ROTATION, euler_to_matrix
from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.bags.writer import CellBagWriter

START = 1_750_000_000_000_000_000  # stamp of the first message [ns]
STATE_HZ = 30
FRAME_EVERY = 3  # states
TOP_SPEED = 0.24  # m/s
LOW, HIGH = np.array([0.38, -0.20, 0.15]), np.array([0.62, 0.20, 0.38])  # above the cube
SHORTEST_LEG = 0.12  # m
TURN = 0.25  # rad, of the hand about the vertical, to either side
STROKE_SHARE = 0.3  # of the legs open or close the gripper


def wander(rng: np.random.Generator, seconds: float) -> Iterator[np.ndarray]:
    """Commanded pose7 at STATE_HZ: legs of least jerk between random points."""
    here = _point(rng)
    left = round(seconds * STATE_HZ)
    while left > 0:
        there = _point(rng)
        distance = np.linalg.norm(there[POSITION] - here[POSITION])
        if distance < SHORTEST_LEG:
            continue
        if rng.random() > STROKE_SHARE:
            there[GRIPPER] = here[GRIPPER]
        steps = int(np.ceil(1.875 * distance / TOP_SPEED * STATE_HZ))
        for s in (np.arange(1, steps + 1) / steps)[:left]:
            yield here + (there - here) * (10 * s**3 - 15 * s**4 + 6 * s**5)
        here, left = there, left - steps


def _point(rng: np.random.Generator) -> np.ndarray:
    pose = np.zeros(7)
    pose[POSITION] = rng.uniform(LOW, HIGH)
    pose[ROTATION] = FR3.hand_down + [0.0, 0.0, rng.uniform(-TURN, TURN)]
    pose[GRIPPER] = rng.integers(2)
    return pose


class _Arm:
    """The cell's physics, its joint targets led along a path of hand poses."""

    def __init__(self, seed: int) -> None:
        import mujoco

        from jepa_wm_ros.sim.direct import HAND_OPEN_CTRL, InverseKinematics
        from jepa_wm_ros.sim.scene import Layout, compile_model
        from jepa_wm_ros.sim.variation import cell_of_seed

        self._mujoco = mujoco
        self._model = compile_model()
        self._data = mujoco.MjData(self._model)
        self._layout = Layout.of(self._model)
        self._kinematics = InverseKinematics(self._model)
        self._open_ctrl = HAND_OPEN_CTRL
        self._posture = FR3.home
        self._target = self._posture
        self.appearance = cell_of_seed(seed).appearance
        self._data.qpos[self._layout.cube] = cell_of_seed(seed).cube_pose

    def stand(self, pose: np.ndarray) -> None:
        """Begin at rest at pose7."""
        self._aim(pose, iterations=100)
        self._data.qpos[self._layout.arm] = self._target
        self._data.qpos[self._layout.fingers] = FR3.fingers(pose[GRIPPER])
        self._mujoco.mj_step(self._model, self._data, nstep=250)

    def follow(self, pose: np.ndarray) -> None:
        """Step for one state period towards pose7."""
        before = self._data.ctrl.copy()
        self._aim(pose, iterations=8)
        after = self._data.ctrl.copy()
        steps = round(1 / STATE_HZ / self._model.opt.timestep)
        for share in np.arange(1, steps + 1) / steps:
            self._data.ctrl[:] = before + share * (after - before)
            self._mujoco.mj_step(self._model, self._data)

    def _aim(self, pose: np.ndarray, iterations: int) -> None:
        self._target = self._kinematics.solve(
            self._target,
            pose[POSITION],
            euler_to_matrix(pose[ROTATION]),
            self._posture,
            iterations=iterations,
        )
        self._data.ctrl[:7] = self._target
        self._data.ctrl[7] = self._open_ctrl * (1.0 - pose[GRIPPER])

    @property
    def qpos(self) -> np.ndarray:
        return self._data.qpos.copy()

    @property
    def joints(self) -> np.ndarray:
        return self._data.qpos[self._layout.arm].copy()

    @property
    def pose(self) -> np.ndarray:
        """Measured pose7."""
        self._mujoco.mj_kinematics(self._model, self._data)
        return self._layout.hand_pose(self._data)


def record_sample(path: Path, *, seconds: float, seed: int, storage: str, images: str) -> None:
    """Record a bag of the cell at `path`, which must not exist."""
    from jepa_wm_ros.sim.render import CellRenderer

    rng = np.random.default_rng(seed)
    arm = _Arm(seed)
    with CellBagWriter(path, storage=storage, images=images) as bag, CellRenderer() as camera:
        camera.set_appearance(arm.appearance)
        for index, command in enumerate(wander(rng, seconds)):
            if index == 0:
                arm.stand(command)
            arm.follow(command)
            stamp, pose = START + round(index * 1e9 / STATE_HZ), arm.pose
            bag.pose(stamp, pose)
            bag.joints(stamp, pose, arm.joints)
            if index % FRAME_EVERY == 0:
                bag.image(stamp, camera.render(arm.qpos))


@exit_status('interrupted')
def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    p = argparse.ArgumentParser(
        prog='sample_bag', description='Record a sample bag of the simulated cell for evaluate_bag.'
    )
    p.add_argument('out', type=Path, help='bag directory to make')
    p.add_argument('--seconds', type=float, default=60.0)
    p.add_argument('--seed', type=int, default=0, help='of the motion, the cube and the light')
    p.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap')
    p.add_argument('--images', choices=('raw', 'jpeg', 'png'), default='jpeg')
    options = p.parse_args(argv)
    record_sample(
        options.out,
        seconds=options.seconds,
        seed=options.seed,
        storage=options.storage,
        images=options.images,
    )
    print(options.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
