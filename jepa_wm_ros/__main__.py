# SPDX-License-Identifier: Apache-2.0
"""`python -m jepa_wm_ros COMMAND ...` is `jepa-wm COMMAND ...`."""

import sys

from jepa_wm_ros.cli import main

sys.exit(main())
