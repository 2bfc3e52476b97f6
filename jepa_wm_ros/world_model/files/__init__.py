# SPDX-License-Identifier: Apache-2.0
"""Model files: names, published layouts, safe reading, statistics."""
