# SPDX-License-Identifier: Apache-2.0
"""Where the files that come with the package are: config/, weights/ and launch/.

They lie in `share/jepa_wm_ros` of an installed workspace (colcon) or environment (pip), and at the
root of the repository in a checkout or an editable install. Importing this needs no ROS.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from jepa_wm_ros.errors import JepaWmError

PACKAGE = 'jepa_wm_ros'


class ResourceError(JepaWmError):
    """A file of the package is in none of the places where it could be."""


def find(*parts: str) -> Path:
    """The file or folder `parts` of the package, e.g. find('config', 'params.yaml').

    The first that exists of: the ament index, the share folder of this Python, the checkout.
    Raises ResourceError naming every place that was looked at.
    """
    places = [folder.joinpath(*parts) for folder in share_folders()]
    for place in places:
        if place.exists():
            return place
    raise ResourceError(
        f'{"/".join(parts)} of {PACKAGE} is missing (looked for {", ".join(map(str, places))}): '
        'build the workspace again and source it, or call this from a complete checkout'
    )


def share_folders() -> Iterator[Path]:
    """Folders that may hold the package's files, the most specific installation first."""
    seen = set()
    installed = [*_ament_prefixes(), Path(sys.prefix)]
    for folder in [
        *(prefix / 'share' / PACKAGE for prefix in installed),
        Path(__file__).resolve().parent.parent,
    ]:
        if folder not in seen:
            seen.add(folder)
            yield folder


def _ament_prefixes() -> list[Path]:
    """Prefixes of the ament index that hold this package; the index itself needs no ROS to read."""
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    marker = Path('share', 'ament_index', 'resource_index', 'packages', PACKAGE)
    return [prefix for prefix in prefixes if (prefix / marker).is_file()]
