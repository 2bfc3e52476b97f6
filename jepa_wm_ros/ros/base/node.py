# SPDX-License-Identifier: Apache-2.0
"""What every node shares: life cycle with autostart, a worker thread, diagnostics, stamps.

One executor thread runs the callbacks of a node, and none of them blocks: slow work goes to a
`Worker` thread and the callback awaits it. (rclpy's MultiThreadedExecutor collapses at camera
rates, and a neural network inside a callback would starve every other one.)
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from jepa_wm_ros.errors import JepaWmError

SIGNAL_SECONDS = 0.2  # how soon a signal is noticed while nothing else happens
SHUTDOWN_SECONDS = 5.0  # the longest a node waits for its worker when it stops


def to_ns(stamp: Time) -> int:
    """Nanoseconds of a message stamp."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def to_stamp(nanoseconds: int) -> Time:
    """Message stamp of nanoseconds."""
    return Time(sec=int(nanoseconds // 1_000_000_000), nanosec=int(nanoseconds % 1_000_000_000))


class Worker:
    """One thread that runs submitted functions in order; callbacks await what it returns."""

    def __init__(self, node: rclpy.node.Node, name: str) -> None:
        self._node = node
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, function: Callable, *args) -> Future:
        """Run `function(*args)` in the worker; `await` the returned future in a callback."""
        future = Future(executor=self._node.executor)
        self._queue.put((future, function, args))
        return future

    def stop(self, timeout: float = SHUTDOWN_SECONDS) -> bool:
        """Finish what is queued and end the thread; False when it did not end in time."""
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            future, function, args = task
            try:
                future.set_result(function(*args))
            except BaseException as error:  # handed to whoever awaits the future
                future.set_exception(error)
            executor = self._node.executor
            if executor is not None:
                executor.wake()  # a suspended callback is looked at only when the executor wakes


@dataclass
class Diagnostics:
    """Publishes the state of a node's parts on /diagnostics once a second.

    A part is a function returning (level, message, values); levels are those of DiagnosticStatus.
    """

    node: LifecycleNode
    hardware_id: str
    parts: dict[str, Callable] = field(default_factory=dict)

    OK = DiagnosticStatus.OK
    WARN = DiagnosticStatus.WARN
    ERROR = DiagnosticStatus.ERROR
    STALE = DiagnosticStatus.STALE

    def __post_init__(self) -> None:
        self._publisher = self.node.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self._timer = self.node.create_timer(1.0, self.publish)

    def publish(self) -> None:
        """Ask every part and publish what it says."""
        message = DiagnosticArray()
        message.header.stamp = self.node.get_clock().now().to_msg()
        for name, part in self.parts.items():
            level, text, values = part()
            message.status.append(
                DiagnosticStatus(
                    level=level,
                    name=f'{self.node.get_fully_qualified_name()}: {name}',
                    message=text,
                    hardware_id=self.hardware_id,
                    values=[KeyValue(key=k, value=str(v)) for k, v in values.items()],
                )
            )
        self._publisher.publish(message)

    def close(self) -> None:
        """Stop publishing."""
        self.node.destroy_timer(self._timer)
        self.node.destroy_publisher(self._publisher)


class NodeBase(LifecycleNode):
    """A life-cycle node whose subclasses fill `setup`, `start`, `halt` and `teardown`.

    setup     allocate: parameters are read, models loaded, hardware connected (configure)
    start     begin to hear and say (activate)
    halt      stop moving and publishing; nothing is published afterwards (deactivate)
    teardown  release what `setup` took (clean-up, shutdown)

    A `JepaWmError` in a transition is logged as its one line; anything else with its traceback,
    since rclpy itself swallows both.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.failure: str | None = None
        self._configured = self._active = False
        self.declare(
            'autostart', True, 'Configure and activate by itself at start-up.', read_only=True
        )

    def declare(
        self,
        name: str,
        default,
        description: str,
        *,
        bounds: tuple | None = None,
        read_only: bool = False,
        constraints: str = '',
    ):
        """Declare a typed, described parameter and return its value."""
        descriptor = ParameterDescriptor(
            description=description, read_only=read_only, additional_constraints=constraints
        )
        if bounds and isinstance(default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(bounds[0]), to_value=float(bounds[1]))
            ]
        elif bounds:
            descriptor.integer_range = [
                IntegerRange(from_value=int(bounds[0]), to_value=int(bounds[1]))
            ]
        try:
            return self.declare_parameter(name, default, descriptor).value
        except (
            rclpy.exceptions.InvalidParameterValueException,
            rclpy.exceptions.InvalidParameterTypeException,
        ) as error:
            raise JepaWmError(f'parameter {name} of node {self.get_name()}: {error}') from None

    def value(self, name: str):
        """The present value of a declared parameter."""
        return self.get_parameter(name).value

    def now_ns(self) -> int:
        """The node clock (ROS time) in nanoseconds."""
        return self.get_clock().now().nanoseconds

    def setup(self) -> None:
        """Allocate."""

    def start(self) -> None:
        """Begin."""

    def halt(self) -> None:
        """Stop."""

    def teardown(self) -> None:
        """Release."""

    def _transition(self, step: Callable[[], None], name: str) -> TransitionCallbackReturn:
        try:
            step()
        except JepaWmError as error:
            self.failure = str(error)
            self.get_logger().error(f'{name} failed: {error}')
        except Exception as error:
            self.failure = f'{type(error).__name__}: {error}'
            self.get_logger().error(f'{name} failed:\n{traceback.format_exc()}')
        else:
            return TransitionCallbackReturn.SUCCESS
        return TransitionCallbackReturn.FAILURE

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._transition(self.setup, 'configure')
        if result == TransitionCallbackReturn.FAILURE:
            self._transition(self.teardown, 'clean-up after the failed configure')
            return result
        self._configured = True
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._transition(self.start, 'activate')
        if result == TransitionCallbackReturn.FAILURE:
            return result
        self._active = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._active = False
        result = self._transition(self.halt, 'deactivate')
        if result == TransitionCallbackReturn.FAILURE:
            return result
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._configured = False
        result = self._transition(self.teardown, 'clean-up')
        if result == TransitionCallbackReturn.FAILURE:
            return result
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Halt and release whatever is running; safe to call at any time."""
        if self._active:
            self._active = False
            self._transition(self.halt, 'halt')
        if self._configured:
            self._configured = False
            self._transition(self.teardown, 'teardown')


def run(node_class: type[NodeBase], args: list[str] | None = None) -> int:
    """Entry point of a node: spin until SIGINT or SIGTERM; returns the exit status.

    With `autostart` a failed configure or activate ends the process with status 1 and one line.
    The signals are not rclpy's: its handler ends the context at once, and a node that stops must
    still be able to ask the arm to stand.
    """
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    executor = SingleThreadedExecutor()
    node = None
    try:
        node = node_class()
        executor.add_node(node)
        if node.value('autostart') and not _autostart(node):
            print(f'error: {node.failure}', file=sys.stderr)
            return 1
        while not stopped.is_set():
            executor.spin_once(timeout_sec=SIGNAL_SECONDS)
    except ExternalShutdownException:
        pass
    except JepaWmError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        executor.shutdown(timeout_sec=0)
        rclpy.try_shutdown()
    return 0


def _autostart(node: NodeBase) -> bool:
    success = TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == success and node.trigger_activate() == success
