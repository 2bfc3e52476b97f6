# SPDX-License-Identifier: Apache-2.0
"""A node that owns what it makes, and whose callbacks cannot fail silently."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator

from rclpy.action import ActionClient, ActionServer
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType

from jepa_wm_ros.errors import FaultCode, JepaWmError, code_of
from jepa_wm_ros.ros.base.faults import ErrorLog, reply_fault
from jepa_wm_ros.ros.base.parameters import Parameters
from jepa_wm_ros.ros.base.worker import Worker

TURN_SECONDS = 1.0  # the longest a spinning executor takes to come to a task
ANSWER_SECONDS = 2.0  # the longest an answer may take when its work has ended
RESULT_SECONDS = 0.5  # for a client that hears of its goal's end to ask for the result


class Owner(Parameters):
    """Publishers, subscriptions, services, timers, clients, action servers and workers belong to
    the phase (configure or activate) in which they were made and go with it. What is made in the
    constructor stays as long as the node.
    """

    _phase: str | None = None

    def __init__(self, name: str) -> None:
        self._owned: dict[str, list[tuple[Callable, bool]]] = {'configure': [], 'activate': []}
        self._workers: list[Worker] = []
        self._pending = 0  # calls of services and goals that have no answer yet
        self._answered = threading.Condition()
        self._last_goal = -RESULT_SECONDS
        super().__init__(name)
        self.errors = ErrorLog(self.get_logger())

    def own(self, release: Callable[[], object]) -> None:
        """Have `release()` called when the present phase is undone; last made, first released."""
        self._keep(release, False)

    def create_publisher(self, *args, **options):
        """As rclpy's, owned by the present phase."""
        return self._entity(super().create_publisher(*args, **options), self.destroy_publisher)

    def create_client(self, *args, **options):
        """As rclpy's, owned by the present phase."""
        return self._entity(super().create_client(*args, **options), self.destroy_client)

    def create_subscription(self, kind, topic: str, callback, *args, **options):
        """As rclpy's, owned by the present phase; an error of the callback is logged."""
        guarded = self._guarded(callback, f'topic {topic}')
        made = super().create_subscription(kind, topic, guarded, *args, **options)
        return self._entity(made, self.destroy_subscription)

    def create_timer(self, period: float, callback, *args, **options):
        """As rclpy's, owned by the present phase; an error of the callback is logged."""
        guarded = self._guarded(callback, f'timer {getattr(callback, "__name__", "")}')
        made = super().create_timer(period, guarded, *args, **options)
        return self._entity(made, self.destroy_timer)

    def create_steady_timer(self, period: float, callback):
        """A timer of real seconds, also where /clock runs slowly or stands still."""
        return self.create_timer(period, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def create_service(self, kind, name: str, callback, **options):
        """As rclpy's, owned by the present phase; an error of the callback is answered."""
        if self._phase:  # rclpy's own services answer for themselves
            callback = self._answering(callback, f'service {name}')
        made = super().create_service(kind, name, callback, **options)
        return self._entity(made, self.destroy_service)

    def create_action_server(self, kind, name: str, execute, **options) -> ActionServer:
        """An action server of the present phase, which outlives its last goal until the result is
        delivered.
        """
        group = ReentrantCallbackGroup()
        server = ActionServer(self, kind, name, execute, callback_group=group, **options)
        return self._entity(server, ActionServer.destroy)

    def create_action_client(self, kind, name: str) -> ActionClient:
        """An action client of the present phase; it has no lock: ask in the executor's thread."""
        return self._entity(ActionClient(self, kind, name), ActionClient.destroy)

    @contextlib.contextmanager
    def answering_goal(self) -> Iterator[None]:
        """From a goal's acceptance to its end: the action server stays until the result is
        delivered.
        """
        with self._answer_pending():
            try:
                yield
            finally:
                self._last_goal = time.monotonic()

    def create_worker(self, name: str) -> Worker:
        """A worker thread of the present phase."""
        worker = Worker(self, name)
        self._workers.append(worker)

        def stop() -> None:
            self._workers.remove(worker)
            worker.stop()

        self.own(stop)
        return worker

    @contextlib.contextmanager
    def making(self, phase: str) -> Iterator[None]:
        """What is made inside belongs to `phase`."""
        self._phase = phase
        try:
            yield
        finally:
            self._phase = None

    def rest(self) -> None:
        """Wait until the workers have ended what they do and everybody is answered. Raises
        JepaWmError when a worker does not come to rest.
        """
        for worker in list(self._workers):
            worker.drain()
        if self.executor is None:
            return
        with self._answered:
            self._answered.wait_for(lambda: not self._pending, ANSWER_SECONDS)
            left = self._last_goal + RESULT_SECONDS - time.monotonic()
            self._answered.wait_for(lambda: False, max(left, 0.0))

    def release(self, phase: str) -> None:
        """Release what a phase made, last made first; all of it, whatever fails on the way. Raises
        the first error.
        """
        failures, owned = [], self._owned[phase]
        while owned:
            batch = [owned.pop()]
            while owned and owned[-1][1] and batch[0][1]:
                batch.append(owned.pop())
            steps = [release for release, _ in batch]
            run = functools.partial(self._run_all, steps, failures)
            if batch[0][1]:
                self._in_executor(run)
            else:
                run()
        if failures:
            raise failures[0]

    @staticmethod
    def _run_all(steps: list[Callable], failures: list[Exception]) -> None:
        while steps:
            try:
                steps.pop(0)()
            except Exception as error:
                failures.append(error)

    def _in_executor(self, run: Callable[[], None]) -> None:
        """Run where callbacks run, so that none meets an entity that is half gone."""
        executor = self.executor
        if executor is not None:
            done = threading.Event()
            task = executor.create_task(lambda: (run(), done.set()))
            if done.wait(TURN_SECONDS):
                return
            task.cancel()  # nobody spins
        run()

    def _entity(self, entity, destroy: Callable):
        self._keep(lambda: destroy(entity), True)
        return entity

    def _keep(self, release: Callable, in_executor: bool) -> None:
        if self._phase:
            self._owned[self._phase].append((release, in_executor))

    def _guarded(self, callback: Callable, where: str) -> Callable:
        @functools.wraps(callback)
        def guarded(*args):
            try:
                return callback(*args)
            except Exception as error:
                self.errors.tell(error, where)

        return guarded

    def _answering(self, callback: Callable, where: str) -> Callable:
        async def answering(request, response):
            with self._answer_pending():
                try:
                    answer = callback(request, response)
                    return await answer if inspect.isawaitable(answer) else answer
                except Exception as error:
                    if not isinstance(error, JepaWmError):
                        self.errors.tell(error, where)
                    if code_of(error) is FaultCode.DEVICE_LOST:
                        self.fail(error)
                    return reply_fault(response, error)

        return answering

    @contextlib.contextmanager
    def _answer_pending(self) -> Iterator[None]:
        with self._answered:
            self._pending += 1
        try:
            yield
        finally:
            with self._answered:
                self._pending -= 1
                self._answered.notify_all()
