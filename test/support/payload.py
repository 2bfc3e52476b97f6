# SPDX-License-Identifier: Apache-2.0
"""What a malicious checkpoint holds."""

from pathlib import Path


class Payload:
    """Pickles to a call that leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))
