# SPDX-License-Identifier: Apache-2.0
"""What is compared in each kind of golden folder: encoders, decoder, pictures, actions, models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros import actions
from jepa_wm_ros.evaluation.goldens.model import model_rows
from jepa_wm_ros.evaluation.goldens.row import GoldenError, Row, compared, relative_error
from jepa_wm_ros.evaluation.metrics import action_errors, action_score
from jepa_wm_ros.world_model import images
from jepa_wm_ros.world_model.encoders import build_encoder
from jepa_wm_ros.world_model.files.official import load_encoder
from jepa_wm_ros.world_model.files.official_config import encoder_from_kwargs
from jepa_wm_ros.world_model.files.safe_files import read_json
from jepa_wm_ros.world_model.files.statistics import STATISTICS
from jepa_wm_ros.world_model.heads import image_head_spec, load_image_head
from jepa_wm_ros.world_model.spec import HALF, IMAGENET_MEAN, IMAGENET_STD

PRECISIONS = (torch.float32, torch.float64)
Checker = Callable[[Path], Iterator[Row]]


def checker(folder: Path) -> Checker | None:
    """What to do with a folder, judged by what is in it; None when it is not golden data."""
    if (folder / 'checkpoint.pth.tar').is_file():
        return model_rows
    for found, rows in (
        ('*_vit.npz', encoder_rows),
        ('image_head.npz', head_rows),
        ('preprocess.npz', image_rows),
        ('droid_actions.npz', action_rows),
    ):
        if any(folder.glob(found)):
            return rows
    return None


@torch.no_grad()
def encoder_rows(folder: Path) -> Iterator[Row]:
    """Tokens y_* of pictures x_*, and DINOv2's resized position table pos_*."""
    config = read_json(folder / 'config.json')
    for path in sorted(folder.glob('*_vit.npz')):
        golden = np.load(path)
        kind = path.stem.removesuffix('_vit')
        spec = encoder_from_kwargs({'kind': kind, **config[path.stem]})
        encoder = build_encoder(spec, spec.native_size).eval()
        load_encoder(encoder, path.with_suffix('.pth'))
        for name in golden:
            if name.startswith('x_'):
                continue
            image = golden[name.replace('pos_', 'x_').replace('y_', 'x_')]
            compute = getattr(encoder, 'position_table' if name.startswith('pos_') else 'forward')
            results = []
            for dtype in PRECISIONS:
                encoder.to(dtype)
                results.append(compute(torch.from_numpy(image).to(dtype)))
            yield _row(folder, f'{path.stem}/{name}', golden[name], results)


@torch.no_grad()
def head_rows(folder: Path) -> Iterator[Row]:
    """Patches and pictures of the image decoder."""
    golden = np.load(folder / 'image_head.npz')
    head = load_image_head(
        folder / 'head_image_head.pth.tar', image_head_spec(read_json(folder / 'config.json'))
    )
    results = []
    for dtype in PRECISIONS:
        results.append(head.to(dtype).patches(torch.from_numpy(golden['z']).to(dtype)))
    yield _row(folder, 'patches', golden['patches'], results)
    pictures = head.to(torch.float32)(torch.from_numpy(golden['z'])).numpy()
    yield _picture_row(folder, 'image_uint8', pictures, golden['image_uint8'])


def _picture_row(folder: Path, name: str, picture: np.ndarray, want: np.ndarray) -> Row:
    """Equal, or a few values cut off on the other side of a whole number (one grey level)."""
    gap = np.abs(picture.astype(int) - want.astype(int))
    rare = gap.max() <= 1 and np.mean(gap > 0) <= 1e-3
    return Row(
        folder.name,
        name,
        0.0 if rare else float(gap.max()),
        None,
        note=f'{int((gap > 0).sum())} of {gap.size} values one grey level off',
    )


def image_rows(folder: Path) -> Iterator[Row]:
    """Crop, resize and normalise; the way back; actions and proprioception normalised."""
    golden = np.load(folder / 'preprocess.npz')
    statistics = {'imagenet': (IMAGENET_MEAN, IMAGENET_STD), 'half': (HALF, HALF)}
    for name in golden:
        if name.startswith('out_'):
            _, shape, kind = name.split('_')
            frames = torch.from_numpy(golden[f'raw_{shape}']).permute(0, 2, 3, 1)
            size = golden[name].shape[-1]
            yield _row(
                folder,
                name,
                golden[name],
                [
                    images.normalize(
                        images.crop_and_resize(frames, size, antialias=False, dtype=dtype),
                        *statistics[kind],
                    )
                    for dtype in PRECISIONS
                ],
            )
    for name in (n for n in golden if n.startswith('inverse_') and not n.endswith('uint8')):
        source = golden[f'out_{name.removeprefix("inverse_")}_imagenet']
        inverse = [
            images.denormalize(torch.from_numpy(source).to(dtype), *statistics['imagenet'])
            for dtype in PRECISIONS
        ]
        yield _row(folder, name, golden[name], inverse)
        yield _picture_row(
            folder, f'{name}_uint8', images.to_uint8(inverse[0]).numpy(), golden[f'{name}_uint8']
        )
    yield from _statistics_rows(folder)


def _statistics_rows(folder: Path) -> Iterator[Row]:
    golden = np.load(folder / 'normalise.npz')
    for name in golden:
        env, what, *inverse = name.split('_')
        if not inverse:
            continue
        s = STATISTICS[env]
        mean, std = (
            (s.action_mean, s.action_std) if what == 'a' else (s.proprio_mean, s.proprio_std)
        )
        results = []
        for dtype in PRECISIONS:
            value = torch.from_numpy(golden[f'{env}_{what}']).to(dtype)
            m, d = torch.tensor(mean, dtype=dtype), torch.tensor(std, dtype=dtype)
            results.append((value - m) / d if inverse == ['norm'] else value * d + m)
        yield _row(folder, name, golden[name], results)


def action_rows(folder: Path) -> Iterator[Row]:
    """Actions between poses, poses after actions, and the paper's end distances and score."""
    golden = np.load(folder / 'droid_actions.npz')
    poses = golden['poses']
    yield _row(
        folder,
        'diffs',
        golden['diffs'],
        [actions.actions_between(torch.from_numpy(poses).to(d)) for d in PRECISIONS],
    )
    yield _row(
        folder,
        'new_pose',
        golden['new_pose'],
        [
            actions.integrate(
                torch.from_numpy(golden['pose_in']).to(d),
                torch.from_numpy(golden['action_in']).to(d),
            )
            for d in PRECISIONS
        ],
    )
    errors = [action_errors(p, e) for p, e in zip(golden['planned'], golden['expert'], strict=True)]
    for part in ('xyz', 'orientation', 'closure'):
        value = np.array([getattr(error, part) for error in errors])
        want = golden[f'end_distance_{part}']
        yield Row(folder.name, f'end_distance_{part}', relative_error(value, want), None)
    score = action_score(np.array([error.xyz for error in errors]))
    yield Row(
        folder.name,
        'action_score_of_mean',
        relative_error(score, golden['action_score_of_mean']),
        None,
    )
    curve = np.array([action_score(np.array([x])) for x in golden['action_score_curve_x']])
    yield Row(
        folder.name,
        'action_score_curve_y',
        relative_error(curve, golden['action_score_curve_y']),
        None,
    )


def _row(folder: Path, name: str, want: np.ndarray, results: list[Tensor]) -> Row:
    if not results:
        raise GoldenError(f'{folder}: nothing computed for {name}')
    values = (result.numpy() for result in results)
    return compared(folder.name, name, values, want, exact=want.dtype == np.float64)
