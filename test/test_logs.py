# SPDX-License-Identifier: Apache-2.0
"""Logs stay small, do not pile up, and nothing fails or waits because of them."""

import io
import os
import sys
import tempfile

import pytest
from test_processes import OBEDIENT, Script

from jepa_wm_ros import logs
from jepa_wm_ros.processes import ProcessGroup
from support.outputs import full_disk

pytestmark = pytest.mark.fault(40)

BABBLE = """
    import sys
    for _ in range(3000):
        print("b" * 1000)
    sys.stdout.write("no end of line " * 10_000)
    print("\\nerror: the last words")
    sys.exit(4)
"""


def babble(**given):
    """How a process ended that says three megabytes and why it ends."""
    with ProcessGroup([Script('babble', BABBLE)], **given) as group:
        return group.wait(20)


def test_a_full_disk_under_the_log_stops_the_log_alone(tmp_path, capsys):
    (tmp_path / 'babble.log').symlink_to('/dev/full')
    ended = babble(log_dir=tmp_path)
    assert (ended.status, ended.last_line) == (4, 'error: the last words')
    said = capsys.readouterr().err
    assert said == f'log {tmp_path / "babble.log"} has gaps: No space left on device\n'


@pytest.mark.parametrize('closed', [False, True])
def test_output_is_read_to_its_end_when_it_cannot_be_echoed(tmp_path, monkeypatch, closed):
    with full_disk() as file, io.FileIO(file, 'w', closefd=False) as raw:
        monkeypatch.setattr(sys, 'stderr', io.TextIOWrapper(raw, write_through=True))
        if closed:
            sys.stderr.detach()
        ended = babble(log_dir=tmp_path, echo=True)
        monkeypatch.undo()
    assert (ended.status, ended.last_line) == (4, 'error: the last words')
    assert ended.log.stat().st_size > 3_000_000


def test_a_log_has_a_limit_and_says_where_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, 'LOG_BYTES', 1_000_000)
    ended = babble(log_dir=tmp_path)
    assert ended.last_line == 'error: the last words'
    lines = ended.log.read_text().splitlines()
    assert 990_000 < ended.log.stat().st_size < 1_001_000
    assert lines[-1] == 'this log ends here: it has 1 MB' and set(lines[:-1]) == {'b' * 1000}


def test_processes_start_where_no_log_can_be_made(tmp_path, capsys):
    (tmp_path / 'file').touch()
    (tmp_path / 'babble.log').mkdir()
    for folder, why in (
        (tmp_path / 'file', f'no logs in {tmp_path / "file"}: File exists'),
        (tmp_path, f'no log {tmp_path / "babble.log"}: Is a directory'),
    ):
        ended = babble(log_dir=folder)
        assert str(ended) == 'babble ended with status 4: the last words'
        assert capsys.readouterr().err == why + '\n'


def test_processes_start_without_a_temporary_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'gone'))
    assert babble().log is None
    assert capsys.readouterr().err == f'no logs in {tmp_path / "gone"}: No such file or directory\n'


def test_old_folders_go_but_for_the_newest_and_those_in_use(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    with ProcessGroup([Script('calm', OBEDIENT)]) as oldest:
        os.utime(oldest.log_dir, (0, 0))
        failed = []
        for age in range(1, 12):
            failed.append(babble().log.parent)
            os.utime(failed[-1], (age, age))
        (tmp_path / 'mine').mkdir()
        other = tmp_path / f'{logs.PREFIX}link'
        other.symlink_to(tmp_path / 'mine')
        left = {path for path in tmp_path.iterdir() if path.is_dir() and not path.is_symlink()}
        assert left == {oldest.log_dir, tmp_path / 'mine', *failed[-logs.KEPT_FOLDERS :]}
        assert other.is_symlink()
    assert not oldest.log_dir
