# SPDX-License-Identifier: Apache-2.0
"""What the fields of a model description may hold. Descriptions come in the headers of files, so
each number is judged before anything is made of it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.objective import MOST_STEPS
from jepa_wm_ros.tables import check_kinds

LARGEST = 1 << 16  # of a count without a limit of its own
MOST = {
    'depth': 256,
    'img_size': 4096,
    'native_size': 4096,
    'grid': 256,
    'context_window': 1024,
    'proposal_steps': MOST_STEPS,
}
LEAST_ONE = {
    'width',
    'patch_size',
    'heads',
    'native_size',
    'frames',
    'tubelet',
    'grid',
    'hidden',
    'max_frames',
    'action_dim',
    'img_size',
    'context_window',
}


class SpecError(JepaWmError):
    """A model description that cannot be built."""


def check_fields(spec: Any) -> None:
    """Raise SpecError for a field of a dataclass that is not what its annotation and the limits
    above say.
    """
    check_kinds(spec, SpecError)
    for field in dataclasses.fields(spec):
        value, kind = getattr(spec, field.name), str(field.type)
        if kind == 'int':
            least, most = int(field.name in LEAST_ONE), MOST.get(field.name, LARGEST)
            if not least <= value <= most:
                raise SpecError(f'{field.name} is {value}: it must be {least} to {most}')
        elif kind == 'tuple[int, ...]' and not all(0 <= count <= LARGEST for count in value):
            raise SpecError(f'{field.name} is {value!r:.80}: each must be 0 to {LARGEST}')
