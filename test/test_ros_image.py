# SPDX-License-Identifier: Apache-2.0
"""Image messages and arrays say the same, whoever wrote the message."""

import io
import struct
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepa_wm_ros import ros_image
from jepa_wm_ros.ros_image import (
    ImageError,
    UnsupportedEncodingError,
    fill_image,
    to_array,
    to_rgb8,
)


@dataclass
class Image:
    """The fields of sensor_msgs/Image that carry pixels."""

    height: int = 0
    width: int = 0
    encoding: str = ''
    is_bigendian: int = 0
    step: int = 0
    data: bytes = b''


@dataclass
class Compressed:
    format: str = 'jpeg'
    data: bytes = field(default=b'', repr=False)


def random_pixels(encoding, height=5, width=7, seed=0):
    kind, channels = ros_image.ENCODINGS[encoding]
    shape = (height, width) if channels == 1 else (height, width, channels)
    generator = np.random.default_rng(seed)
    if kind == 'f4':
        return generator.normal(size=shape).astype(kind)
    return generator.integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)


# Hand-computed messages: two pixels whose bytes are written out.


@pytest.mark.parametrize(
    'encoding, data, expected',
    [
        ('rgb8', bytes([1, 2, 3, 4, 5, 6]), [[1, 2, 3], [4, 5, 6]]),
        ('bgr8', bytes([3, 2, 1, 6, 5, 4]), [[1, 2, 3], [4, 5, 6]]),
        ('rgba8', bytes([1, 2, 3, 99, 4, 5, 6, 99]), [[1, 2, 3], [4, 5, 6]]),
        ('bgra8', bytes([3, 2, 1, 99, 6, 5, 4, 99]), [[1, 2, 3], [4, 5, 6]]),
        ('mono8', bytes([7, 8]), [[7, 7, 7], [8, 8, 8]]),
    ],
)
def test_two_pixels_of_each_colour_encoding_become_rgb(encoding, data, expected):
    message = Image(1, 2, encoding, 0, len(data), data)
    assert to_rgb8(message).tolist() == [expected]


@pytest.mark.parametrize('bigendian, pack', [(0, '<'), (1, '>')])
def test_sixteen_and_thirty_two_bit_pixels_follow_the_senders_byte_order(bigendian, pack):
    depth = Image(1, 2, '16UC1', bigendian, 4, struct.pack(pack + '2H', 258, 65535))
    assert to_array(depth).tolist() == [[258, 65535]]
    assert to_array(depth).dtype.isnative
    metres = Image(1, 2, '32FC1', bigendian, 8, struct.pack(pack + '2f', 0.5, -2.25))
    assert to_array(metres).tolist() == [[0.5, -2.25]]


def test_padding_at_the_end_of_each_row_is_passed_over():
    rows = [bytes([1, 2, 3, 4, 5, 6]), bytes([7, 8, 9, 10, 11, 12])]
    padded = Image(2, 2, 'rgb8', 0, 10, (b'\xee' * 4).join(rows))
    assert to_rgb8(padded).tolist() == [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]


def test_a_step_of_zero_means_rows_without_padding():
    assert to_rgb8(Image(2, 1, 'mono8', 0, 0, bytes([5, 6])))[:, 0, 0].tolist() == [5, 6]


@given(
    encoding=st.sampled_from(sorted(ros_image.ENCODINGS)),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(encoding, height, width, seed):
    pixels = random_pixels(encoding, height, width, seed)
    message = fill_image(Image(), pixels, encoding)
    back = to_array(message)
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, pixels)


@given(encoding=st.sampled_from(ros_image.COLOUR), padding=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_picture_does_not_depend_on_the_padding_of_its_rows(encoding, padding):
    message = fill_image(Image(), random_pixels(encoding), encoding)
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    wide = np.pad(rows, ((0, 0), (0, padding)), constant_values=171)
    padded = Image(message.height, message.width, encoding, 0, wide.shape[1], wide.tobytes())
    np.testing.assert_array_equal(to_rgb8(padded), to_rgb8(message))


def test_a_strided_view_is_written_as_it_looks():
    pixels = random_pixels('rgb8', 6, 8)[::2, ::-1]
    np.testing.assert_array_equal(to_rgb8(fill_image(Image(), pixels, 'rgb8')), pixels)


def test_reading_copies_nothing_and_protects_the_message():
    message = fill_image(Image(), random_pixels('rgb8'), 'rgb8')
    view = to_array(message)
    assert np.shares_memory(view, np.frombuffer(message.data, np.uint8))
    with pytest.raises(ValueError):
        view[0, 0, 0] = 1
    own = to_rgb8(message)
    own[...] = 0
    assert to_rgb8(message).any()


# Faults: one line each, naming what and how to mend it.


@pytest.mark.parametrize(
    'message, said',
    [
        (Image(0, 0, 'rgb8', 0, 0, b''), 'empty'),
        (Image(4, 0, 'rgb8', 0, 0, b''), 'empty'),
        (Image(2, 2, 'rgb8', 0, 6, b''), '0 bytes of 12'),
        (Image(2, 2, 'rgb8', 0, 6, bytes(11)), '11 bytes of 12'),
        (Image(2, 2, 'rgb8', 0, 5, bytes(12)), 'step 5'),
    ],
)
def test_empty_or_truncated_images_are_refused_in_one_line(message, said):
    with pytest.raises(ImageError) as caught:
        to_rgb8(message)
    assert said in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1', 'mono16', '8UC3'])
def test_depth_images_are_read_raw_but_are_no_picture(encoding):
    message = fill_image(Image(), random_pixels(encoding), encoding)
    assert to_array(message).size
    with pytest.raises(UnsupportedEncodingError, match=encoding):
        to_rgb8(message)


@pytest.mark.parametrize('encoding', ['', 'yuv422', 'bayer_rggb8', 'RGB8', '64FC1'])
def test_unknown_encodings_name_those_that_can_be_used(encoding):
    message = Image(1, 1, encoding, 0, 8, bytes(8))
    for read in (to_rgb8, to_array):
        with pytest.raises(UnsupportedEncodingError, match='rgb8') as caught:
            read(message)
        assert repr(encoding) in str(caught.value)


@pytest.mark.parametrize(
    'pixels, encoding',
    [
        (np.zeros((2, 2, 3), np.float32), 'rgb8'),
        (np.zeros((2, 2), np.uint8), 'rgb8'),
        (np.zeros((2, 2, 4), np.uint8), 'rgb8'),
        (np.zeros((2, 2, 3), np.uint8), 'mono8'),
        (np.zeros((0, 2, 3), np.uint8), 'rgb8'),
        (np.zeros((2, 2), '>u2'), 'mono16'),
        (np.zeros((1, 2, 2, 3), np.uint8), 'rgb8'),
    ],
)
def test_an_array_that_does_not_fit_its_encoding_is_not_written(pixels, encoding):
    if sys.byteorder == 'big' and pixels.dtype == '>u2':
        pytest.skip('that is the native order here')
    with pytest.raises(ImageError, match=encoding):
        fill_image(Image(), pixels, encoding)


# Compressed images, against OpenCV.


def smooth_picture():
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 4, y * 5, 255 - x * 2 - y], axis=-1).clip(0, 255).astype(np.uint8)


def encoded(extension, bgr, *flags):
    cv2 = pytest.importorskip('cv2')
    done, data = cv2.imencode(extension, bgr, list(flags))
    assert done
    return data.tobytes()


def test_a_png_is_decoded_to_the_very_pixels_that_opencv_wrote():
    picture = smooth_picture()
    message = Compressed('rgb8; png compressed bgr8', encoded('.png', picture[..., ::-1]))
    np.testing.assert_array_equal(to_rgb8(message), picture)


def test_a_jpeg_is_decoded_as_opencv_does():
    cv2 = pytest.importorskip('cv2')
    data = encoded('.jpg', smooth_picture()[..., ::-1])
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    ours = to_rgb8(Compressed('bgr8; jpeg compressed bgr8', data))
    assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_grey_and_transparent_compressed_pictures_become_rgb():
    grey = smooth_picture()[..., 0]
    np.testing.assert_array_equal(
        to_rgb8(Compressed('png', encoded('.png', grey))), np.repeat(grey[..., None], 3, 2)
    )
    bgra = np.dstack([smooth_picture()[..., ::-1], np.full_like(grey, 128)])
    np.testing.assert_array_equal(
        to_rgb8(Compressed('png', encoded('.png', bgra))), smooth_picture()
    )


def test_a_jpeg_written_here_is_near_the_picture_and_readable_by_opencv():
    cv2 = pytest.importorskip('cv2')
    message = ros_image.fill_compressed(Compressed(), smooth_picture())
    assert message.format == 'jpeg'
    theirs = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(theirs.astype(int) - smooth_picture()).mean() < 3


def test_broken_compressed_images_are_refused_in_one_line():
    whole = encoded('.jpg', smooth_picture())
    sixteen_bit = io.BytesIO()
    pytest.importorskip('PIL.Image').fromarray(np.ones((4, 4), np.uint16)).save(sixteen_bit, 'png')
    for message, error in [
        (Compressed('jpeg', b''), ImageError),
        (Compressed('jpeg', whole[: len(whole) // 2]), ImageError),
        (Compressed('jpeg', b'not a picture at all'), ImageError),
        (Compressed('png', sixteen_bit.getvalue()), UnsupportedEncodingError),
        (Compressed('16UC1; compressedDepth png', whole), UnsupportedEncodingError),
    ]:
        with pytest.raises(error) as caught:
            to_rgb8(message)
        assert '\n' not in str(caught.value)


# Real messages.


@pytest.mark.ros
def test_generated_messages_carry_pictures_both_ways():
    messages = pytest.importorskip('sensor_msgs.msg', reason='no ROS 2 messages here')
    picture = random_pixels('rgb8', 48, 64)
    np.testing.assert_array_equal(to_rgb8(fill_image(messages.Image(), picture, 'rgb8')), picture)
    jpeg = ros_image.fill_compressed(messages.CompressedImage(), smooth_picture())
    assert to_rgb8(jpeg).shape == smooth_picture().shape


def test_messages_read_from_a_bag_decode_alike():
    typesys = pytest.importorskip('rosbags.typesys', reason='rosbags is not installed')
    types = typesys.get_typestore(typesys.Stores.ROS2_JAZZY).types
    time = types['builtin_interfaces/msg/Time'](sec=0, nanosec=0)
    header = types['std_msgs/msg/Header'](stamp=time, frame_id='camera')
    picture = random_pixels('rgb8', 6, 4)
    message = types['sensor_msgs/msg/Image'](
        header=header,
        height=6,
        width=4,
        encoding='bgr8',
        is_bigendian=0,
        step=12,
        data=picture[..., ::-1].reshape(-1).copy(),
    )
    np.testing.assert_array_equal(to_rgb8(message), picture)


@pytest.mark.installed_ros
@pytest.mark.parametrize('encoding', ros_image.COLOUR)
def test_our_converter_agrees_with_cv_bridge_of_an_installed_ros(encoding, monkeypatch):
    messages = pytest.importorskip('sensor_msgs.msg', reason='no ROS 2 messages here')
    if ros_image._cv_bridge() is None:
        pytest.skip('no cv_bridge of ROS 2 in this environment')
    message = fill_image(messages.Image(), random_pixels(encoding), encoding)
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    wide = np.pad(rows, ((0, 0), (0, ros_image.ENCODINGS[encoding][1] * 2)))
    message.step, message.data = wide.shape[1], wide.tobytes()
    theirs = to_rgb8(message)
    monkeypatch.setattr(ros_image, '_cv_bridge', lambda: None)
    np.testing.assert_array_equal(to_rgb8(message), theirs)


def test_a_cv_bridge_that_the_ament_index_does_not_list_is_not_used(monkeypatch, tmp_path):
    (tmp_path / 'cv_bridge.py').write_text('raise AssertionError("the ROS 1 package was imported")')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    ros_image._cv_bridge.cache_clear()
    assert ros_image._cv_bridge() is None
    ros_image._cv_bridge.cache_clear()
