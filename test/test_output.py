# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of a process's output, the process goes on."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jepa_wm_ros import output
from support.outputs import deserted_pipe, full_disk, stopped_terminal, unread_pipe, unread_socket

ROOT = Path(output.__file__).parents[1]
SECONDS = 20.0  # what waits for its output waits for ever
# C's perror with the interpreter lock held is what ROS does when it logs.
TALK = """
    import ctypes, os, sys
    from jepa_wm_ros import output
    output.never_wait()
    perror = ctypes.PyDLL(None).perror
    for _ in range(10_000):
        print('o' * 100)
        print('e' * 100, file=sys.stderr)
        perror(b'c' * 100)
    os.write(int(sys.argv[1]), b'said it all')
    output.flush()
    os._exit(0)
"""


def start(text, *words, **places):
    return subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(text), *words],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        **places,
    )


@pytest.mark.fault(40)
@pytest.mark.parametrize(
    'place', [unread_pipe, unread_socket, stopped_terminal, full_disk, deserted_pipe]
)
def test_three_megabytes_into_nowhere_hold_nobody_up(place):
    reader, writer = os.pipe()
    with place() as file:
        process = start(TALK, str(writer), stdout=file, stderr=file, pass_fds=[writer])
        try:
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
            process.wait()
    os.close(writer)
    with os.fdopen(reader) as said:
        assert said.read() == 'said it all'


@pytest.mark.fault(40)
def test_output_that_is_closed_is_not_taken_by_the_next_file_that_is_opened(tmp_path):
    text = """
        import os, sys
        from jepa_wm_ros import output
        output.never_wait()
        with open(sys.argv[1], 'w') as precious:
            print('noise'), os.write(2, b'noise'), os.write(1, b'noise')
            precious.write('kept')
    """
    file = tmp_path / 'precious'
    closed = f'exec "{sys.executable}" "$@" >&- 2>&-'
    subprocess.run(
        ['/bin/sh', '-c', closed, 'sh', '-c', textwrap.dedent(text), str(file)],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        check=True,
        timeout=SECONDS,
    )
    assert file.read_text() == 'kept'


SPEAK = """
    import os, sys
    from jepa_wm_ros import output
    print('before', end='')
    output.never_wait()
    print(' and after', '\\u2713')
    os.system('echo child >&2')
    print('error: last words', file=sys.stderr)
    if sys.argv[1] == 'at once':
        output.flush()
        os._exit(3)
    raise SystemExit(3)
"""


@pytest.mark.fault(40)
@pytest.mark.parametrize('end', ['at once', 'tidily'])
def test_a_reader_hears_everything_to_the_last_word_in_order(end):
    said = 'before and after \u2713\nchild\nerror: last words\n'
    piped = start(SPEAK, end, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert piped.communicate(timeout=SECONDS)[0].decode() == said
    reader, writer = socket.socketpair()
    with writer:
        process = start(SPEAK, end, stdout=writer, stderr=writer)
    with reader, reader.makefile() as heard:
        assert heard.read() == said
    assert process.wait(SECONDS) == piped.returncode == 3


@pytest.mark.fault(40)
def test_the_words_of_a_crash_are_heard_and_what_others_write_to_still_waits():
    text = """
        import faulthandler, os
        from jepa_wm_ros import output
        output.never_wait()
        faulthandler.enable()
        os.abort()
    """
    reader, writer = os.pipe()
    process = start(text, stdout=writer, stderr=writer)
    assert process.wait(SECONDS) < 0
    assert os.get_blocking(writer)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert said.read().startswith('Fatal Python error: Aborted')


@pytest.mark.fault(40)
def test_bringup_reads_its_processes_while_its_own_terminal_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))  # the log of what ended by itself stays
    text = """
        import sys
        from jepa_wm_ros import bringup
        say = 'for _ in range(3000): print("b" * 1000)'
        class Babble:
            name, environment = 'babble', {}
            def command(self):
                return [sys.executable, '-S', '-c', say]
        bringup.plan_processes = lambda: [Babble()]
        bringup.main([])
    """
    with stopped_terminal() as terminal:
        process = start(text, stdout=terminal, stderr=terminal)
        try:
            assert process.wait(SECONDS) == 1  # as a node's end is one of the system
        finally:
            process.kill()
            process.wait()
