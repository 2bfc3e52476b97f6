# SPDX-License-Identifier: Apache-2.0
"""Command `camera_reference`: take the picture that the parameter `camera_reference` names.

    ros2 run jepa_wm_ros camera_reference cell.png

Take it with the arm at home and the table empty, whenever the camera has been put where it is to
stay.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

from jepa_wm_ros.arguments import TRANSPORTS
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.goals.acceptable import check_content
from jepa_wm_ros.goals.view import ReferenceView
from jepa_wm_ros.ros.commander import JepaCommander


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('file', type=Path, help='picture file to write, .png')
    parser.add_argument('--namespace', default='', help='namespace of the camera')
    parser.add_argument('--image', default='image', help='topic of the camera')
    parser.add_argument('--transport', default='', choices=('', *TRANSPORTS))
    options = parser.parse_args(arguments)
    try:
        if options.file.suffix != '.png':
            raise JepaWmError(f'{options.file} must end in .png: jpeg would blur the edges')
        where = {'image': options.image, 'transport': options.transport}
        with JepaCommander(options.namespace, **where) as commander:
            picture = commander.picture()
        check_content(picture, 'the picture')
        ReferenceView(picture)
        Image.fromarray(picture).save(options.file)
    except (JepaWmError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'wrote {options.file}; give it to world_model as camera_reference')
    return 0


if __name__ == '__main__':
    sys.exit(main())
