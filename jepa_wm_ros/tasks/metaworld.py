# SPDX-License-Identifier: Apache-2.0
"""Metaworld's Reach and Reach-Wall: a Sawyer arm whose hand is drawn to where an action moves it.

Source: Yu et al., arXiv 1910.10897, environments v3 of the package metaworld (MIT), as in arXiv
2512.24497. Lengths in metres. A state is MuJoCo's positions and velocities, the place that the hand
is drawn to, and the goal's. The sphere that marks the goal is not drawn: the goal is a picture.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.sim.render import new_renderer
from jepa_wm_ros.tasks.world import Policy, WorldSpec

SIZE = 64  # px
SIMULATED = 5  # steps of MuJoCo for an action
GAIN, NOISE = 10.0, 0.7  # of the data's policy, in actions: per metre to go, and what is added
FAR = 0.15  # between object and goal
DOWN = np.array([1.0, 0.0, 1.0, 0.0])  # the hand's quaternion, pointing down
WELD = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 5.0]


class Reach:
    """`World`; use it from one thread, which its camera belongs to."""

    name, environment, expert = 'metaworld_reach', 'reach-v3', 'SawyerReachV3Policy'

    def __init__(self) -> None:
        self.spec = WorldSpec(
            self.name,
            action_dim=4,
            img_size=SIZE,
            tolerance=0.05,
            horizon=6,
            steps=100,
            data='metaworld',
            profile='tasks/metaworld',
            hand=(0, 1, 2),
        )
        self._env = env = _made(self.environment)
        self._model, self._data = env.model, env.data
        self._sizes = np.cumsum([self._model.nq, self._model.nv, 3])
        self._expert = _expert(self.expert)
        self._camera: Any = None

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Object and goal drawn as the environment does, and where its expert has come to."""
        space = self._env._random_reset_space
        while True:
            drawn = rng.uniform(space.low, space.high)
            if np.linalg.norm(drawn[:2] - drawn[3:5]) >= FAR:
                break
        self._env._last_rand_vec = drawn
        self._env.reset()
        start = self._state(drawn[3:])
        goal = start
        for _ in range(self.spec.steps):
            goal = self.step(goal[None], self.oracle(goal, start)[None])[0]
        return start, goal

    def in_the_same_place(self, goal: np.ndarray, state: np.ndarray) -> np.ndarray:
        """With the same object, which nothing here is about."""
        return goal

    def behaviour(self, rng: np.random.Generator) -> Policy:
        """To one place after the other, slowly or fast, noisily, the gripper open or closed.

        Fast every other time, which brings the hand to many places. Not always: a picture does not
        tell how fast a hand moves, and of a hand that always does a model learns that none stands
        still.
        """
        space = self._env.mocap_low, self._env.mocap_high
        place, grip, speed = None, 0.0, 0.0

        def act(state: np.ndarray) -> np.ndarray:
            nonlocal place, grip, speed
            hand = self.proprio(state[None])[0, :3]
            if place is None or np.linalg.norm(place - hand) < 0.05 or rng.random() < 0.05:
                place, grip = rng.uniform(*space), rng.uniform(-1, 1)
                speed = min(1.0, rng.uniform(0, 2))
            # Cut before the noise: else, on a long way, all steps of a model step are the same, and
            # no model can tell what each of them does.
            wanted = np.append(speed * np.clip(GAIN * (place - hand), -1, 1), grip)
            return np.clip(wanted + rng.normal(0, NOISE, 4), -1, 1)

        return act

    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Five steps of MuJoCo with one action each."""
        after = np.empty_like(states)
        for index, (state, action) in enumerate(zip(states, actions, strict=True)):
            self._set(state)
            self._env.set_xyz_action(action[:3])
            grip = float(np.clip(action[3], -1, 1))
            self._env.do_simulation([grip, -grip], n_frames=SIMULATED)
            after[index] = self._state(state[self._sizes[2] :])
        return after

    def _state(self, goal: np.ndarray) -> np.ndarray:
        data = self._data
        return np.concatenate([data.qpos, data.qvel, data.mocap_pos[0], goal])

    def _set(self, state: np.ndarray) -> None:
        import mujoco

        mujoco.mj_resetData(self._model, self._data)
        data = self._data
        data.qpos[:], data.qvel[:], data.mocap_pos[0], _ = np.split(state, self._sizes)
        data.mocap_quat[0] = DOWN
        mujoco.mj_kinematics(self._model, data)

    def render(self, states: np.ndarray) -> np.ndarray:
        """From the corner, the right way up, without shadows and reflections."""
        import mujoco

        camera = self._camera = self._camera or self._new_camera()
        frames = np.empty((len(states), SIZE, SIZE, 3), np.uint8)
        for index, state in enumerate(states):
            self._set(state)
            mujoco.mj_camlight(self._model, self._data)
            camera.update_scene(self._data, 'corner2')
            frames[index] = camera.render()[::-1, ::-1]
        return frames

    def _new_camera(self):
        import mujoco

        self._model.vis.quality.offsamples = 0
        self._model.site_rgba[:, 3] = 0.0
        camera = new_renderer(self._model, SIZE, SIZE)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            camera.scene.flags[flag] = False
        return camera

    def proprio(self, states: np.ndarray) -> np.ndarray:
        """The hand's place and how open it is (N, 4)."""
        return np.stack([self._seen(state)[:4] for state in states])

    def _seen(self, state: np.ndarray) -> np.ndarray:
        self._set(state)
        return self._env._get_curr_obs_combined_no_goal()

    def distance(self, states: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Metres between the middle of the fingers and the goal's place (N,)."""
        place, found = goal[self._sizes[2] :], []
        for state in states:
            self._set(state)
            found.append(np.linalg.norm(self._env.tcp_center - place))
        return np.array(found)

    def oracle(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """The package's own expert."""
        seen, place = self._seen(state), goal[self._sizes[2] :]
        with warnings.catch_warnings():  # it warns that it asks for more than is done
            warnings.simplefilter('ignore')
            action = self._expert.get_action(np.concatenate([seen, seen, place]))
        return np.clip(action, -1, 1)

    def straight(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Straight for the goal, through whatever is in between."""
        way = goal[self._sizes[2] :] - self._seen(state)[:3]
        return np.append(np.clip(GAIN * way, -1, 1), 0.0)


class ReachWall(Reach):
    """With a wall between hand and goal."""

    name, environment = 'metaworld_reach_wall', 'reach-wall-v3'
    expert = 'SawyerReachWallV3Policy'


def _made(environment: str):
    """The package's environment, ready to be set. Raises JepaWmError without the package."""
    try:
        from metaworld import sawyer_xyz_env
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
    except ImportError as error:
        raise JepaWmError(
            f'{environment} needs the package metaworld ({error}): pip install metaworld==3.0.0'
        ) from error
    # Its rows of numbers for welds are of MuJoCo 3; those of MuJoCo 4 have one more.
    vars(sawyer_xyz_env)['SawyerMocapBase'].reset_mocap_welds = _reset_welds
    env = ALL_V3_ENVIRONMENTS[environment]()
    env._freeze_rand_vec = env._set_task_called = True
    return env


def _reset_welds(env) -> None:
    import mujoco

    for index, kind in enumerate(env.model.eq_type):
        if kind == mujoco.mjtEq.mjEQ_WELD:
            env.model.eq_data[index, : len(WELD)] = WELD


def _expert(name: str):
    from metaworld import policies

    return getattr(policies, name)()
