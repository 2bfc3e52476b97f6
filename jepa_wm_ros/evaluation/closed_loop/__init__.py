# SPDX-License-Identifier: Apache-2.0
"""Planners and models acting on tasks until they reach their goal or give up."""
