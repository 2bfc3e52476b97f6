# SPDX-License-Identifier: Apache-2.0
"""Worlds to act in, each with a goal to reach and a judge who knows the truth."""
