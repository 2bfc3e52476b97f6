# SPDX-License-Identifier: Apache-2.0
"""Command `takes`: keys for the recorder, while a hand or a joystick moves the arm.

jepa-wm recorder --ros-args -p out:=my_bags     # in another terminal
jepa-wm takes
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import termios
import tty
from collections.abc import Iterator, Sequence

from jepa_wm_ros.errors import JepaWmError, exit_status

KEYS = {'s': 'start', 'k': 'keep', 'r': 'redo', 'd': 'discard', ' ': 'stop'}
HELP = 's start   space stop and keep   k keep and start the next   r redo   d discard   q leave'


@contextlib.contextmanager
def keys() -> Iterator[Iterator[str]]:
    """The keys that are pressed in this terminal. Raises JepaWmError where there is none."""
    if not sys.stdin.isatty():
        raise JepaWmError('no terminal: call the services ~/start, ~/keep and so on of recorder')
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield iter(lambda: sys.stdin.read(1), '')
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def answers(pressed: Iterator[str], ask) -> Iterator[str]:
    """What the recorder says to each key, until q. `ask(word)` asks it for one of its services."""
    for key in pressed:
        if key == 'q':
            return
        if key not in KEYS:
            yield HELP
            continue
        try:
            yield ask(KEYS[key])
        except JepaWmError as error:
            yield str(error)


@exit_status('left; a take that was being recorded goes on')
def main(words: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].split(': ', 1)[1])
    parser.add_argument('--namespace', default='', help='namespace of the recorder')
    options = parser.parse_args(words)
    from std_srvs.srv import Trigger

    from jepa_wm_ros.ros.commander import JepaCommander

    with keys() as pressed, JepaCommander(options.namespace) as commander:

        def ask(word: str) -> str:
            return commander.call(Trigger, f'recorder/{word}', Trigger.Request()).message

        print(HELP)
        for said in answers(pressed, ask):
            print(said, flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
