# SPDX-License-Identifier: Apache-2.0
"""A stand-in for franky's Robot and Gripper whose calls fail or hang on request.

The real ones cannot be made to: a Ruckig error, a broken network or a call that hangs comes when
it likes. Motions last a given time on the wall's clock; only what `robot/` asks of franky is here.
Its connection is a real one, so that breaking it off is seen: the arm then stands, as a real one's
reflex would have it.
"""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace

import franky
import numpy as np

from jepa_wm_ros.fr3 import FR3

MOTION_SECONDS = 4.0
STOP_SECONDS = 0.15
HANG_SECONDS = 2.0
STOPS = (franky.CartesianStopMotion, franky.JointStopMotion)


def failure(name: str) -> Exception:
    """An exception as franky raises it."""
    if name == 'RuntimeError':
        return RuntimeError('Motion planner failed with error code -111')
    return getattr(franky, name)(f'scripted {name}')


class Script:
    """Which calls fail how, from when on, and what was called."""

    def __init__(self) -> None:
        self.failing: dict[str, str] = {}
        self.failing_once: dict[str, str] = {}
        self.calls: list[tuple[float, str]] = []
        self._news = threading.Condition()

    def poke(self) -> None:
        """Have who waits in `until` look again."""
        with self._news:
            self._news.notify_all()

    def until(self, condition, seconds: float = 5.0) -> bool:
        """Wait for a call, or a `poke`, that makes a condition true; whether one came."""
        with self._news:
            return self._news.wait_for(condition, seconds)

    def called(self, *names: str) -> bool:
        """Whether one of these has been called."""
        return any(name in names for _, name in list(self.calls))

    def call(self, name: str) -> None:
        """Count a call and fail it when it shall."""
        self.calls.append((time.monotonic(), name))
        self.poke()
        how = self.failing_once.pop(name, None) or self.failing.get(name)
        if how == 'hang':
            time.sleep(HANG_SECONDS)
        elif how:
            raise failure(how)


class ScriptedRobot:
    """What `Link` asks of franky.Robot; `standing` is the truth about the arm."""

    F_T_EE = EE_T_K = None

    def __init__(self, address: str, script: Script) -> None:
        self._script = script
        self._news = threading.Condition()
        self._until = 0.0  # when the present motion ends
        self._control = False
        self.begun: list[float] = []  # when each motion that is no stop motion began
        self.cut = threading.Event()
        server = socket.create_server((address, 1337))
        self._client = socket.create_connection((address, 1337))
        self._served, _ = server.accept()
        server.close()
        threading.Thread(target=self._listen, daemon=True).start()
        self.model = SimpleNamespace(pose=self._pose, zero_jacobian=self._jacobian)

    def _listen(self) -> None:
        self._served.recv(1)  # nothing is ever sent: this returns when the connection ends
        self.cut.set()
        with self._news:
            self._until = 0.0
            self._news.notify_all()

    def close(self) -> None:
        """Give the sockets back."""
        self._client.close()
        self._served.close()

    @property
    def standing(self) -> bool:
        with self._news:
            return time.monotonic() >= self._until

    def move(self, motion, asynchronous: bool) -> None:
        self._script.call('move')
        if self.cut.is_set():
            raise failure('NetworkException')
        with self._news:
            stop = isinstance(motion, STOPS)
            if not stop:
                self.begun.append(time.monotonic())
            self._until = time.monotonic() + (STOP_SECONDS if stop else MOTION_SECONDS)
            self._control = True
            self._news.notify_all()

    def began(self, seconds: float = 5.0) -> bool:
        """Wait until a motion has begun."""
        with self._news:
            return self._news.wait_for(lambda: bool(self.begun), seconds)

    def rests(self, seconds: float) -> bool:
        """Wait until the arm stands."""
        end = time.monotonic() + seconds
        with self._news:
            while (left := min(self._until, end) - time.monotonic()) > 0:
                self._news.wait(left)
            return time.monotonic() >= self._until

    def join_motion(self, seconds: float) -> bool:
        self._script.call('join_motion')
        if self.rests(seconds):
            self._control = False
        return self.standing

    @property
    def is_in_control(self) -> bool:
        self._script.call('is_in_control')
        return self._control and not self.standing

    def stop(self) -> None:
        self._script.call('stop')
        with self._news:
            self._until = 0.0
            self._news.notify_all()

    def recover_from_errors(self) -> None:
        self._script.call('recover_from_errors')

    @property
    def state(self):
        self._script.call('state')
        mode, now = 'Idle' if self.standing else 'Move', time.monotonic()
        return SimpleNamespace(
            robot_mode=SimpleNamespace(name=mode),
            current_errors=SimpleNamespace(),
            time=SimpleNamespace(to_msec=lambda: now * 1000.0),
            q=FR3.home,
            dq=np.zeros(7),
            control_command_success_rate=1.0,
            O_F_ext_hat_K=[0.0] * 6,
        )

    def _jacobian(self, *_where) -> np.ndarray:
        self._script.call('model')
        return np.eye(6, 7) + 0.1 * np.eye(6, 7, 1)

    def _pose(self, _frame, _reading):
        self._script.call('model')
        return SimpleNamespace(
            translation=np.array([0.5, 0.0, 0.25]), quaternion=np.array([1.0, 0.0, 0.0, 0.0])
        )


class ScriptedHand:
    """What `FrankaGripper` asks of franky.Gripper."""

    STROKE_SECONDS = 0.5

    def __init__(self, script: Script) -> None:
        self._script = script
        self._width = 0.08

    @property
    def state(self):
        self._script.call('gripper.state')
        return SimpleNamespace(width=self._width, max_width=0.08)

    def move_async(self, width: float, _speed: float):
        return self._stroke('gripper.move', width)

    def grasp_async(self, width: float, *_rest):
        return self._stroke('gripper.grasp', width)

    def _stroke(self, name: str, width: float):
        self._script.call(name)
        end = time.monotonic() + self.STROKE_SECONDS

        def wait(seconds: float) -> bool:
            self._script.call('gripper.wait')
            time.sleep(max(0.0, min(seconds, end - time.monotonic())))
            if time.monotonic() >= end:
                self._width = width
            return time.monotonic() >= end

        return SimpleNamespace(wait=wait, get=lambda: True)
