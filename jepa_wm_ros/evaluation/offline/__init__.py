# SPDX-License-Identifier: Apache-2.0
"""Models in front of recorded bags: scores, reports, pictures."""
