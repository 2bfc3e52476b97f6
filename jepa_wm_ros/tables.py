# SPDX-License-Identifier: Apache-2.0
"""YAML files that people write, read into the table they hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from jepa_wm_ros.errors import JepaWmError

LARGEST_TEXT = 1 << 20  # bytes


def read_table(path: Path, keys: Iterable[str], refused: type[JepaWmError]) -> dict[str, Any]:
    """The table in a YAML file that has some of `keys`; empty for an empty file.

    Raises `refused` in one line that names the file; also for anchors and aliases, of which a few
    lines can make billions of values.
    """
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise refused(f'{path}: larger than {LARGEST_TEXT} bytes, which no table of ours is')
        text = path.read_text(encoding='utf-8')
        aliases = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))
        content = {} if aliases else yaml.safe_load(text)
    except OSError as error:
        raise refused(f'cannot read {path}: {error.strerror}') from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = ' '.join(str(error).split())
        raise refused(f'{path}: cannot be read as YAML ({reason:.300})') from error
    if aliases:
        raise refused(f'{path}: aliases (*name) are not taken: write the values out')
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise refused(f'{path}: not a table of some of {", ".join(keys)}')
    return content
