# SPDX-License-Identifier: Apache-2.0
"""Collect episodes of a world to train on.

    jepa-wm tasks collect wall --out data/wall --episodes 2000

Episode i comes from `--seed` + i alone, and the same command goes on where it was. As many
episodes as `--expert` says are driven by somebody who knows the world, to goals of its sampling;
the others by the policy of the published data. At the end it tells the SHA-256 of what it has
collected, which recording.json keeps too, and the statistics of actions and proprioception beside
those of the published data.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import trange

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.recordings.episode import STEP_RATE, Episode
from jepa_wm_ros.recordings.folder import claim, seal
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter, Hdf5Episodes
from jepa_wm_ros.tasks.world import World, random_actions
from jepa_wm_ros.tasks.worlds import WORLDS
from jepa_wm_ros.world_model.files.statistics import STATISTICS
from jepa_wm_ros.world_model.images import kept_square

EXPERT_NOISE = 0.3  # of an expert's actions, in standard deviations of the published ones


def episode(world: World, seed: int, steps: int, size: int, expert: float, noise: float) -> Episode:
    """`steps` model steps from a start of this seed; actions are those of the world's own steps one
    after the other (frameskip x A).
    """
    rng = np.random.default_rng([seed, 6])
    state, goal = world.sample(rng)
    driven = rng.random() < expert
    policy = world.behaviour(rng)
    states, actions = [state], []
    for index in range(steps * world.spec.frameskip):
        action = policy(state)
        if driven:
            if world.distance(state[None], goal)[0] < world.spec.tolerance:
                _, goal = world.sample(rng)
                goal = world.in_the_same_place(goal, state)
            action = world.oracle(state, goal) + rng.normal(0, noise, len(action))
        state = world.step(state[None], action[None])[0]
        actions.append(action)
        if (index + 1) % world.spec.frameskip == 0:
            states.append(state)
    seen = np.stack(states)
    return Episode(
        np.stack([kept_square(frame, size) for frame in world.render(seen)]),
        world.proprio(seen).astype(np.float32),
        np.stack(actions).reshape(steps, -1).astype(np.float32),
        STEP_RATE,
        seed,
        {'state': seen.astype(np.float32)},
    )


@exit_status('interrupted; the same command goes on')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog='jepa-wm tasks collect', description=__doc__.splitlines()[0]
    )
    parser.add_argument('world', choices=WORLDS)
    parser.add_argument('--out', type=Path, required=True, help='folder of the episodes')
    parser.add_argument('--episodes', type=int, default=2000)
    parser.add_argument('--steps', type=int, default=10, help='model steps of an episode')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--size', type=int, default=64, help='of the pictures kept [px]')
    parser.add_argument('--expert', type=float, default=0.0, help='share of driven episodes')
    options = parser.parse_args(arguments)
    world = WORLDS[options.world]()
    told = {name: value for name, value in vars(options).items() if name not in ('out', 'episodes')}
    claim(options.out, told)
    done = len(Hdf5Episodes(options.out))
    noise = EXPERT_NOISE * float(np.std(random_actions(world)))
    with EpisodeWriter(options.out, 'a') as writer:
        for index in trange(done, options.episodes, unit='episode', disable=None):
            seed = options.seed + index
            made = episode(world, seed, options.steps, options.size, options.expert, noise)
            writer.write(index, made)
    episodes = Hdf5Episodes(options.out)
    sha256 = seal(options.out, episodes)
    print(f'{options.out}: {len(episodes)} episodes of {options.steps} steps (SHA-256 {sha256})')
    print('\n'.join(statistics(episodes, world)))
    return 0


def statistics(episodes: Hdf5Episodes, world: World) -> list[str]:
    """Mean and standard deviation of each number, and in brackets those of the published data."""
    dim, published = world.spec.action_dim, STATISTICS[world.spec.data]
    found = {
        'action': np.concatenate([e.actions.reshape(-1, dim) for e in episodes]),
        'proprio': np.concatenate([e.proprio for e in episodes]),
    }
    lines = []
    for name, values in found.items():
        means, stds = getattr(published, f'{name}_mean'), getattr(published, f'{name}_std')
        for index, (mean, std) in enumerate(zip(means, stds, strict=True)):
            here = values[:, index].astype(float)
            lines.append(
                f'{name} {index}: mean {here.mean():.3f} ({mean:.3f}), '
                f'standard deviation {here.std():.3f} ({std:.3f})'
            )
    return lines


if __name__ == '__main__':
    sys.exit(main())
