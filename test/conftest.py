# SPDX-License-Identifier: Apache-2.0
"""What every test may rely on: a ROS graph and an arm address of its own, honest skips."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from support.domains import Domain

# Not there under a ROS 2 that was installed by rosdep alone (README); then the tests that need one
# are skipped. `make test` sets the variable: in its environment a missing module is an error.
OPTIONAL = {
    'apsw',
    'array_api_compat',
    'av',
    'cv2',
    'franky',
    'franky_sim',
    'h5py',
    'hypothesis',
    'mujoco',
    'nevergrad',
    'pinocchio',
    'pyarrow',
    'rosbags',
    'safetensors',
    'timm',
    'torch',
    'torchvision',
    'tqdm',
    'rclpy',
    'jepa_wm_msgs',
}
COMPLETE = 'JEPA_WM_ROS_COMPLETE'
FAULTS = 'JEPA_WM_ROS_FAULTS'  # a file for what `make faults` collects


def pytest_configure(config: pytest.Config) -> None:
    """Give this test run a domain, which also fixtures of a whole module use."""
    config.ros_domain = Domain()
    os.environ.update(config.ros_domain.environment)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.ros_domain.release()


def pytest_report_header(config: pytest.Config) -> str:
    return f'ROS domain of this run: {config.ros_domain.id}'


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector) -> Iterator[None]:
    """A test file that needs an optional package which is not installed is skipped, and says so."""
    outcome = yield
    report = outcome.get_result()
    if report.outcome != 'failed' or os.environ.get(COMPLETE):
        return
    missing = re.search(r"ModuleNotFoundError: No module named '(\w+)", str(report.longrepr))
    if missing and missing[1] in OPTIONAL:
        report.outcome = 'skipped'
        report.longrepr = (str(collector.path), 0, f'Skipped: {missing[1]} is not installed')


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain of this test alone, for it and for the processes that it starts."""
    domain = Domain()
    for name, value in domain.environment.items():
        monkeypatch.setenv(name, value)
    yield domain.id
    domain.release()


@pytest.fixture(scope='session')
def new_arm_address(pytestconfig: pytest.Config) -> Callable[[], str]:
    """A function that gives a loopback address no other simulated arm is served at."""
    given = iter(range(1, 255 * 255))

    def address() -> str:
        high, low = divmod(next(given), 254)
        return f'127.{100 + pytestconfig.ros_domain.id}.{high}.{low + 1}'

    return address


def pytest_collection_finish(session: pytest.Session) -> None:
    """The compiler is loaded first: after software OpenGL has loaded its own LLVM, it crashes."""
    if {'torch', 'jepa_wm_ros.sim'} <= sys.modules.keys():
        import torch._dynamo  # noqa: F401
        import torch._inductor  # noqa: F401


class Reaction:
    """How long the answer to a fault takes; `make faults` collects it."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record, self._begun = record, math.nan

    def begin(self) -> None:
        """The fault happens now."""
        self._begun = time.monotonic()

    def seen(self) -> float:
        """The answer is there; seconds since the fault."""
        seconds = time.monotonic() - self._begun
        self._record('reaction_seconds', seconds)
        return seconds


@pytest.fixture
def reaction(record_property) -> Reaction:
    """Measures the answer to the fault that the test injects."""
    return Reaction(record_property)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """For `make faults`: what became of each test that keeps rows of the fault table."""
    rows = dict(report.user_properties).get('rows')
    if FAULTS in os.environ and rows and (report.when == 'call' or report.outcome != 'passed'):
        line = {
            'rows': rows,
            'test': report.nodeid,
            'outcome': report.outcome,
            'seconds': [v for name, v in report.user_properties if name == 'reaction_seconds'],
        }
        with open(os.environ[FAULTS], 'a') as file:
            file.write(json.dumps(line) + '\n')


def pytest_runtest_setup(item: pytest.Item) -> None:
    rows = [row for mark in item.iter_markers('fault') for row in mark.args]
    item.user_properties.append(('rows', rows))


@pytest.fixture(scope='module')
def one_thread():
    """Torch with one thread; several wait for each other where something else runs as well."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def compiler(monkeypatch):
    """Chooses what compiled mode compiles with, forgetting all that was compiled before."""
    import torch

    from jepa_wm_ros.world_model.scoring import fast_rollout

    def choose(backend):
        torch._dynamo.reset()
        fast_rollout.compiled_halves.cache_clear()
        monkeypatch.setattr(fast_rollout, 'COMPILER', backend)

    yield choose
    torch._dynamo.reset()
    fast_rollout.compiled_halves.cache_clear()
