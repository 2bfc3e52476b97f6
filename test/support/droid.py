# SPDX-License-Identifier: Apache-2.0
"""Episodes in the layout of DROID's raw files."""

import json

import h5py
import numpy as np

from jepa_wm_ros.recordings.formats.droid import TRAJECTORY
from jepa_wm_ros.recordings.video import VideoWriter


def write_droid(folder, rate=15, pictures=40, states=40):
    """An episode whose picture k is grey 4 k + 20 and whose hand is at x = 0.3 + k mm."""
    folder.mkdir(parents=True)
    with VideoWriter(folder / 'recordings/MP4/22008760.mp4', 48, 64, rate) as video:
        for number in range(pictures):
            video.write(np.full((1, 48, 64, 3), 4 * number + 20, np.uint8))
    hand = np.tile([0.3, 0.1, 0.2, 3.0, 0.0, 0.1], (states, 1))
    hand[:, 0] += np.arange(states) / 1000
    with h5py.File(folder / TRAJECTORY, 'w') as file:
        state = file.create_group('observation/robot_state')
        state['cartesian_position'], state['gripper_position'] = hand, np.linspace(0, 1, states)
    (folder / 'metadata_x.json').write_text(
        json.dumps({'left_mp4_path': 'lab/success/x/recordings/MP4/22008760.mp4'})
    )
    return folder
