# SPDX-License-Identifier: Apache-2.0
"""Photograph where the arm stands, drive it 12 cm away, and have it come back by the picture.

python examples/capture_and_reach.py [NAMESPACE]       # beside a running plan.launch.py
"""

import sys

import numpy as np

from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.ros.commander import JepaCommander


def main(namespace: str = '') -> str:
    with JepaCommander(namespace) as arm:
        picture, there = arm.picture(), arm.pose()
        arm.move_to(there + np.array([0.0, 0.12, 0.0, 0.0, 0.0, 0.0, 0.0]))
        result = arm.reach([picture], on_feedback=tell, max_steps=12)
        away = np.linalg.norm(arm.pose()[:3] - there[:3])
    name = FaultCode(result.error_code).name
    return f'{name} after {result.steps} steps, {100 * away:.1f} cm from there {result.error_msg}'


def tell(feedback) -> None:
    if feedback.phase == feedback.MOVING:
        print(f'step {feedback.step}: latent distance {feedback.cost:.4f}')


if __name__ == '__main__':
    try:
        print(main(*sys.argv[1:]))
    except JepaWmError as error:
        sys.exit(f'error: {error}')
