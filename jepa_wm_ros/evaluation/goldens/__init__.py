# SPDX-License-Identifier: Apache-2.0
"""Comparison with golden arrays of the published code."""
