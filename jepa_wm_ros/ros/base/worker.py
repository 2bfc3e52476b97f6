# SPDX-License-Identifier: Apache-2.0
"""A thread that works for a node, and the one turn at it that goals compete for."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from rclpy.node import Node
from rclpy.task import Future

from jepa_wm_ros.errors import Fault, JepaWmError

WORKER_SECONDS = 5.0  # the longest a node waits for its worker when it stops


class Worker:
    """One thread that runs submitted functions in order; callbacks await what it returns."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self._stuck = False
        self._node = node
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, function: Callable, *args) -> Future:
        """Run `function(*args)` in the worker; `await` the returned future in a callback."""
        future = Future(executor=self._node.executor)
        self._queue.put((future, function, args))
        return future

    def call(self, function: Callable, timeout: float = WORKER_SECONDS):
        """What `function()` returns in the worker, for a thread that may wait; raises its error,
        and JepaWmError when the worker does not come to it and to its end in time.
        """
        done = threading.Event()
        future = self.submit(function)
        self._queue.put((None, done.set, ()))
        if not done.wait(timeout):
            self._stuck = True
            raise JepaWmError(f'thread {self.name} did not come to rest within {timeout:g} s')
        return future.result()

    def drain(self, timeout: float = WORKER_SECONDS) -> None:
        """Wait until all that was submitted has ended; JepaWmError when it has not in time."""
        if self._thread.is_alive():
            self.call(lambda: None, timeout)

    def stop(self, timeout: float = WORKER_SECONDS) -> None:
        """Finish what is queued and end the thread. Raises JepaWmError when it does not in time;
        one that did not come to rest before is not waited for again.
        """
        self._queue.put(None)
        self._thread.join(0.0 if self._stuck else timeout)
        if self._thread.is_alive():
            raise JepaWmError(f'thread {self.name} did not end within {timeout:g} s')

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            future, function, args = task
            if future is None:
                function(*args)
                continue
            try:
                future.set_result(function(*args))
            except BaseException as error:  # handed to whoever awaits the future
                future.set_exception(error)
            executor = self._node.executor
            if executor is not None:
                executor.wake()  # a suspended callback is looked at only when the executor wakes


class Turn:
    """One claim of the work slot: it may work until somebody ends it."""

    def __init__(self) -> None:
        self.fault: Fault | None = None  # why it has to end; the first reason stays
        self.owed = contextlib.ExitStack()  # closed when whoever asked has been told of the end

    def end(self, fault: Fault) -> None:
        """Have it end, for this reason unless there is one already."""
        self.fault = self.fault or fault

    @property
    def ended(self) -> bool:
        """Whether it has to end."""
        return self.fault is not None


class WorkSlot:
    """The one thing a node does at a time. It is claimed where the request is answered, so that of
    two requests at the same moment one is told no; once closed it stays closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[Turn] = []
        self._closed: Fault | None = None

    def claim(self, preempting: Fault | None = None) -> Turn | None:
        """The slot, or None when it is taken; a claim with a fault ends all earlier ones by it."""
        with self._lock:
            if self._closed or (self._open and preempting is None):
                return None
            for turn in self._open:
                turn.end(preempting)
            self._open.append(Turn())
            return self._open[-1]

    def release(self, turn: Turn) -> None:
        """The turn is over; safe to repeat."""
        with self._lock:
            if turn in self._open:
                self._open.remove(turn)

    def end(self, fault: Fault) -> bool:
        """End every turn; whether there was one."""
        with self._lock:
            for turn in self._open:
                turn.end(fault)
            return bool(self._open)

    def close(self, fault: Fault) -> None:
        """End every turn and refuse all that come."""
        with self._lock:
            self._closed = fault
        self.end(fault)

    @property
    def taken(self) -> bool:
        """Whether a turn is open."""
        return bool(self._open)
