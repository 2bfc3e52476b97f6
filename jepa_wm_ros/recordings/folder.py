# SPDX-License-Identifier: Apache-2.0
"""The folder of a recording: what all its episodes have in common, so that it can go on."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from jepa_wm_ros.recordings.episode import EpisodeError

SETTINGS = 'recording.json'


def claim(out: Path, wanted: dict) -> None:
    """Make folder `out` this recording's own, or see that it already is. Raises EpisodeError."""
    path = out / SETTINGS
    if path.is_file():
        if json.loads(path.read_text()) != wanted:
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
