# SPDX-License-Identifier: Apache-2.0
"""Bags in every state: what is read, what is said about it, and what is refused."""

import tracemalloc

import lz4.frame
import numpy as np
import pytest

from jepa_wm_ros.recordings.bags import decompress
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import BagError, Findings
from jepa_wm_ros.recordings.bags.mcap_mend import _records
from jepa_wm_ros.recordings.bags.recording import read_frames, read_recording
from jepa_wm_ros.recordings.bags.writer import CellBagWriter
from jepa_wm_ros.recordings.clips import ClipSettings
from jepa_wm_ros.recordings.topics import TopicError, TopicSpec
from support.bags import MS, START, make_bag, picture_at, pose_at

SETTINGS = ClipSettings(rate=4.0, horizon=3, stride=3)
MESSAGE_INDEX = 0x07  # opcode of MCAP
BIG = (240, 320)  # frames of 230 kB: several MCAP chunks in a bag of seconds


def read(path, **spec):
    return read_recording(path, TopicSpec(**spec), SETTINGS)


def kinds(recording):
    return {finding.kind for finding in recording.findings.faults}


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('compression', [None, 'message', 'file'])
@pytest.mark.parametrize('images', ['raw', 'png'])
def test_every_storage_gives_the_same_frames_and_actions(tmp_path, storage, compression, images):
    path = make_bag(tmp_path / 'bag', storage=storage, compression=compression, images=images)
    recording = read(path)
    assert not recording.findings.faults
    assert recording.coverage.fraction == 1.0
    assert len(recording.clips) == 8  # 25 steps, 3 apart
    clip = recording.clips[2]
    with Bag(path, Findings()) as bag:
        frames = read_frames(bag, recording, list(clip.frames))
    for frame, pose in zip(clip.frames, clip.poses, strict=True):
        seconds = (recording.timeline.stamps[frame] - START) / 1e9
        np.testing.assert_array_equal(frames[frame], picture_at(seconds))
        np.testing.assert_allclose(pose, pose_at(seconds), atol=1e-6)
    np.testing.assert_allclose(clip.actions[:, :3], np.diff(clip.poses[:, :3], axis=0), atol=1e-12)


def test_mcap_chunk_compression_is_read(tmp_path):
    assert not kinds(read(make_bag(tmp_path / 'bag', storage='mcap', compression='storage')))


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_bag_without_metadata_is_read_and_says_so(tmp_path, storage):
    path = make_bag(tmp_path / 'bag', storage=storage, compression='message')
    (path / 'metadata.yaml').unlink()
    recording = read(path)
    assert kinds(recording) == {'missing metadata'}
    assert recording.coverage.fraction == 1.0


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('metadata', [True, False])
def test_a_cut_bag_is_read_up_to_the_cut(tmp_path, storage, metadata):
    path = make_bag(tmp_path / 'bag', storage=storage, seconds=4.0, size=BIG)
    file = next(path.glob('bag.*'))
    whole = read(path).coverage.frames
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.6)])
    if not metadata:
        (path / 'metadata.yaml').unlink()
    recording = read(path)
    assert 'truncated' in kinds(recording)
    assert 0.4 * whole < recording.coverage.frames <= 0.62 * whole
    with Bag(path, Findings()) as bag:
        frames = read_frames(bag, recording, [0, recording.coverage.frames - 1])
    assert all(frame.shape == (*BIG, 3) for frame in frames.values())


def test_a_bag_cut_at_any_byte_is_read_or_refused_in_one_line(tmp_path):
    path = make_bag(tmp_path / 'bag', storage='mcap', seconds=2.0, size=BIG)
    file = next(path.glob('bag.mcap'))
    data = file.read_bytes()
    for cut in np.random.default_rng(0).integers(0, len(data), 15):
        file.write_bytes(data[:cut])
        try:
            assert read(file).findings.faults
        except BagError as error:
            assert '\n' not in str(error)


def test_a_bag_cut_within_the_index_of_a_chunk_gives_every_frame_it_lists(tmp_path):
    path = make_bag(tmp_path / 'bag', storage='mcap', seconds=3.0, size=BIG) / 'bag.mcap'
    data, records = path.read_bytes(), []
    with path.open('rb') as file:
        records = list(_records(file, path))
    index = [(offset, length) for opcode, offset, length in records if opcode == MESSAGE_INDEX]
    for offset, length in index[-5:]:
        path.write_bytes(data[: offset + length])
        recording = read(path)
        with Bag(path, Findings()) as bag:
            frames = read_frames(bag, recording, range(recording.coverage.frames))
        assert not [frame for frame in frames.values() if isinstance(frame, str)]


def test_frames_recorded_at_the_same_instant_are_told_apart(tmp_path):
    with CellBagWriter(tmp_path / 'bag') as writer:
        for i in range(40):
            writer.pose(START + i * 100 * MS, pose_at(i / 10))
            writer.joints(START + i * 100 * MS, pose_at(i / 10))
            record = START + (i // 2 * 2) * 100 * MS  # the recorder wakes up at every second frame
            writer.image(START + i * 100 * MS, picture_at(i / 10), record)
    recording = read(tmp_path / 'bag')
    with Bag(tmp_path / 'bag', Findings()) as bag:
        frames = read_frames(bag, recording, [4, 5])
    np.testing.assert_array_equal(frames[4], picture_at(0.4))
    np.testing.assert_array_equal(frames[5], picture_at(0.5))


def test_the_gripper_is_that_of_the_nearest_state(tmp_path):
    with CellBagWriter(tmp_path / 'bag') as writer:
        for i in range(41):
            writer.pose(START + i * 100 * MS, pose_at(i / 10))
            if i % 2 == 0:
                writer.joints(START + i * 100 * MS, pose_at(i / 10))
            writer.image(START + i * 100 * MS + 40 * MS, picture_at(i / 10))
    closure = read(tmp_path / 'bag').timeline.poses[:9, 6]
    np.testing.assert_allclose(
        closure, [pose_at(s)[6] for s in (0, 0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8)], atol=1e-9
    )


@pytest.mark.fault(33)
def test_damage_in_the_middle_of_a_bag_ends_the_reading_and_is_named(tmp_path):
    path = make_bag(tmp_path / 'bag', storage='mcap', compression='storage', size=BIG, seconds=8.0)
    file = next(path.glob('bag.mcap'))
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    file.write_bytes(data)
    recording = read(path)
    assert {'damaged', 'missing messages'} <= kinds(recording)
    assert recording.clips


def lz4_file(chunks):
    writer = lz4.frame.LZ4FrameCompressor()
    return b''.join([writer.begin(), *map(writer.compress, chunks), writer.flush()])


def zstd_file(chunks):
    writer = decompress.zstd.ZstdCompressor()
    return b''.join([*map(writer.compress, chunks), writer.flush()])


@pytest.mark.parametrize(
    'pack, unpack',
    [(zstd_file, decompress.zstd_bytes), (lz4_file, decompress.lz4_bytes)],
    ids=['zstd', 'lz4'],
)
def test_what_expands_to_more_than_was_said_is_refused_before_it_is_made(pack, unpack):
    assert unpack(pack([b'whole']), 5) == b'whole'
    bomb = pack([bytes(1 << 20)] * 256)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match='more than the 1000 bytes'):
            unpack(bomb, 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(bomb) + (1 << 20)
    with pytest.raises(ValueError, match='cut'):
        unpack(pack([b'whole'])[:-3], 100)


@pytest.mark.parametrize('compression', ['storage', 'message'])
def test_a_bag_that_expands_too_far_is_named(tmp_path, monkeypatch, compression):
    path = make_bag(tmp_path / 'bag', storage='mcap', compression=compression, size=BIG)
    monkeypatch.setattr(decompress, 'MAX_BYTES', 1000)
    findings = Findings()
    with Bag(path, findings) as bag:
        assert list(bag.messages(['/image'])) == []
    assert 'more than the 1000 bytes' in findings.faults[0].message


@pytest.mark.parametrize('name', ['bag.mcap', 'bag.db3'])
def test_an_empty_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b'')
    with pytest.raises(BagError, match='zero length'):
        read(tmp_path / name)


def test_one_bad_file_of_a_split_bag_costs_that_file_only(tmp_path):
    path = make_bag(tmp_path / 'bag', storage='mcap')
    (path / 'bag.mcap').rename(path / 'bag_0.mcap')
    (path / 'bag_1.mcap').write_bytes(b'')
    (path / 'bag_2.mcap').write_bytes(b'no mcap at all' * 9)
    metadata = path / 'metadata.yaml'
    metadata.write_text(
        metadata.read_text().replace('- bag.mcap', '- bag_0.mcap\n  - bag_1.mcap\n  - bag_2.mcap')
    )
    recording = read(path)
    assert kinds(recording) == {'damaged', 'empty file', 'unreadable file'}
    assert recording.coverage.frames == 60


def test_things_that_are_no_bag_are_refused(tmp_path):
    with pytest.raises(BagError, match='no such bag'):
        read(tmp_path / 'missing')
    (tmp_path / 'notes.txt').write_text('hello')
    with pytest.raises(BagError, match='not a bag'):
        read(tmp_path / 'notes.txt')
    with pytest.raises(BagError, match='holds no'):
        read(tmp_path)
    (tmp_path / 'random.mcap').write_bytes(bytes(range(256)) * 8)
    with pytest.raises(BagError, match='not an MCAP file'):
        read(tmp_path / 'random.mcap')


def test_a_missing_topic_lists_those_there_are(tmp_path):
    path = make_bag(tmp_path / 'bag')
    with pytest.raises(BagError, match='no topic /camera; it holds /ee_pose .*, /image .*'):
        read(path, image='/camera')
    with pytest.raises(BagError, match='the image topic must be one of'):
        read(path, image='/ee_pose')


def test_topics_are_found_by_type_and_a_bag_without_gripper_says_so(tmp_path):
    path = make_bag(tmp_path / 'bag', joints=False)
    recording = read(path)
    assert not kinds(recording)
    assert 'no gripper' in {finding.kind for finding in recording.findings}
    assert (recording.clips[0].poses[:, 6] == 0).all()


def test_a_wrong_encoding_is_named_with_the_frames_it_costs(tmp_path):
    path = make_bag(tmp_path / 'bag', encoding='bayer_rggb8')
    recording = read(path)
    with Bag(path, Findings()) as bag:
        frame = read_frames(bag, recording, [0])[0]
    assert isinstance(frame, str) and 'bayer_rggb8' in frame


def test_thirty_hertz_is_resampled_and_said_but_is_no_fault(tmp_path):
    recording = read(make_bag(tmp_path / 'bag', image_hz=30.0))
    assert not kinds(recording)
    assert any('30.0 Hz' in finding.message for finding in recording.findings)
    assert recording.coverage.fraction == 1.0


def test_slower_frames_than_the_model_are_a_fault(tmp_path):
    with pytest.raises(BagError, match='2.00 Hz'):
        read(make_bag(tmp_path / 'bag', image_hz=2.0))


@pytest.mark.fault(34)
def test_missing_frames_leave_a_gap_that_no_clip_spans(tmp_path):
    path = make_bag(tmp_path / 'bag', seconds=8.0, skip=lambda s: 3.0 < s < 4.5)
    recording = read(path)
    assert kinds(recording) == {'gap'}
    assert recording.coverage.gaps == 1
    assert recording.coverage.longest_gap == pytest.approx(1.5)
    assert recording.coverage.first_gap == pytest.approx(3.0)
    assert recording.coverage.fraction < 0.9
    seconds = (recording.timeline.stamps - START) / 1e9
    for clip in recording.clips:
        assert np.diff(seconds[clip.frames]).max() < 0.5
    assert any(seconds[clip.frames[0]] > 4.4 for clip in recording.clips)


def test_a_few_dropped_frames_cost_nothing_and_are_counted(tmp_path):
    path = make_bag(tmp_path / 'bag', image_hz=30.0, skip=lambda s: round(s * 30) % 10 == 5)
    recording = read(path)
    assert not kinds(recording)
    assert recording.coverage.frames_dropped == 18
    assert recording.coverage.fraction == 1.0


def test_a_clock_that_jumps_back_is_named_and_no_clip_spans_it(tmp_path):
    path = make_bag(
        tmp_path / 'bag', seconds=8.0, stamp=lambda ns: ns - 2500 * MS * (ns - START >= 4000 * MS)
    )
    recording = read(path)
    assert kinds(recording) == {'clock back'}
    jumps = [f for f in recording.findings.faults if 'image' in f.message]
    assert len(jumps) == 1 and '2.4' in jumps[0].message
    stamps, records = recording.timeline.stamps, recording.timeline.records
    for clip in recording.clips:
        assert (np.diff(stamps[clip.frames]) > 0).all()
        np.testing.assert_array_equal(np.diff(stamps[clip.frames]), np.diff(records[clip.frames]))
        for frame, pose in zip(clip.frames, clip.poses, strict=True):
            np.testing.assert_allclose(pose, pose_at((records[frame] - START) / 1e9), atol=1e-6)


def test_zero_stamps_fall_back_to_record_times(tmp_path):
    recording = read(make_bag(tmp_path / 'bag', stamp=lambda ns: 0))
    assert not kinds(recording)
    assert 'no stamps' in {finding.kind for finding in recording.findings}
    np.testing.assert_array_equal(recording.timeline.stamps, recording.timeline.records)


def test_two_clocks_are_named_and_record_times_mend_it(tmp_path):
    path = tmp_path / 'bag'
    with CellBagWriter(path) as writer:
        for i in range(60):
            record = START + i * 100 * MS
            writer.pose(record, pose_at(i / 10), record)
            writer.joints(record, pose_at(i / 10), record=record)
            writer.image(record - 3_600_000 * MS, picture_at(i / 10), record)
    with pytest.raises(BagError, match='--stamps record'):
        read(path)
    assert read(path, stamps='record').coverage.fraction == 1.0


def test_states_that_stop_make_the_frames_after_them_unusable(tmp_path):
    path = tmp_path / 'bag'
    with CellBagWriter(path) as writer:
        for i in range(80):
            record = START + i * 100 * MS
            if not 30 <= i < 50:
                writer.pose(record, pose_at(i / 10), record)
            writer.joints(record, pose_at(i / 10), record=record)
            writer.image(record, picture_at(i / 10), record)
    recording = read(path)
    assert kinds(recording) == {'frames without state'}
    assert recording.coverage.frames_without_state == 20
    assert np.isfinite([clip.poses for clip in recording.clips]).all()


def test_a_topic_file_names_topics_and_refuses_unknown_keys(tmp_path):
    good = tmp_path / 'topics.yaml'
    good.write_text(
        'image: /image\npose: /ee_pose\ngripper: /joint_states\n'
        'gripper_joints: [fr3_finger_joint1]\ngripper_open: 0.04\ngripper_closed: 0\n'
    )
    spec = TopicSpec.load(good)
    assert (spec.image, spec.gripper_joints) == ('/image', ('fr3_finger_joint1',))
    bad = tmp_path / 'bad.yaml'
    bad.write_text('camera: /image\n')
    with pytest.raises(TopicError, match="unknown keys \\['camera'\\]"):
        TopicSpec.load(bad)


def test_shipped_topic_files_load():
    from jepa_wm_ros.resources import find

    files = list(find('config', 'topics').glob('*.yaml'))
    assert len(files) >= 3
    assert all(TopicSpec.load(file).image for file in files)
