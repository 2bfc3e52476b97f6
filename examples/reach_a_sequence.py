# SPDX-License-Identifier: Apache-2.0
"""Photograph two places on the way, go back to the start, and reach the pictures in order.

python examples/reach_a_sequence.py [NAMESPACE]        # beside a running plan.launch.py
"""

import sys

import numpy as np

from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.ros.commander import JepaCommander

WAY = np.array([[0.0, 0.10, 0.0], [0.0, 0.10, -0.08]])  # m, from the start


def main(namespace: str = '') -> str:
    pictures, reached = [], set()
    with JepaCommander(namespace) as arm:
        start = arm.pose()
        for offset in WAY:
            arm.move_to(start + np.append(offset, np.zeros(4)))
            pictures.append(arm.picture())
        arm.move_to(start)
        result = arm.reach(pictures, lambda said: reached.add(said.goal_index), max_steps=20)
        away = np.linalg.norm(arm.pose()[:3] - start[:3] - WAY[-1])
    name = FaultCode(result.error_code).name
    return f'{name}: {len(reached)} pictures, {result.steps} steps, {100 * away:.1f} cm from there'


if __name__ == '__main__':
    try:
        print(main(*sys.argv[1:]))
    except JepaWmError as error:
        sys.exit(f'error: {error}')
