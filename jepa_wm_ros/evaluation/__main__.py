# SPDX-License-Identifier: Apache-2.0
"""python -m jepa_wm_ros.evaluation: the command evaluate_bag."""

import sys

from jepa_wm_ros.evaluation.offline.command import main

sys.exit(main())
