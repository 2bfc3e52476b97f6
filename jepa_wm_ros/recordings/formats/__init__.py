# SPDX-License-Identifier: Apache-2.0
"""Episodes on disk, one file per format."""
