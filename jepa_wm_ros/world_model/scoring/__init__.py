# SPDX-License-Identifier: Apache-2.0
"""Candidates to costs: the score seam and its ways of computing."""
