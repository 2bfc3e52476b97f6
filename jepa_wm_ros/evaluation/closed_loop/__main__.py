# SPDX-License-Identifier: Apache-2.0
"""`python -m jepa_wm_ros.evaluation.closed_loop`."""

import sys

from jepa_wm_ros.evaluation.closed_loop.command import main

sys.exit(main())
