# SPDX-License-Identifier: Apache-2.0
"""Command `model`: which models there are, what they are made of, whether they run here.

    ros2 run jepa_wm_ros model list
    ros2 run jepa_wm_ros model info jepa_wm_droid
    ros2 run jepa_wm_ros model check jepa_wm_droid --random
    ros2 run jepa_wm_ros model convert jepa_wm_droid jepa_wm_droid.safetensors
    ros2 run jepa_wm_ros model export my_model.safetensors my_model.pth.tar

Nothing is downloaded: `list` says what to fetch by hand.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.overwriting import add_force, refuse_what_is_there

MIB = 1 << 20
Result = TypeVar('Result')


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        options.run(options)
    except JepaWmError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description='world models by name or file')
    parser.add_argument('--weights', type=Path, help='folder of the weight files')
    commands = parser.add_subparsers(required=True, metavar='{list,info,check,convert,export}')

    def command(name: str, run: Callable, help_text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_text, description=help_text)
        sub.set_defaults(run=run)
        return sub

    command('list', _list, 'every name, its licence, its files and where to get them')
    info = command('info', _info, 'architecture, parameter counts, actions, pictures')
    info.add_argument('model', help='name or .safetensors file')
    check = command('check', _check, 'load, imagine once, report time and memory')
    check.add_argument('model', help='name, .safetensors file or folder of the published layout')
    check.add_argument(
        '--random',
        action='store_true',
        help='random weights in place of files that are not there yet',
    )
    check.add_argument('--device', default='cpu')
    check.add_argument('--candidates', type=_count, default=4, help='action sequences at once')
    check.add_argument('--horizon', type=_count, default=3, help='steps imagined')
    convert = command('convert', _convert, 'write one .safetensors file with everything in it')
    convert.add_argument('source', help='name, file or folder')
    convert.add_argument('out', type=Path, help='file ending in .safetensors')
    add_force(convert)
    export = command('export', _export, 'write the predictor as the released code reads it')
    export.add_argument('source', help='name, file or folder')
    export.add_argument('out', type=Path, help='file, .pth.tar by custom')
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return value


def _list(options: argparse.Namespace) -> None:
    from jepa_wm_ros.world_model.files.registry import (
        DECODERS,
        ENTRIES,
        WeightFile,
        weights_directory,
    )

    folder = options.weights or weights_directory()
    print(f'weights folder: {folder}\n')
    print(f'{"name":20} {"actions":>7} {"present":7} licence       files')
    wanted: dict[str, WeightFile] = {}
    for entry in ENTRIES.values():
        files = [*entry.files, *([DECODERS[entry.decoder]] if entry.decoder else [])]
        present = all((folder / file.file).is_file() for file in entry.files)
        wanted |= {file.file: file for file in files}
        print(
            f'{entry.name:20} {entry.spec.action_dim:7} {"yes" if present else "no":7} '
            f'{entry.spec.licence:13} {", ".join(file.file for file in files)}'
        )
    missing = [file for file in wanted.values() if not (folder / file.file).is_file()]
    if missing:
        print(
            '\nnot here; fetch by hand what you need (the last file of each line above is a '
            'picture decoder and optional):'
        )
        for file in missing:
            print(f'  {file.file}\n      {file.url}   [{file.licence}]')


def _info(options: argparse.Namespace) -> None:
    print('\n'.join(_description(options.model)))


def _description(name: str) -> Iterator[str]:
    from jepa_wm_ros.world_model.files.checkpoints import spec_of
    from jepa_wm_ros.world_model.model import build

    spec = spec_of(name)
    model = build(spec, device='meta')
    e, p = spec.encoder, spec.predictor
    yield f'{spec.name} ({spec.family}; weights: {spec.licence or "own"})'
    yield (
        f'  encoder     {e.kind}, width {e.width}, depth {e.depth or len(e.channels)}, '
        f'{_millions(model.encoder)}'
    )
    yield (
        f'  predictor   width {p.token_width}, depth {p.depth}, heads {p.heads} x '
        f'{p.attention_head_dim}, MLP {p.mlp_width}, {_millions(model.predictor)}'
    )
    yield f'  actions in  {p.conditioning}, positions {p.position}, proprioception {p.proprio}'
    yield (
        f'  tokens      {spec.grid} x {spec.grid} + {p.condition_tokens} per frame, context '
        f'window {spec.context_window}'
    )
    yield (
        f'  action      {spec.action_dim} numbers per step = {len(spec.action_mean)} x '
        f'{spec.frameskip}, mean {_numbers(spec.action_mean)}, std {_numbers(spec.action_std)}'
    )
    if spec.proprio_dim:
        yield (
            f'  proprio     {spec.proprio_dim} numbers, mean {_numbers(spec.proprio_mean)}, '
            f'std {_numbers(spec.proprio_std)}'
        )
    seconds = f'{spec.fps:g} steps/s ({spec.step_seconds:g} s each)' if spec.fps else 'simulator'
    yield f'  time        {seconds}'
    yield (
        f'  picture     central square of the camera image, resized to {spec.img_size} x '
        f'{spec.img_size} px, antialias {"on" if spec.antialias else "off"}, mean '
        f'{_numbers(spec.image_mean)}, std {_numbers(spec.image_std)}'
    )
    if spec.reached_distance is not None:
        yield f'  reached     latent distance {spec.reached_distance:.4g}'


def _check(options: argparse.Namespace) -> None:
    import torch

    from jepa_wm_ros.world_model.files.checkpoints import load_world_model, spec_of
    from jepa_wm_ros.world_model.model import build
    from jepa_wm_ros.world_model.scoring.scorer import LatentCost

    begun = time.perf_counter()
    if options.random:
        model = build(spec_of(options.model), seed=0).to(options.device).freeze()
    else:
        model = load_world_model(options.model, weights_dir=options.weights, device=options.device)
    spec = model.spec
    print(
        f'{spec.name}: {"random weights" if options.random else "loaded"} in '
        f'{time.perf_counter() - begun:.1f} s, {_millions(model)}'
    )
    frame = torch.randint(0, 256, (1, 480, 640, 3), dtype=torch.uint8)
    proprio = torch.tensor([spec.proprio_mean]) if spec.uses_proprio else None
    encoding, latents = _timed(lambda: model.encode(model.prepare_images(frame), proprio), model)
    cost = LatentCost(model, latents, latents)
    actions = model.denormalize_actions(
        0.1 * torch.randn(options.candidates, options.horizon, spec.action_dim)
    )
    scoring, costs = _timed(lambda: cost(actions), model)
    if not bool(costs.isfinite().all()):
        raise JepaWmError(
            f'{spec.name} imagines numbers that are not finite; its weights are '
            'damaged or the device is not to be trusted'
        )
    steps = options.candidates * options.horizon
    print(f'encode one picture       {1e3 * encoding:9.1f} ms')
    print(
        f'imagine {options.candidates} x {options.horizon} steps     {1e3 * scoring:9.1f} ms '
        f'({1e3 * scoring / steps:.2f} ms per candidate and step)'
    )
    print(f'peak memory              {_peak_memory(model) / MIB:9.0f} MiB')


def _timed(work: Callable[[], Result], model) -> tuple[float, Result]:
    """Seconds of the second of two calls, and its result."""
    import torch

    for _ in range(2):
        begun = time.perf_counter()
        with torch.inference_mode():
            result = work()
        if model.device.type == 'cuda':
            torch.cuda.synchronize(model.device)
    return time.perf_counter() - begun, result


def _peak_memory(model) -> float:
    """Most memory this process has held [bytes]: of the GPU, or resident."""
    import torch

    if model.device.type == 'cuda':
        return torch.cuda.max_memory_allocated(model.device)
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _convert(options: argparse.Namespace) -> None:
    from jepa_wm_ros.world_model.files.checkpoints import load_world_model, save_world_model

    refuse_what_is_there(options.out, options.force)
    model = load_world_model(options.source, weights_dir=options.weights)
    digest = save_world_model(model, options.out, {'converted_from': options.source})
    print(f'{options.out}: {options.out.stat().st_size / MIB:.0f} MiB, SHA-256 {digest}')


def _export(options: argparse.Namespace) -> None:
    from jepa_wm_ros.world_model.files.checkpoints import load_world_model
    from jepa_wm_ros.world_model.files.official import save_official

    model = load_world_model(options.source, weights_dir=options.weights)
    save_official(model, options.out)
    print(f'{options.out}: the encoder ({model.spec.encoder.kind}) stays the file it came from')


def _millions(module) -> str:
    return f'{sum(p.numel() for p in module.parameters()):,} parameters'


def _numbers(values: tuple[float, ...]) -> str:
    """One number when all are equal."""
    distinct = set(values)
    if len(distinct) == 1 and math.isfinite(values[0]):
        return f'{values[0]:.4g}'
    return '(' + ', '.join(f'{value:.4g}' for value in values) + ')'


if __name__ == '__main__':
    sys.exit(main())
