# SPDX-License-Identifier: Apache-2.0
"""Command `diagnose`: is it the model, the planner, or how old pictures are?

    ros2 run jepa_wm_ros diagnose                 # moves the arm in small steps, after asking
    ros2 run jepa_wm_ros diagnose --bag my_bag    # nothing moves; needs no ROS

Exit status: 0 when all answers are good, 3 when one is not, 1 when nothing could be asked.
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
    parser.add_argument(
        '--planner',
        default='cell',
        metavar='PROFILE',
        help='planning profile whose horizon and time are looked at (default %(default)s)',
    )
    options = parser.parse_args(arguments)
    from jepa_wm_ros.evaluation.fit.diagnosis import (
        Grade,
        ask_the_camera,
        ask_the_model,
        ask_the_planner,
    )
    from jepa_wm_ros.evaluation.fit.report import diagnosis_report
    from jepa_wm_ros.planning import load_profile

    model, profile = load_model(options), load_profile(options.planner)
    horizon = profile.settings.horizon
    steps = record_steps(options, model.spec.fps, horizon)
    answers = [
        *ask_the_model(model, steps.episodes, horizon),
        ask_the_planner(model, steps.episodes, profile),
        ask_the_camera(steps.ages),
    ]
    print(diagnosis_report(answers))
    return 0 if all(answer.grade is Grade.GOOD for answer in answers) else WRONG


if __name__ == '__main__':
    sys.exit(main())
