# SPDX-License-Identifier: Apache-2.0
"""The folder of a recording: what all its episodes have in common, so that it can go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from jepa_wm_ros.recordings.episode import Episode, EpisodeError

SETTINGS = 'recording.json'
COLLECTED = 'collected'  # in it: what was there when a recording last ended


def claim(out: Path, wanted: dict) -> None:
    """Make folder `out` this recording's own, or see that it already is. Raises EpisodeError."""
    path = out / SETTINGS
    if path.is_file():
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            found.pop(COLLECTED, None)
        if found != wanted:
            raise EpisodeError(
                f'{out} holds another recording ({path.read_text().strip()}, not '
                f'{json.dumps(wanted)}): choose another --out, or resume it with its own settings'
            )
    elif out.exists() and any(out.iterdir()):
        raise EpisodeError(f'{out} is not empty and not a recording: choose another --out')
    else:
        try:
            out.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(wanted) + '\n')
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise EpisodeError(
                f'cannot write {path} ({error.strerror}): make room, or choose another --out'
            ) from error


def seal(out: Path, episodes: Iterable[Episode]) -> str:
    """Keep in a claimed folder how many episodes it has and the SHA-256 of all pictures, measured
    numbers and actions, which is returned.

    Reads every picture. A count that is not the folder's tells that more were recorded since.
    Raises EpisodeError.
    """
    digest, count = hashlib.sha256(), 0
    for episode in episodes:
        count += 1
        for numbers in (episode.frames[:], episode.proprio, episode.actions):
            array = np.ascontiguousarray(numbers)
            digest.update(f'{array.dtype.str} {array.shape}'.encode())
            digest.update(array.data)
    path, sha256 = out / SETTINGS, digest.hexdigest()
    told = json.loads(path.read_text()) | {COLLECTED: {'episodes': count, 'sha256': sha256}}
    part = path.with_suffix('.part')
    try:
        part.write_text(json.dumps(told) + '\n')
        part.replace(path)
    except OSError as error:
        raise EpisodeError(
            f'cannot write {path} ({error.strerror}): make room and give the same command again'
        ) from error
    return sha256
