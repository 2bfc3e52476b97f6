# SPDX-License-Identifier: Apache-2.0
"""The root of every error this project raises on purpose."""


class JepaWmError(Exception):
    """Bad input or a condition the user can mend.

    The message is one line that says what is wrong, where, and how to mend it. Entry points
    print it without a traceback and exit with status 1.
    """


class Interrupted(JepaWmError):
    """Work was given up on the way because whoever wanted it has cancelled."""
