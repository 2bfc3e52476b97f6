# SPDX-License-Identifier: Apache-2.0
"""One file per node: what it declares, hears, says and serves."""
