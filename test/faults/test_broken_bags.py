# SPDX-License-Identifier: Apache-2.0
"""Row 33: of a broken bag what is left is read, or one line says why nothing is. (That the command
then ends with status 2 unless --allow-partial is given is in test/evaluation/test_offline.py.)
"""

import pytest

pytest.importorskip('rosbags')

from fuzz.trial import memory_limit  # noqa: E402
from jepa_wm_ros.recordings.bags.findings import BagError  # noqa: E402
from jepa_wm_ros.recordings.bags.recording import read_recording  # noqa: E402
from jepa_wm_ros.recordings.clips import ClipSettings  # noqa: E402
from jepa_wm_ros.recordings.topics import TopicSpec  # noqa: E402
from support.bags import make_bag  # noqa: E402

pytestmark = pytest.mark.fault(33)
SETTINGS = ClipSettings(rate=4.0, horizon=1, stride=1)
HUGE = (1 << 50).to_bytes(8, 'little')


def storage_file(folder):
    (file,) = (path for path in folder.iterdir() if path.suffix in ('.mcap', '.db3'))
    return file


def refusal(folder) -> str:
    """Why nothing can be read, found out in bounded memory."""
    with memory_limit(), pytest.raises(BagError) as refused:
        read_recording(folder, TopicSpec(), SETTINGS)
    assert '\n' not in str(refused.value) and str(folder) in str(refused.value)
    return str(refused.value)


def test_a_record_that_claims_more_than_the_file_holds_takes_no_memory(tmp_path):
    folder = make_bag(tmp_path / 'bag', seconds=1.0, size=(4, 4))
    data = storage_file(folder).read_bytes()
    storage_file(folder).write_bytes(data[:9] + HUGE + data[17:])  # the header record's length
    assert 'mcap recover' in refusal(folder)


def test_a_chunk_whose_compression_has_an_endless_name_takes_no_memory(tmp_path):
    folder = make_bag(tmp_path / 'bag', seconds=1.0, size=(4, 4))
    data = bytearray(storage_file(folder).read_bytes())
    chunk = 8 + 9 + int.from_bytes(data[9:17], 'little')  # the record after the header
    assert data[chunk] == 0x06
    data[chunk + 9 + 28 : chunk + 9 + 32] = b'\xff' * 4
    storage_file(folder).write_bytes(data[:-200])  # without its index, which would be believed
    refusal(folder)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_damaged_definition_of_a_message_is_one_line(tmp_path, storage):
    folder = make_bag(tmp_path / 'bag', seconds=1.0, size=(4, 4), storage=storage)
    file = storage_file(folder)
    file.write_bytes(file.read_bytes().replace(b'float64 x', b'fl((64) x'))
    refusal(folder)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_bag_without_metadata_is_read_and_told_how_to_mend(tmp_path, storage):
    folder = make_bag(tmp_path / 'bag', seconds=2.0, size=(4, 4), storage=storage)
    (folder / 'metadata.yaml').unlink()
    recording = read_recording(folder, TopicSpec(), SETTINGS)
    assert recording.clips and recording.coverage.frames == 20
    assert any('ros2 bag reindex' in finding.message for finding in recording.findings.faults)
