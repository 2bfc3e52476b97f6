# SPDX-License-Identifier: Apache-2.0
"""Damaged inputs for everything that reads what others wrote; see __main__.py."""
