# SPDX-License-Identifier: Apache-2.0
"""What was seen and done, on disk and live: episodes, timelines, clips, states at a stamp."""
