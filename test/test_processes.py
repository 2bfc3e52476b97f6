# SPDX-License-Identifier: Apache-2.0
"""Processes start together, are missed when they end, and leave nothing behind."""

import os
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jepa_wm_ros import processes
from jepa_wm_ros.processes import ProcessError, ProcessGroup

OBEDIENT = 'import signal; print("up", flush=True); signal.pause()'
PAUSE = threading.Event()  # never set: a log file cannot be awaited
STUBBORN = (
    'import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); '
    'signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
    'print("up", flush=True)\nwhile True: signal.pause()'
)


@dataclass
class Script:
    """A process that runs a few lines of Python; -S -E because it needs no packages."""

    name: str
    text: str
    environment: dict = field(default_factory=dict)

    def command(self):
        return [sys.executable, '-S', '-E', '-c', textwrap.dedent(self.text)]


def group(tmp_path, **texts):
    return ProcessGroup([Script(name, text) for name, text in texts.items()], log_dir=tmp_path)


def wait_for_line(log: Path, text: str, seconds: float = 20.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if log.exists() and text in (said := log.read_text()):
            return said
        PAUSE.wait(0.01)
    raise AssertionError(f'{text!r} never appeared in {log}')


def pids(log: Path, label: str) -> int:
    said = wait_for_line(log, f'{label}=')
    return int(said.split(f'{label}=')[1].split()[0])


def await_end(pid: int, seconds: float = 10.0) -> bool:
    """Whether the process has ended, or does so within `seconds`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([handle], [], [], seconds)
    os.close(handle)
    return bool(ended)


def test_the_first_process_to_end_is_reported_with_its_error_line(tmp_path):
    failing = """
        import sys
        print("error: weights/none.safetensors is missing", file=sys.stderr)
        print("some library says good-bye", file=sys.stderr)
        sys.exit(3)
    """
    with group(tmp_path, calm=OBEDIENT, broken=failing) as running:
        ended = running.wait(20)
        assert (ended.name, ended.status) == ('broken', 3)
        assert ended.last_line == 'error: weights/none.safetensors is missing'
        with pytest.raises(ProcessError) as caught:
            running.check()
    text = str(caught.value)
    assert text.startswith('broken ended with status 3: weights/none.safetensors is missing')
    assert str(tmp_path / 'broken.log') in text and '\n' not in text


def test_the_exception_is_told_and_not_what_a_library_said_after_it(tmp_path):
    failing = """
        import atexit
        atexit.register(print, "context: good-bye")
        def deep(n):
            return deep(n - 1) if n else 1 / 0
        deep(60)
    """
    with group(tmp_path, broken=failing) as running:
        assert running.wait(20).last_line == 'ZeroDivisionError: division by zero'


def test_the_folder_of_logs_stays_only_where_an_error_names_it():
    calm = ProcessGroup([Script('calm', OBEDIENT)])
    with calm:
        folder = calm.log_dir
        assert folder.is_dir()
    assert not folder.exists()
    with ProcessGroup([Script('broken', 'print("lost"); raise SystemExit(1)')]) as failed:
        ended = failed.wait(20)
    assert ended.log.read_text() == 'lost\n'
    shutil.rmtree(ended.log.parent)


def test_a_clean_end_and_a_killed_process_are_ends_too(tmp_path):
    with group(tmp_path / 'a', short='print("that was all")') as running:
        assert str(running.wait(20)).startswith('short ended with status 0: that was all')
    with group(
        tmp_path / 'b', shot='import os, signal; os.kill(os.getpid(), signal.SIGSEGV)'
    ) as running:
        assert 'ended by SIGSEGV' in str(running.wait(20))


def test_nothing_is_reported_while_all_run(tmp_path):
    with group(tmp_path, calm=OBEDIENT) as running:
        assert running.wait(0.05) is None
        running.check()


def test_processes_are_asked_to_stop_in_reverse_order(tmp_path):
    note = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            print("up", flush=True)
            signal.pause()
        except KeyboardInterrupt:
            print("stopped at", time.monotonic_ns(), flush=True)
    """
    names = ['arm', 'model', 'planner']
    with group(tmp_path, **dict.fromkeys(names, note)) as running:
        for name in names:
            wait_for_line(tmp_path / f'{name}.log', 'up')
        running.stop()
    at = [int((tmp_path / f'{name}.log').read_text().split()[-1]) for name in names]
    assert at == sorted(at, reverse=True)


def test_a_process_that_ignores_every_request_is_killed_with_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, 'NEXT_SECONDS', 0.1)
    monkeypatch.setattr(processes, 'STOP_SECONDS', 0.2)
    parent = '\n'.join(
        [
            'import os, subprocess, sys',
            f'child = subprocess.Popen([sys.executable, "-S", "-E", "-c", {STUBBORN!r}])',
            'print(f"child={child.pid} me={os.getpid()} ", flush=True)',
            STUBBORN,
        ]
    )
    with group(tmp_path, mule=parent):
        child, me = pids(tmp_path / 'mule.log', 'child'), pids(tmp_path / 'mule.log', 'me')
        wait_for_line(tmp_path / 'mule.log', 'up')
    assert await_end(me) and await_end(child)


def test_what_a_process_started_does_not_outlive_it(tmp_path):
    parent = f"""
        import subprocess, sys
        child = subprocess.Popen([sys.executable, '-S', '-E', '-c', {STUBBORN!r}])
        print(f"child={{child.pid}} ", flush=True)
    """
    with group(tmp_path, careless=parent) as running:
        assert running.wait(20).name == 'careless'
        assert await_end(pids(tmp_path / 'careless.log', 'child'))


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
def test_the_processes_end_when_their_starter_is_killed(tmp_path, number):
    starter = f"""
        import sys
        sys.path[:0] = {[str(Path(__file__).parent), str(Path(processes.__file__).parents[1])]!r}
        from pathlib import Path
        from test_processes import STUBBORN, Script
        from jepa_wm_ros.processes import ProcessGroup
        mule = Script('mule', "import os; print(f'me={{os.getpid()}} ')\\n" + STUBBORN)
        with ProcessGroup([mule],
                          log_dir=Path({str(tmp_path)!r})) as group:
            group.wait()
    """
    parent = subprocess.Popen([sys.executable, '-c', textwrap.dedent(starter)])
    me = pids(tmp_path / 'mule.log', 'me')
    wait_for_line(tmp_path / 'mule.log', 'up')
    parent.send_signal(number)
    parent.wait(20)
    assert await_end(me)


def test_a_terminated_starter_lets_its_processes_stop_by_themselves(tmp_path):
    gentle = """
        import signal
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            print("up", flush=True)
            signal.pause()
        except KeyboardInterrupt:
            print("the arm stands", flush=True)
    """
    starter = f"""
        import sys
        sys.path[:0] = {[str(Path(__file__).parent), str(Path(processes.__file__).parents[1])]!r}
        from pathlib import Path
        from test_processes import Script
        from jepa_wm_ros.processes import ProcessGroup
        with ProcessGroup([Script('arm', {gentle!r})], log_dir=Path({str(tmp_path)!r})) as group:
            group.wait()
    """
    parent = subprocess.Popen([sys.executable, '-c', textwrap.dedent(starter)])
    wait_for_line(tmp_path / 'arm.log', 'up')
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(20) == 128 + signal.SIGTERM
    assert 'the arm stands' in (tmp_path / 'arm.log').read_text()


def test_an_executable_that_is_not_there_is_one_line_and_starts_nothing(tmp_path):
    class Missing(Script):
        def command(self):
            return ['/no/such/executable']

    running = ProcessGroup([Script('calm', OBEDIENT), Missing('lost', '')], log_dir=tmp_path)
    with pytest.raises(ProcessError, match='lost cannot be started') as caught:
        running.start()
    assert '\n' not in str(caught.value)
    running.stop()


def test_output_is_echoed_with_the_name_in_front(tmp_path, capsys):
    running = ProcessGroup([Script('chatty', 'print("hello")')], log_dir=tmp_path, echo=True)
    with running:
        running.wait(20)
    assert '[chatty] hello\n' in capsys.readouterr().err
