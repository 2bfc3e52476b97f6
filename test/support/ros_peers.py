# SPDX-License-Identifier: Apache-2.0
"""What the tests of nodes share: nodes spinning in threads, service calls, a tiny random model."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import rclpy
import yaml
from lifecycle_msgs.srv import GetState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from jepa_wm_ros.ros.base.run import spin

TIMEOUT = 40.0  # s; a loaded machine answers late, and nobody waits where it does not


@contextlib.contextmanager
def spinning(*nodes):
    """Spin each node in a thread of its own, as separate processes would."""
    executors, threads, ended = [], [], threading.Event()
    for node in nodes:
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        thread = threading.Thread(target=_spin, args=(executor, ended), daemon=True)
        thread.start()
        executors.append(executor)
        threads.append(thread)
    try:
        yield
    finally:
        ended.set()
        for node, executor, thread in zip(nodes, executors, threads, strict=True):
            executor.wake()
            thread.join(5.0)
            node.executor = None
            executor.shutdown(timeout_sec=2.0)


class AnswersAtOnce:
    """An action client's handle that lets every answer arrive before the question returns."""

    def __init__(self, handle) -> None:
        self._handle = handle

    def __getattr__(self, name):
        attribute = getattr(self._handle, name)
        if not name.startswith('send_'):
            return attribute

        def ask(request):
            number = attribute(request)
            threading.Event().wait(0.2)
            return number

        return ask


def _spin(executor, ended) -> None:
    with contextlib.suppress(ExternalShutdownException):
        spin(executor, ended.is_set)


@contextlib.contextmanager
def ros(**parameters):
    """rclpy's default context in the test's own domain; nodes made in it get these parameters."""
    args = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    rclpy.init(args=['--ros-args', *args] if args else None)
    try:
        yield
    finally:
        rclpy.try_shutdown()


def unconfigured(kind, **parameters) -> str:
    """The one line by which a node with these parameters says why it cannot be configured."""
    with ros(**parameters):
        node = kind()
        with spinning(node):
            assert node.trigger_configure().name == 'FAILURE'
        assert '\n' not in node.failure
        node.destroy_node()
    return node.failure


def call(node, kind, name, request, timeout: float = TIMEOUT):
    """Call a service from a node that spins in another thread."""
    client = node.create_client(kind, name)
    try:
        assert client.wait_for_service(timeout), f'{name} is not served'
        return wait(client.call_async(request), timeout)
    finally:
        node.destroy_client(client)


def meet(node, name: str, timeout: float = TIMEOUT) -> None:
    """Wait until the node `name` knows `node`: what it answers earlier is lost."""
    client, known = node.create_client(GetState, f'{name}/get_state'), threading.Event()
    deadline = time.monotonic() + timeout
    while not known.is_set():
        assert time.monotonic() < deadline, f'{name} does not answer'
        client.call_async(GetState.Request()).add_done_callback(lambda _: known.set())
        known.wait(0.5)
    node.destroy_client(client)


def wait(future, timeout: float = TIMEOUT):
    """The result of a future that another thread completes."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(timeout), 'no answer in time'
    return future.result()


def tiny_model(folder: Path, **changes) -> Path:
    """A random model with the shape of the shipped one, saved as a file."""
    from jepa_wm_ros.world_model import ModelSpec, build, save_world_model
    from support.paths import CELL_CONFIG

    values = (
        yaml.safe_load(CELL_CONFIG.read_text())['model']
        | {
            'fps': 4.0,
            'action_dim': 7,
            'proprio_dim': 7,
            'action_mean': [0.0] * 7,
            'action_std': [0.05] * 3 + [0.1] * 3 + [1.0],
            'proprio_mean': [0.0] * 7,
            'proprio_std': [1.0] * 7,
            'reached_distance': 0.05,
        }
        | changes
    )
    path = folder / f'{values["name"]}.safetensors'
    save_world_model(build(ModelSpec.from_dict(values), seed=0).eval(), path)
    return path


def until(condition, seconds: float = 40.0):
    """Wait until the graph, which nobody announces, is as it should be."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition() and time.monotonic() < deadline:
        pause.wait(0.02)
    return condition()


def belongings(node) -> dict[str, int]:
    """How much of everything the node has now."""
    kinds = ('publishers', 'subscriptions', 'services', 'clients', 'timers', 'waitables')
    return {kind: len(list(getattr(node, kind))) for kind in kinds} | {
        'threads': threading.active_count()
    }
