# SPDX-License-Identifier: Apache-2.0
"""Command `check_camera`: does the model understand what this camera shows, and if not, why?

    ros2 run jepa_wm_ros check_camera                 # moves the arm in small steps, after asking
    ros2 run jepa_wm_ros check_camera --bag my_bag    # nothing moves; needs no ROS

Exit status: 0 when nothing is wrong, 3 when something is, 1 when it could not be judged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.ros.fit_options import add_fit_options, load_model, record_steps

WRONG = 3


@exit_status('interrupted')
def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_fit_options(parser)
    options = parser.parse_args(arguments)
    from tqdm import tqdm

    from jepa_wm_ros.evaluation.fit.camera import judge_camera
    from jepa_wm_ros.evaluation.fit.report import camera_report
    from jepa_wm_ros.evaluation.fit.views import Cause

    model = load_model(options)
    steps = record_steps(options, model.spec.fps, horizon=1)
    with tqdm(desc='guesses', leave=False, disable=None) as bar:
        verdict = judge_camera(model, steps.episodes, lambda _: bar.update())
    print(camera_report(verdict))
    return 0 if verdict.cause is Cause.NOTHING else WRONG


if __name__ == '__main__':
    sys.exit(main())
