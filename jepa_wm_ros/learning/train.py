# SPDX-License-Identifier: Apache-2.0
"""Command `train`: a world model from recorded episodes.

    train --data data/cell --out data/run                              # every tenth is held out
    train --data data/cell --val data/cell_val --out data/run --seed 1
    train --data data/my_cell --out data/my_run --from jepa_wm_cell --name my_cell
    train --data data/my_cell --out data/my_run --config efficientnet --encoder lite0.pth
    train --data data/my_cell --out data/my_run --stage proposal --from my_cell.safetensors
    train --data data/my_cell --out data/my_run --stage decoder --from my_cell.safetensors
    torchrun --nproc-per-node 8 -m jepa_wm_ros train --stage predictor --device cuda …

The folder --out holds <name of the model>.safetensors and its card (.md), metrics.json, losses.png
and the checkpoints that the same command resumes from; what another run has left there is not
written over without --force. Of a picture decoder it holds
FILE.decoder.safetensors, FILE the model's, beside which it is looked for; decoder.json,
decoder_losses.png and decoder.png, pictures held out above what is drawn of them. Nothing of the
model's own: its folder may be --out.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.learning import decoding
from jepa_wm_ros.learning.card import write_card
from jepa_wm_ros.learning.familiarity import familiarity
from jepa_wm_ros.learning.head_stage import HeadStage
from jepa_wm_ros.learning.kept import Score
from jepa_wm_ros.learning.optimise import Progress, optimise
from jepa_wm_ros.learning.options import RANDOM, check_given, check_options, parse
from jepa_wm_ros.learning.plot import plot_losses
from jepa_wm_ros.learning.probes import measure
from jepa_wm_ros.learning.proposing import ProposalStage
from jepa_wm_ros.learning.proposing import validation as proposal_validation
from jepa_wm_ros.learning.run import TRAINING, describe, of_the_same_episodes, refuse_other_runs
from jepa_wm_ros.learning.settings import StageSettings, TrainingError, TrainSettings, load_settings
from jepa_wm_ros.learning.stages import (
    EncoderStage,
    PredictorStage,
    going_on_from,
    new_model,
    prepare_predictor,
    validation,
)
from jepa_wm_ros.learning.trials import score, trials
from jepa_wm_ros.learning.windows import Recording, load_recording
from jepa_wm_ros.learning.world import World, joined, own_device
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.sanity import wrong_in
from jepa_wm_ros.world_model import WorldModel, build, load_world_model, save_world_model
from jepa_wm_ros.world_model.files.checkpoints import weights_file
from jepa_wm_ros.world_model.files.decoders import decoder_file, save_decoder
from jepa_wm_ros.world_model.files.official import load_encoder

HELD_OUT = 10  # one episode in so many, where none are given to measure by
# What of a configuration's model, beside its predictor, is not the encoder's but of what is
# trained on it.
OF_PREDICTION = ('family', 'context_window', 'normalize_latents')


def train(options: argparse.Namespace) -> dict:
    """Run the stages asked for, write weights, loss plot and metrics; returns the metrics, none
    where another process of torchrun has them.
    """
    device = own_device(options.device)
    with joined(device) as world:
        return _train(options, device, world)


def _train(options: argparse.Namespace, device: torch.device, world: World) -> dict:
    settings = load_settings(options.config)
    if options.iterations:
        settings = settings.with_iterations(options.iterations)
    check_options(options, settings, processes=world.size)
    given: WorldModel | None = None
    if begin_with := options.encoder_from or options.start:
        given = load_world_model(str(begin_with), device=str(device))
        check_given(options, given.spec)
    for path in (options.data, options.val):
        if path is not None and not options.unchecked and world.first:
            check_episodes(path, options.camera)
    world.wait()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    recording, val = load_both(options.data, options.val, options.camera)
    if world.first:
        print(
            f'{len(recording.episode)} training frames, {len(val.episode)} validation frames, '
            f'{recording.size} px, read in {time.monotonic() - began:.0f} s'
        )
    run = describe(options, settings, recording, val, world.size)
    metrics: dict[str, Any] = {'run': run, 'history': {}}
    name = options.name or (given.spec.name if given else settings.model.get('name', ''))
    weights, table = out / f'{name}.safetensors', out / 'metrics.json'
    if options.stage == 'decoder':
        weights = out / decoder_file(weights_file(options.start)).name
        table = out / 'decoder.json'
    if not options.force:
        refuse_other_runs((weights, table), run)
    if options.stage == 'decoder':
        assert given is not None and settings.decoder is not None  # see check_options
        _train_decoder(given, options, settings.decoder, recording, val, metrics, weights)
        table.write_text(json.dumps(metrics, indent=1))
        return metrics
    if options.encoder:
        model = new_model(settings, recording, options.seed).to(device)
        if str(options.encoder) != RANDOM:
            load_encoder(model.encoder, options.encoder)
    elif options.stage in ('predictor', 'proposal'):
        assert given is not None  # see check_options
        model = given
    else:
        model = _train_encoder(given, options, settings, recording, val, device, metrics)
    if options.stage in ('predictor', 'all'):
        model = _train_predictor(model, options, settings, recording, val, metrics, world)
    if not world.first:
        return {}
    # Half precision is enough to plan with; stage 2 starts from exactly what stage 1 learnt.
    precision = torch.float32 if options.stage == 'encoder' else torch.float16
    if options.stage == 'proposal' and not fits(model, precision):
        precision = torch.float32
    model = model.to(precision).float()
    known = given.familiarity if given is not None else None
    if known is not None and of_the_same_episodes(options.encoder_from, run):
        model.familiarity = known  # it was asked of this encoder and these pictures
    elif options.stage != 'proposal':  # which leaves the latents as they are
        metrics['probes'] = dataclasses.asdict(measure(model, recording, val))
        model.familiarity = familiarity(model, recording, val)
        model.spec = model.spec.replace(reached_distance=metrics['probes']['reached_distance'])
    if options.stage != 'encoder' and settings.proposal:
        _train_proposal(model, options, settings.proposal, recording, val, metrics)
    model.spec = model.spec.replace(name=name)
    save_world_model(model.to(precision), weights, {TRAINING: json.dumps(run)})
    table.write_text(json.dumps(metrics, indent=1))
    plot_losses(metrics['history'], out / 'losses.png')
    write_card(model, metrics, out / f'{name}.md')
    return metrics


def load_both(data: Path, val: Path | None, camera: str = '') -> tuple[Recording, Recording]:
    """Episodes to learn from and others to measure by. Raises EpisodeError for too few."""
    if val is not None:
        return load_recording(data, camera=camera), load_recording(val, camera=camera)
    return (
        load_recording(data, lambda number: (number + 1) % HELD_OUT != 0, camera),
        load_recording(data, lambda number: (number + 1) % HELD_OUT == 0, camera),
    )


def check_episodes(path: Path, camera: str = '') -> None:
    """Say what is odd about a set of episodes. Raises a TrainingError that names the first of them
    with something wrong, if there is one.
    """
    episodes = open_episodes(path, camera)
    for remark in episodes.remarks():
        print(remark, file=sys.stderr)
    for _, line in wrong_in(episodes):
        raise TrainingError(
            f'{line} (`dataset check {path}` names all that is wrong; --unchecked trains on it)'
        )


def _train_encoder(
    given: WorldModel | None,
    options,
    settings: TrainSettings,
    recording: Recording,
    val: Recording,
    device: torch.device,
    metrics: dict,
) -> WorldModel:
    assert settings.encoder is not None  # see check_options
    torch.manual_seed(options.seed)
    if given is not None:
        model = going_on_from(given, recording)
    else:
        model = new_model(settings, recording, options.seed)
    model = model.to(device)
    torch.set_num_threads(options.threads or settings.encoder.threads)
    stage: EncoderStage
    if settings.encoder.stem:
        cache = options.cache or options.out
        stage = HeadStage(model, recording, settings.encoder, options.seed, cache)
    else:
        stage = EncoderStage(model, recording, settings.encoder)
    measures = [validation(model, val, settings.encoder)]
    _run('encoder', stage, settings.encoder, measures, options, metrics, World())
    return model.freeze()


def _train_predictor(
    trained: WorldModel,
    options,
    settings: TrainSettings,
    recording: Recording,
    val: Recording,
    metrics: dict,
    world: World,
) -> WorldModel:
    """The predictor, on the frozen encoder of `trained`: a fresh one, or that of stage 1 or of
    `--from`.
    """
    if options.start or settings.goes_on:
        model = going_on_from(trained, recording)
    else:
        spec = trained.spec.replace(
            predictor=dataclasses.replace(
                trained.spec.predictor, **settings.model['predictor'] | settings.retrained
            ),
            **{name: settings.model[name] for name in OF_PREDICTION if name in settings.model},
        )
        model = build(spec, seed=options.seed).to(trained.device)
        model.encoder.load_state_dict(trained.encoder.state_dict())
        prepare_predictor(model)
    torch.set_num_threads(options.threads or settings.predictor.threads)
    cache = options.cache or options.out
    with world.first_before_others():  # it writes the latents that the others read
        stage = PredictorStage(model, recording, settings.predictor, options.seed, world, cache)
    measures = [validation(model, val, settings.predictor)]
    with contextlib.ExitStack() as opened:
        if options.trials:
            measures.append(opened.enter_context(trials(model, options.cell, options.trials)))
        best = score if options.trials else None
        _run('predictor', stage, settings.predictor, measures, options, metrics, world, best)
    return model.freeze()


def fits(model: WorldModel, precision: torch.dtype) -> bool:
    """Whether a model is the same numbers in a narrower precision."""
    return all(
        torch.equal(value.to(precision).to(value), value) for value in model.state_dict().values()
    )


def _train_proposal(
    model: WorldModel,
    options,
    settings: StageSettings,
    recording: Recording,
    val: Recording,
    metrics: dict,
) -> None:
    """Give a model, which stays as it is, the head that proposes what to try first."""
    torch.set_num_threads(options.threads or settings.threads)
    cache = options.cache or options.out
    stage = ProposalStage(model, recording, settings, options.seed, cache)
    measures = [proposal_validation(model, val, settings)]
    _run('proposal', stage, settings, measures, options, metrics, World())
    model.freeze()


def _train_decoder(
    model: WorldModel,
    options,
    settings: StageSettings,
    recording: Recording,
    val: Recording,
    metrics: dict,
    path: Path,
) -> None:
    """Train and write the picture decoder of a model, whose own file stays as it is."""
    torch.set_num_threads(options.threads or settings.threads)
    cache = options.cache or options.out
    stage = decoding.DecoderStage(model, recording, settings, options.seed, cache)
    measures = [decoding.validation(model, val)]
    _run('decoder', stage, settings, measures, options, metrics, World())
    save_decoder(model.freeze(), path, {TRAINING: json.dumps(metrics['run'])})
    decoding.draw(model, val, options.out / 'decoder.png')
    plot_losses(metrics['history'], options.out / 'decoder_losses.png')


def _run(
    name: str,
    stage,
    settings: StageSettings,
    measures: list[Callable[[], dict[str, float]]],
    options,
    metrics: dict,
    world: World,
    best: Score | None = None,
) -> None:
    """Optimise one stage, from its checkpoint where there is one, and note how it went. With `best`
    it ends with the weights of the round that this says was best.
    """
    progress: Progress = optimise(
        stage,
        stage.losses,
        settings,
        seed=options.seed,
        checkpoint=options.out / f'{name}.pt',
        title=name,
        validate=lambda: dict(chain.from_iterable(measure().items() for measure in measures)),
        world=world,
        origin=f'{options.start or options.encoder_from or options.encoder or ""}'
        f' data={metrics["run"]["train_sha256"]}',
        score=best,
        patience=options.patience,
        every=options.every,
        force=options.force,
    )
    metrics['history'][name] = progress.history
    metrics['run'][f'{name}_seconds'] = round(progress.seconds)


@exit_status('stopped; the same command resumes')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    options = parse(arguments)
    metrics = train(options)
    if not metrics:
        return 0
    for name, value in metrics.get('probes', {}).items():
        if value is not None:
            print(f'{name:>18} {value:.4g}')
    print(f'wrote {options.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
