# SPDX-License-Identifier: Apache-2.0
"""What every node is made of: life cycle, worker, diagnostics, messages to arrays and back."""
