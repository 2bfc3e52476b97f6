# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image and CompressedImage <-> NumPy, for messages of rclpy and of rosbags alike.

Messages are used by their fields only, so nothing here imports ROS. Where a ROS 2 cv_bridge is
installed it decodes the colour images of live messages; everywhere else, and for everything else,
the converter below does, and a test holds the two together. PyPI's `cv-bridge` is a ROS 1 package
that decodes wrongly: it is told apart by the ament index, which only lists ROS 2 packages.
"""

from __future__ import annotations

import array
import functools
import importlib
import io
import os
import sys
from pathlib import Path

import numpy as np

from jepa_wm_ros.errors import FaultCode, JepaWmError

# encoding: (bytes of one channel as a NumPy type, channels); sensor_msgs/image_encodings.hpp
ENCODINGS = {
    'rgb8': ('u1', 3),
    'bgr8': ('u1', 3),
    'rgba8': ('u1', 4),
    'bgra8': ('u1', 4),
    'mono8': ('u1', 1),
    '8UC1': ('u1', 1),
    '8UC3': ('u1', 3),
    'mono16': ('u2', 1),
    '16UC1': ('u2', 1),
    '32FC1': ('f4', 1),
}
MOST_PIXELS = 64_000_000  # of one picture
COLOUR = ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8')  # those with a meaning as a picture


class ImageError(JepaWmError):
    """An image message whose contents do not fit its own description."""

    code = FaultCode.BAD_IMAGE


class UnsupportedEncodingError(ImageError):
    """An image in an encoding that is not, or cannot be, used here."""

    code = FaultCode.UNSUPPORTED_ENCODING


def to_rgb8(message) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB of an Image in one of COLOUR or of a jpeg or png.

    The picture is a copy of its own. Raises UnsupportedEncodingError for depth images and others
    without colour meaning, and ImageError for empty, truncated or undecodable data.
    """
    if hasattr(message, 'format'):
        return _decompress(message)
    if message.encoding not in COLOUR:
        raise UnsupportedEncodingError(
            f'image encoding {message.encoding!r} is no colour picture; '
            f'publish one of {", ".join(COLOUR)}'
        )
    pixels = to_array(message)
    if type(message).__module__.startswith('sensor_msgs.') and (bridge := _cv_bridge()):
        return bridge.imgmsg_to_cv2(message, 'rgb8')
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    if message.encoding.startswith('bgr'):
        return pixels[..., 2::-1].copy()
    return pixels[..., :3].copy()


def to_array(message) -> np.ndarray:
    """The pixels of an Image as they are: (H, W) or (H, W, channels) in the encoding's own type.

    A view of the message's memory (read-only) that passes over the padding of each row; a copy in
    native byte order where the sender's differs. Raises ImageError, UnsupportedEncodingError.
    """
    dtype, channels = _layout(message.encoding)
    dtype = dtype.newbyteorder('>' if message.is_bigendian else '<')
    height, width = message.height, message.width
    _check_size(width, height)
    row = width * channels * dtype.itemsize
    step = message.step or row
    data = np.frombuffer(message.data, np.uint8)
    if step < row:
        raise ImageError(
            f'step {step} of a {width}x{height} {message.encoding} image is shorter '
            f'than a row of {row} bytes: mend the publisher'
        )
    needed = (height - 1) * step + row
    if data.size < needed:
        raise ImageError(
            f'{width}x{height} {message.encoding} image has {data.size} bytes of '
            f'{needed}: it was cut off on its way, or the publisher is wrong'
        )
    strides = (step, channels * dtype.itemsize, dtype.itemsize)
    pixels = np.ndarray((height, width, channels), dtype, data, strides=strides)
    pixels.flags.writeable = False
    if channels == 1:
        pixels = pixels[..., 0]
    return pixels if dtype.isnative else pixels.astype(dtype.newbyteorder('='))


def fill_image(message, pixels: np.ndarray, encoding: str):
    """Put pixels (H, W) or (H, W, channels) into the Image `message` and return it.

    The header is left as it is. Raises ImageError when the array is not what `encoding` says.
    """
    dtype, channels = _layout(encoding)
    given = pixels.shape[2] if pixels.ndim == 3 else 1
    fits = pixels.dtype == dtype and pixels.ndim in (2, 3) and given == channels
    if not fits or pixels.size == 0:
        raise ImageError(
            f'{encoding} needs (H, W{f", {channels}" if channels > 1 else ""}) of '
            f'{dtype}, got {pixels.shape} of {pixels.dtype}'
        )
    message.height, message.width = (int(size) for size in pixels.shape[:2])
    message.encoding = encoding
    message.is_bigendian = int(sys.byteorder == 'big')
    message.step = message.width * channels * dtype.itemsize
    # array.array is what generated messages hold: 0.03 ms for a VGA frame, where an ndarray is
    # copied element by element in 44 ms.
    message.data = array.array('B')
    message.data.frombytes(np.ascontiguousarray(pixels).data.cast('B'))
    return message


def fill_compressed(message, pixels: np.ndarray, quality: int = 90):
    """Put a picture (H, W, 3) uint8 RGB as a jpeg into `message`, a CompressedImage; return it."""
    from PIL import Image

    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageError(f'a jpeg needs (H, W, 3) of uint8, got {pixels.shape} of {pixels.dtype}')
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'jpeg', quality=quality)
    message.format = 'jpeg'
    message.data = array.array('B', buffer.getvalue())
    return message


def _layout(encoding: str) -> tuple[np.dtype, int]:
    if encoding not in ENCODINGS:
        raise UnsupportedEncodingError(
            f'image encoding {encoding!r} is not supported; use one of {", ".join(ENCODINGS)}'
        )
    dtype, channels = ENCODINGS[encoding]
    return np.dtype(dtype), channels


def _check_size(width: int, height: int) -> None:
    if not (height and width):
        raise ImageError(f'image of {width}x{height} pixels is empty: is the camera driver ready?')
    if height * width > MOST_PIXELS:
        raise ImageError(
            f'image of {width}x{height} pixels is larger than {MOST_PIXELS // 1_000_000} million '
            'pixels: publish a smaller one'
        )


def _decompress(message) -> np.ndarray:
    from PIL import Image

    data = memoryview(message.data).cast('B')
    if 'compressedDepth' in message.format:
        raise UnsupportedEncodingError(
            f'compressed image of format {message.format!r} is a depth image; publish jpeg or png'
        )
    if not data:
        raise ImageError('compressed image is empty: is the camera driver ready?')
    try:
        with Image.open(io.BytesIO(data), formats=('JPEG', 'PNG')) as picture:
            _check_size(*picture.size)
            if picture.mode not in ('RGB', 'RGBA', 'L', 'LA', 'P'):
                raise UnsupportedEncodingError(
                    f'compressed image holds {picture.mode} pixels; publish an 8-bit colour or '
                    'grey jpeg or png'
                )
            return np.array(picture.convert('RGB'))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(
            f'compressed image of {len(data)} bytes, format {message.format!r}, is no '
            f'whole jpeg or png ({error})'
        ) from None


@functools.cache
def _cv_bridge():
    """A CvBridge of ROS 2, or None where there is none that works."""
    marker = Path('share', 'ament_index', 'resource_index', 'packages', 'cv_bridge')
    prefixes = filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep))
    if not any((Path(prefix) / marker).is_file() for prefix in prefixes):
        return None
    try:
        return importlib.import_module('cv_bridge').CvBridge()
    except (ImportError, AttributeError):  # built for another Python or another NumPy
        return None
