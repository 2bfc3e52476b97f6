# SPDX-License-Identifier: Apache-2.0
"""What a model and a planner would have done on recorded data, and how well they do in the cell."""
