# SPDX-License-Identifier: Apache-2.0
"""Episodes on disk. Each module of this folder is one format: what it calls `FORMAT`.

A new format is a new module: `claims` says by names alone whether a path is of that format, `open`
gives its episodes; where it can be written, `create` gives a writer and `recorded` what is there.
"""

from __future__ import annotations

import pkgutil
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from jepa_wm_ros.recordings.bags.findings import Finding
from jepa_wm_ros.recordings.episode import Episode, EpisodeError


class EpisodeSource(Protocol):
    """Episodes stored in one place, in order; pictures are read when they are sliced."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Episode: ...

    def __iter__(self) -> Iterator[Episode]:
        return (self[number] for number in range(len(self)))

    def where(self, number: int) -> str:
        """Where an episode lies: its file, and its place in that."""
        return f'episode {number}'

    def remarks(self) -> list[Finding]:
        """What is to be said of the set as a whole."""
        return []


class EpisodeSink(AbstractContextManager, Protocol):
    """Where a recorder puts episodes."""

    def write(self, index: int, episode: Episode) -> None:
        """Store `episode` under `index`, which must be unique in the set."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to keep episodes.

    open(path) gives what is there; where the format may hold several `cameras`, open(path, camera)
    what one of them saw. create(path, name of the recording process) opens a writer; recorded(path)
    are the indices of episodes already written, none where there is nothing yet.
    """

    name: str
    looks_like: str
    claims: Callable[[Path], bool]
    open: Callable[..., EpisodeSource]
    create: Callable[[Path, str], EpisodeSink] | None = None
    recorded: Callable[[Path], set[int]] | None = None
    cameras: bool = False


def refuse_what_is_there(out: Path) -> None:
    """Raises EpisodeError where `out`, which is to be made, is there already."""
    if out.exists():
        raise EpisodeError(f'{out} is there already: choose another folder')


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write to, which becomes `out` when all is well and is removed when
    not. Raises EpisodeError where `out` is there already or cannot be written.
    """
    refuse_what_is_there(out)
    part = out.with_name(f'{out.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    try:
        yield part
        part.rename(out)
    except OSError as error:
        raise EpisodeError(f'cannot write {out}: {error}') from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def formats() -> dict[str, Format]:
    """The formats there are, by name."""
    modules = (import_module(f'{__name__}.{m.name}') for m in pkgutil.iter_modules(__path__))
    return {module.FORMAT.name: module.FORMAT for module in modules}


def open_episodes(path: Path | str, camera: str = '') -> EpisodeSource:
    """The episodes at `path`, in whatever format they are, as a camera saw them, which need not be
    named where there is one. Raises EpisodeError when there are none.
    """
    path = Path(path)
    known = formats()
    for format in known.values():
        if format.claims(path):
            if camera and not format.cameras:
                raise EpisodeError(
                    f'{path}: of format {format.name} one camera is read: leave out --camera'
                )
            return format.open(path, camera) if camera else format.open(path)
    looks = '; '.join(f'{format.name}: {format.looks_like}' for format in known.values())
    raise EpisodeError(
        f'no episodes in {path} ({looks}): record some first '
        f'(python -m jepa_wm_ros.sim.record --out {path})'
    )
