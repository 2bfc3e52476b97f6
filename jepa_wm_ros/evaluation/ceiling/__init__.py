# SPDX-License-Identifier: Apache-2.0
"""Planning with the true dynamics: what no predictor can repair."""
