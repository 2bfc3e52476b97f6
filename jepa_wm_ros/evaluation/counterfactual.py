# SPDX-License-Identifier: Apache-2.0
"""The paper's Figure 2 for any model and recording (arXiv 2512.24497): "open and up" beside "close
and up", imagined from the same frame.

    python -m jepa_wm_ros.evaluation.counterfactual jepa_wm_cell data/cell --out picture.png
    python -m jepa_wm_ros.evaluation.counterfactual my_cell.safetensors my_bag --out picture.png \
        --episode 3 --frame 10

A model without a picture decoder is shown by the episodes' frames nearest in latent space.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from jepa_wm_ros.actions import DIM
from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.evaluation.offline.illustrate import SIDE, Strip, Studio, spread
from jepa_wm_ros.evaluation.offline.pictures import Gallery, square
from jepa_wm_ros.evaluation.offline.trial import ClipTrial
from jepa_wm_ros.recordings.episode import EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource, open_episodes
from jepa_wm_ros.world_model import WorldModel, load_world_model


def counterfactual(
    model: WorldModel, episodes: EpisodeSource, episode: int = 0, frame: int = 0
) -> Strip:
    """What a model of 7-number arm actions imagines from one frame of a set of episodes.

    Raises EpisodeError where there is no such frame or no hand's pose with it, and JepaWmError for
    a model of other actions.
    """
    trial = ClipTrial(model, model.spec.name, [], [1])
    if not 0 <= episode < len(episodes):
        raise EpisodeError(f'there is no episode {episode}, but 0 to {len(episodes) - 1}')
    chosen = episodes[episode]
    if not 0 <= frame <= chosen.steps:
        raise EpisodeError(f'episode {episode} has no frame {frame}, but 0 to {chosen.steps}')
    if chosen.proprio.shape[1] != DIM:
        raise EpisodeError(
            f'episode {episode} has {chosen.proprio.shape[1]} numbers of proprioception, not the '
            f'{DIM} of a hand and its gripper'
        )
    studio = Studio(trial, lambda: _gallery(trial, episodes))
    picture = np.asarray(chosen.frames[frame : frame + 1])[0]
    title = f'{studio.note}\nfrom frame {frame} of episode {episode}'
    return Strip(title, studio.counterfactuals(picture, chosen.proprio[frame]))


def _gallery(trial: ClipTrial, episodes: EpisodeSource) -> Gallery:
    """Frames of all episodes, evenly spread."""
    places = [
        (number, at) for number in range(len(episodes)) for at in range(episodes[number].steps + 1)
    ]
    pictures, latents = [], []
    for number, at in (places[place] for place in spread(len(places))):
        picture = np.asarray(episodes[number].frames[at : at + 1])[0]
        pictures.append(square(picture, SIDE))
        latents.append(trial.encode(picture, episodes[number].proprio[at]))
    return Gallery.of(pictures, latents)


def draw(strip: Strip, path: Path) -> None:
    """Write a strip as a picture, each row with its caption."""
    from matplotlib.figure import Figure

    pictures = [picture for _, picture in strip.rows]
    height, width = (side / 100 for side in pictures[0].shape[:2])
    figure = Figure((width + 1, (height + 0.3) * len(pictures) + 0.5), layout='constrained')
    figure.suptitle(strip.title, fontsize=9)
    for axes, (caption, picture) in zip(figure.subplots(len(pictures)), strip.rows, strict=True):
        axes.imshow(picture)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(caption, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


@exit_status('interrupted')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='counterfactual', description=__doc__.split('\n\n')[0])
    parser.add_argument('model', help='name or file')
    parser.add_argument('data', type=Path, help='file or folder of episodes, in any format')
    parser.add_argument('--out', type=Path, required=True, help='the picture, .png by custom')
    parser.add_argument('--episode', type=int, default=0, help='to begin from (default 0)')
    parser.add_argument('--frame', type=int, default=0, help='of that episode (default 0)')
    options = parser.parse_args(arguments)
    episodes = open_episodes(options.data)
    strip = counterfactual(
        load_world_model(options.model), episodes, options.episode, options.frame
    )
    draw(strip, options.out)
    print(f'{strip.title}\nwrote {options.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
