# SPDX-License-Identifier: Apache-2.0
"""Sphinx's settings: `make docs` here, rosdoc2 on docs.ros.org."""

project = 'jepa_wm_ros'
author = copyright = 'jepa_wm_ros maintainers'
extensions = ['myst_parser']
myst_heading_anchors = 3
html_theme = 'furo'
html_title = project
