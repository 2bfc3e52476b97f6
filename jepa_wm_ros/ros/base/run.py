# SPDX-License-Identifier: Apache-2.0
"""The process of a node: from its first signal handler to its last answer."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from jepa_wm_ros import bringup, output
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.ros.base.faults import one_line
from jepa_wm_ros.ros.base.node import NodeBase

SWITCH_SECONDS = 0.0005  # a worker that computes waits no longer for callbacks; Python's is 5 ms
SIGNAL_SECONDS = 0.2  # how soon a signal is noticed while nothing else happens
GIVE_UP_SECONDS = 0.8  # a node that still connects or loads is left where it is after this
FAREWELL_SECONDS = 0.1  # for the answer to who asked for the shutdown
NO_LOG_FILE = ('--ros-args', '--disable-external-lib-logs')
CLOSE_SECONDS = 20.0  # ... and one that was active after this; its own limits are shorter


def run(node_class: type[NodeBase], args: list[str] | None = None) -> int:
    """Entry point of a node: spin until SIGINT, SIGTERM or its life cycle's shutdown; returns the
    exit status.

    With `autostart` a failed configure or activate ends the process with status 1 and one line.
    The signals are not rclpy's: its handler ends the context at once, and a node that stops must
    still be able to ask the arm to stand and to tell its clients.
    """
    output.never_wait()
    sys.setswitchinterval(SWITCH_SECONDS)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    os.environ.update(bringup.dds_environment())
    executor, node, status = None, None, 0
    try:
        init(sys.argv if args is None else args)
        executor, node = SingleThreadedExecutor(), made(node_class)
        executor.add_node(node)
        node.tell_unknown()
        starting = node.transitions.submit(_autostart, node) if node.value('autostart') else None
        spin(executor, lambda: stopped.is_set() or node.over.is_set() or _failed(starting))
        if _failed(starting):
            print(f'error: {node.failure}', file=sys.stderr)
            status = 1
        _close(executor, node, starting)
    except ExternalShutdownException:
        pass
    except JepaWmError as error:
        print(f'error: {error}', file=sys.stderr)
        status = 1
    finally:
        context = rclpy.get_default_context()
        if node is not None:
            node.executor = None
            node.destroy_node()
        if executor is not None:
            executor.shutdown(timeout_sec=0)
        rclpy.try_shutdown()
        context.destroy()
        node = executor = None
        gc.collect()  # what refers to the context in circles: the last one takes DDS with it
    return status


def spin(executor: SingleThreadedExecutor, until: Callable[[], bool]) -> None:
    """Run callbacks until `until()`, which is asked at least every `SIGNAL_SECONDS`."""
    while not until():
        try:
            executor.spin_once(timeout_sec=SIGNAL_SECONDS)
        except InvalidHandle:
            pass  # an entity was released while it was looked at


def leave(status: int) -> NoReturn:
    """End the process now; what the interpreter tidies up at its end takes seconds with torch."""
    output.flush()
    os._exit(status)


def init(args: list[str]) -> None:
    """Initialise rclpy, with a log file where ROS_LOG_DIR asks for one and it can be made: it has
    no limit, and what it says is said on /rosout and in the output as well. Raises JepaWmError for
    arguments or a parameters file that ROS cannot read.
    """
    if not os.environ.get('ROS_LOG_DIR'):
        args = [*args, *NO_LOG_FILE]
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except (_rclpy.RCLError, _rclpy.UnknownROSArgsError, ValueError) as error:
        if 'failed to initialize logging' not in str(error):
            raise JepaWmError(f'ROS cannot start: {one_line(error)}') from error
        print(f'no ROS log file: {one_line(error)}', file=sys.stderr)
        rclpy.try_shutdown()
        rclpy.init(args=[*args, *NO_LOG_FILE], signal_handler_options=SignalHandlerOptions.NO)


def made(node_class: type[NodeBase]) -> NodeBase:
    """A node of this class. Raises JepaWmError where ROS or its parameters do not allow it."""
    try:
        return node_class()
    except _rclpy.RCLError as error:  # such as security that is asked for and not there
        raise JepaWmError(f'ROS makes no node: {one_line(error)}') from error


def _autostart(node: NodeBase) -> bool:
    success = TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == success and node.trigger_activate() == success


def _failed(starting) -> bool:
    return starting is not None and starting.done() and not starting.result()


def _close(executor: SingleThreadedExecutor, node: NodeBase, starting) -> None:
    """Close the node while its callbacks still run: goals end, results are delivered."""
    busy = starting is not None and not starting.done()
    deadline = time.monotonic() + (GIVE_UP_SECONDS if busy else CLOSE_SECONDS)
    closing = node.transitions.submit(node.close)
    spin(executor, lambda: closing.done() or time.monotonic() > deadline)
    farewell = time.monotonic() + FAREWELL_SECONDS
    spin(executor, lambda: time.monotonic() > farewell)
    if not closing.done():
        node.get_logger().warning('left while it was still busy')
        leave(0 if busy else 1)  # its threads hold what a clean end would wait for
