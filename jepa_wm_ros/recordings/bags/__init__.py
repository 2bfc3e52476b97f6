# SPDX-License-Identifier: Apache-2.0
"""Recordings: bags read and mended, topics, one timeline, clips of equal steps."""
