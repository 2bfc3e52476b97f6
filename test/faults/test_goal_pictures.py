# SPDX-License-Identifier: Apache-2.0
"""Rows 14 and 15 at a running world model: what is no goal picture is refused with its code, what
asks for too much before anything is allocated for it, and the node goes on as before.
"""

import array
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402
from jepa_wm_msgs.srv import DescribeModel, PrepareGoal, ScoreActions  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.objective import MOST_CANDIDATES, MOST_STEPS  # noqa: E402
from jepa_wm_ros.ros_image import ENCODINGS, MOST_PIXELS  # noqa: E402
from support.python_process import node  # noqa: E402
from support.ros_peers import call, ros, spinning, tiny_model  # noqa: E402

pytestmark = pytest.mark.ros
HEIGHT, WIDTH = 48, 64
GIANTS = 20
GROWTH = 50  # MiB


@pytest.fixture(scope='module')
def asking(tmp_path_factory):
    """A running world model that knows no camera, and a function that asks it for goals."""
    model = tiny_model(tmp_path_factory.mktemp('model'))
    with ros(), node('world_model', model=model, threads=1) as process:
        client = rclpy.create_node('client')
        with spinning(client):
            yield (
                process,
                lambda name, kind, **fields: call(
                    client, kind, f'world_model/{name}', kind.Request(**fields)
                ),
            )
        client.destroy_node()


def raw(encoding: str, channels: int = 3, size: int = 1) -> Image:
    pixels = np.random.default_rng(0).integers(1, 255, HEIGHT * WIDTH * channels * size, np.uint8)
    return Image(
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        step=WIDTH * channels * size,
        data=array.array('B', pixels.tobytes()),
    )


def compressed(kind: str, change=lambda data: data) -> CompressedImage:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Picture.fromarray(pixels).save(stream, kind)
    return CompressedImage(format=kind, data=array.array('B', change(stream.getvalue())))


def claiming(width: int, height: int) -> CompressedImage:
    """A PNG of a few bytes whose header claims this size."""
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    chunks = [(b'IHDR', header), (b'IDAT', zlib.compress(bytes(64))), (b'IEND', b'')]
    data = b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return CompressedImage(format='png', data=array.array('B', data))


TAKEN = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1}
REFUSED = [name for name in ENCODINGS if name not in TAKEN] + ['bayer_rggb8', 'yuv422', '']


@pytest.mark.fault(14)
@pytest.mark.parametrize('encoding', TAKEN)
def test_a_colour_picture_is_taken(asking, encoding):
    answer = asking[1]('prepare_goal', PrepareGoal, images=[raw(encoding, TAKEN[encoding])])
    assert answer.error_code == 0 and len(answer.goal_ids) == 1


@pytest.mark.fault(14)
@pytest.mark.parametrize('kind', ['jpeg', 'png'])
def test_a_compressed_picture_is_taken(asking, kind):
    answer = asking[1]('prepare_goal', PrepareGoal, compressed=[compressed(kind)])
    assert answer.error_code == 0 and len(answer.goal_ids) == 1


@pytest.mark.fault(14)
@pytest.mark.parametrize('encoding', REFUSED)
def test_another_encoding_is_refused_by_its_name(asking, encoding):
    answer = asking[1]('prepare_goal', PrepareGoal, images=[raw(encoding, 4)])
    assert answer.error_code == FaultCode.UNSUPPORTED_ENCODING
    assert repr(encoding) in answer.error_msg and '\n' not in answer.error_msg


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    'fields, code',
    [
        ({}, FaultCode.EMPTY_GOAL),
        ({'images': [Image(encoding='rgb8')]}, FaultCode.BAD_IMAGE),
        ({'compressed': [CompressedImage(format='jpeg')]}, FaultCode.BAD_IMAGE),
        ({'compressed': [compressed('jpeg', lambda data: data[:300])]}, FaultCode.BAD_IMAGE),
        ({'compressed': [compressed('png', lambda data: data[:300])]}, FaultCode.BAD_IMAGE),
        ({'compressed': [compressed('png', lambda data: data[::-1])]}, FaultCode.BAD_IMAGE),
        (
            {'images': [Image(height=9, width=9, encoding='rgb8', step=27, data=bytes(243))]},
            FaultCode.BAD_IMAGE,
        ),
        ({'compressed': [claiming(9000, MOST_PIXELS // 9000 + 1)]}, FaultCode.BAD_IMAGE),
        ({'compressed': [claiming(1 << 30, 1 << 30)]}, FaultCode.BAD_IMAGE),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(asking, fields, code):
    answer = asking[1]('prepare_goal', PrepareGoal, **fields)
    assert answer.error_code == code and not answer.goal_ids
    assert answer.error_msg and '\n' not in answer.error_msg


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    'candidates, horizon, numbers',
    [
        (0, 3, 0),
        (3, 0, 0),
        (2, 3, 41),
        (2, 3, 0),
        (1, MOST_STEPS + 1, 7 * (MOST_STEPS + 1)),
        (1, 2000, 14000),
        (MOST_CANDIDATES + 1, 1, 7 * (MOST_CANDIDATES + 1)),
        (0xFFFFFFFF, 0xFFFFFFFF, 7),
    ],
)
def test_candidates_that_no_plan_needs_are_refused(asking, candidates, horizon, numbers):
    answer = asking[1](
        'score_actions',
        ScoreActions,
        candidates=candidates,
        horizon=horizon,
        actions=array.array('f', [0.0] * numbers),
        want_gradient=True,
    )
    assert answer.error_code == FaultCode.BAD_LIMITS, answer.error_msg
    assert answer.error_msg and '\n' not in answer.error_msg


@pytest.mark.slow
@pytest.mark.fault(15)
def test_giant_pictures_leave_no_memory_behind(asking):
    process, ask = asking
    giant = Image(height=9000, width=9000, encoding='mono8', step=9000)
    giant.data = array.array('B', bytes(81_000_000))
    sizes = []
    for _ in range(GIANTS):
        answer = ask('prepare_goal', PrepareGoal, images=[giant])
        assert answer.error_code == FaultCode.BAD_IMAGE and 'larger' in answer.error_msg
        pages = Path(f'/proc/{process.pid}/statm').read_text().split()[1]
        sizes.append(int(pages) * 4096 / 2**20)
    print('MiB', [round(size) for size in sizes])
    assert sizes[-1] - sizes[0] < GROWTH


def test_after_all_that_the_node_still_answers(asking):
    process, ask = asking
    assert ask('describe', DescribeModel).name and process.poll() is None
