# SPDX-License-Identifier: Apache-2.0
"""How fast training gets its data, and what it keeps in memory.

    python -m jepa_wm_ros.learning.throughput data/cell data/ten_times_as_much

Each set is read in a process of its own, as the configuration `cell` trains: windows of pictures
from the disk, an encoder's whole step, the pictures' latents computed anew in each step, and from
the file they are cached in.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.learning.optimise import make_optimizer
from jepa_wm_ros.learning.settings import load_settings
from jepa_wm_ros.learning.stages import EncoderStage, PredictorStage, new_model, prepare
from jepa_wm_ros.learning.windows import draw_windows, load_recording

WARM_UP = 3  # steps that are not counted


def measure(data: Path, steps: int, threads: int) -> dict[str, float]:
    """The figures of one set of episodes."""
    torch.set_num_threads(threads)
    settings = load_settings('cell')
    recording = load_recording(data)
    model = new_model(settings, recording, seed=1)
    generator = torch.Generator().manual_seed(1)
    s, p = settings.encoder, dataclasses.replace(settings.predictor, views=1)
    assert s is not None  # the configuration `cell` trains one
    starts = recording.windows(s.window)
    encoder = EncoderStage(model, recording, s)
    read = _rate(lambda: draw_windows(recording, starts, s.window, s.batch, generator), steps)
    step = _rate(_step(encoder, s, generator), steps)
    own = _own_megabytes()
    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        begun = time.perf_counter()
        predictor = PredictorStage(model.freeze(), recording, p, 1, cache=Path(folder))
        encoded = len(recording.episode) / (time.perf_counter() - begun)
        model.predictor.requires_grad_(True)
        cached_step = _step(predictor, p, generator)
        cached = _rate(cached_step, steps)

        def uncached_step() -> None:
            windows = draw_windows(recording, starts, p.window, p.batch, generator)
            with torch.no_grad():
                model.encode_visual(prepare(model, windows.frames))
            cached_step()

        uncached = _rate(uncached_step, steps)
        own_then = _own_megabytes()
    return {
        'gigabytes': round(sum(f.stat().st_size for f in data.iterdir()) / 1e9, 2),
        'pictures': len(recording.episode),
        'windows read per s': round(read * s.batch),
        'encoder stage, windows per s': round(step * s.batch),
        'of which waiting for data': round(step / read, 3),
        'pictures encoded per s': round(encoded),
        'predictor stage, windows per s, latents cached': round(cached * p.batch),
        'predictor stage, windows per s, not cached': round(uncached * p.batch),
        'own memory MB, encoder stage': round(own),
        'own memory MB, predictor stage': round(own_then),
        'most resident MB, with pages of files': round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        ),
    }


def _step(stage, settings, generator: torch.Generator) -> Callable[[], None]:
    optimizer = make_optimizer(stage, settings)

    def step() -> None:
        total = sum(weight * value for weight, value in stage.losses(generator).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def _rate(work: Callable[[], object], steps: int) -> float:
    """Steps per second."""
    for _ in range(WARM_UP):
        work()
    begun = time.perf_counter()
    for _ in range(steps):
        work()
    return steps / (time.perf_counter() - begun)


def _own_megabytes() -> float:
    """What this process has in memory now, without the pages of files, which the kernel takes back
    where it needs them.
    """
    told = Path('/proc/self/status').read_text(encoding='ascii')
    return int(told.split('RssAnon:')[1].split()[0]) / 1024


@exit_status('interrupted')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='throughput', description=__doc__.splitlines()[0])
    parser.add_argument('data', type=Path, nargs='+', help='folders of episodes')
    parser.add_argument('--steps', type=int, default=50)
    parser.add_argument('--threads', type=int, default=2)
    options = parser.parse_args(arguments)
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        for data in options.data:
            told = pool.apply(measure, (data, options.steps, options.threads))
            print(json.dumps({'data': data.name, **told}, indent=1), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
