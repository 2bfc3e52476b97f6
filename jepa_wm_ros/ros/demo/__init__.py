# SPDX-License-Identifier: Apache-2.0
"""The demo: the simulated arm reaches goal pictures through every real part."""
