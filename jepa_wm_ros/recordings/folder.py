# SPDX-License-Identifier: Apache-2.0
"""The folder of a recording: what all its episodes have in common, so that it can go on."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from jepa_wm_ros.recordings.episode import EpisodeError, digest
from jepa_wm_ros.recordings.formats import EpisodeSource

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


def seal(out: Path, episodes: EpisodeSource) -> str:
    """Keep in a claimed folder how many episodes it has and their digest, which is returned.

    Reads every picture. A count that is not the folder's tells that more were recorded since.
    Raises EpisodeError.
    """
    path, sha256 = out / SETTINGS, digest((e.frames[:], e.proprio, e.actions) for e in episodes)
    told = json.loads(path.read_text())
    told[COLLECTED] = {'episodes': len(episodes), 'sha256': sha256}
    part = path.with_suffix('.part')
    try:
        part.write_text(json.dumps(told) + '\n')
        part.replace(path)
    except OSError as error:
        raise EpisodeError(
            f'cannot write {path} ({error.strerror}): make room and give the same command again'
        ) from error
    return sha256
