# SPDX-License-Identifier: Apache-2.0
"""PointMaze: a ball that is pushed through a U, in MuJoCo, seen from above.

Source: Fu et al., arXiv 2004.07219 (D4RL maze2d), as in arXiv 2411.04983 and 2512.24497: time step
0.01 s, five of them for an action, damping 1, gear 100, actions cut to -1 ... 1. A state is the
ball's place x, y [m] and velocity [m/s].
"""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.sim.render import new_renderer
from jepa_wm_ros.tasks.world import Policy, WorldSpec

MAP = ('#####', '#...#', '###.#', '#...#', '#####')
CORNER = 1.2  # m, of the ball's zero in the map, where cells are of 1 m, the first around (1, 1)
BALL = 0.1  # m, its radius
LOW, HIGH = 0.5, 3.1  # of starts and goals
FASTEST = 5.23  # m/s, of starts and goals
STEPS_PER_ACTION = 5
SIZE = 64  # px


def scene() -> str:
    """The maze as MuJoCo reads it."""
    walls = '\n'.join(
        f'<geom type="box" size=".5 .5 .2" pos="{row + 1} {column + 1} .2" rgba=".25 .35 .55 1"/>'
        for row, cells in enumerate(MAP)
        for column, cell in enumerate(cells)
        if cell == '#'
    )
    return f"""
<mujoco model="pointmaze">
  <compiler angle="radian"/>
  <option timestep="0.01" integrator="RK4" gravity="0 0 0"/>
  <visual><headlight ambient=".7 .7 .7" diffuse=".3 .3 .3" specular="0 0 0"/></visual>
  <worldbody>
    <camera name="top" pos="3 3 6.4" fovy="31.4" xyaxes="0 1 0 -1 0 0"/>
    <geom type="plane" size="3 3 .1" pos="3 3 0" rgba=".93 .91 .86 1" contype="0" conaffinity="0"/>
    {walls}
    <body name="ball" pos="{CORNER} {CORNER} .1">
      <geom type="sphere" size="{BALL}" rgba=".85 .15 .15 1" mass="4.19"/>
      <joint name="x" type="slide" axis="1 0 0" damping="1"/>
      <joint name="y" type="slide" axis="0 1 0" damping="1"/>
    </body>
  </worldbody>
  <actuator>
    <motor joint="x" gear="100" ctrlrange="-1 1" ctrllimited="true"/>
    <motor joint="y" gear="100" ctrlrange="-1 1" ctrllimited="true"/>
  </actuator>
</mujoco>"""


class PointMaze:
    """`World`; use it from one thread, which its camera belongs to."""

    spec = WorldSpec(
        'pointmaze',
        action_dim=2,
        img_size=SIZE,
        tolerance=0.5,
        horizon=6,
        steps=30,
        data='pointmaze',
    )

    def __init__(self) -> None:
        import mujoco

        self._mujoco = mujoco
        self._model = mujoco.MjModel.from_xml_string(scene())
        self._data = mujoco.MjData(self._model)
        self._camera = None

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Places uniform in the U, velocities uniform."""
        first, second = (self._place(rng) for _ in range(2))
        return first, second

    def _place(self, rng: np.random.Generator) -> np.ndarray:
        while True:
            place = rng.uniform(LOW, HIGH, 2)
            if is_free(place):
                return np.concatenate([place, rng.uniform(-FASTEST, FASTEST, 2)])

    def in_the_same_place(self, goal: np.ndarray, state: np.ndarray) -> np.ndarray:
        """There is only one maze."""
        return goal

    def behaviour(self, rng: np.random.Generator) -> Policy:
        """Any action as likely as any other."""
        return lambda _state: rng.uniform(-1, 1, 2)

    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Five steps of MuJoCo with one action each."""
        after = np.empty_like(states)
        for index, (state, action) in enumerate(zip(states, actions, strict=True)):
            self._mujoco.mj_resetData(self._model, self._data)
            self._data.qpos[:], self._data.qvel[:] = state[:2], state[2:]
            self._data.ctrl[:] = np.clip(action, -1, 1)
            self._mujoco.mj_step(self._model, self._data, STEPS_PER_ACTION)
            after[index] = np.concatenate([self._data.qpos, self._data.qvel])
        return after

    def render(self, states: np.ndarray) -> np.ndarray:
        """The whole maze from above; x goes down and y to the right, as in the map."""
        camera = self._camera = self._camera or new_renderer(self._model, SIZE, SIZE)
        frames = np.empty((len(states), SIZE, SIZE, 3), np.uint8)
        for index, state in enumerate(states):
            self._data.qpos[:] = state[:2]
            self._mujoco.mj_kinematics(self._model, self._data)
            self._mujoco.mj_camlight(self._model, self._data)
            camera.update_scene(self._data, 'top')
            frames[index] = camera.render()
        return frames

    def proprio(self, states: np.ndarray) -> np.ndarray:
        """Place and velocity (N, 4)."""
        return states

    def distance(self, states: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Metres between the places."""
        return np.linalg.norm(states[:, :2] - goal[:2], axis=-1)

    def oracle(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Through the middles of the cells on the way."""
        return _push(state, way_point(state[:2], goal[:2]))

    def straight(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Straight for the goal."""
        return _push(state, goal[:2])


def cell_of(place: np.ndarray) -> tuple[int, int]:
    """Row and column of the map where a ball's place (2,) is."""
    row, column = np.floor(np.asarray(place) + CORNER - 0.5).astype(int)
    return int(row), int(column)


def is_free(place: np.ndarray) -> bool:
    """Whether the whole ball fits at a place (2,)."""
    corners = (place + BALL * np.array(side) for side in ((1, 1), (1, -1), (-1, 1), (-1, -1)))
    return all(MAP[row][column] != '#' for row, column in map(cell_of, corners))


def way_point(here: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The goal, or the middle of the next cell on the shortest way to its cell."""
    begin, end = cell_of(here), cell_of(goal)
    if begin == end:
        return goal
    came, queue = {end: end}, [end]
    while queue and begin not in came:
        row, column = queue.pop(0)
        for one in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if one not in came and MAP[one[0]][one[1]] != '#':
                came[one] = (row, column)
                queue.append(one)
    following = came.get(begin, end)
    return goal if following == end else np.array(following) + 1.0 - CORNER


def _push(state: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A spring and a damper, as strong as the motors are."""
    return np.clip(3.0 * (target - state[:2]) - 0.8 * state[2:], -1, 1)
