# SPDX-License-Identifier: Apache-2.0
"""Learning: episodes on disk, batches, losses, the training loop and probes of what was learnt."""
