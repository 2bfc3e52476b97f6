# SPDX-License-Identifier: Apache-2.0
"""Target: pictures as messages carry them, raw and compressed."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from fuzz.mutations import NUMBERS, damaged
from jepa_wm_ros import ros_image

FORMATS = ('jpeg', 'png', 'rgb8; jpeg compressed bgr8', '', 'compressedDepth', 'x' * 300)


class Pictures:
    """sensor_msgs/Image and CompressedImage by their fields."""

    def __init__(self, folder: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 4), np.uint8)
        self.files = []
        for kind, mode in (('JPEG', 'RGB'), ('PNG', 'RGB'), ('PNG', 'RGBA'), ('PNG', 'P'),
                           ('PNG', 'I;16'), ('JPEG', 'L'), ('GIF', 'P')):  # fmt: skip
            stream = io.BytesIO()
            if mode == 'I;16':
                picture = Image.fromarray(pixels[..., 0].astype(np.uint16))
            else:
                picture = Image.fromarray(pixels).convert(mode)
            picture.save(stream, kind)
            self.files.append(stream.getvalue())

    def prepare(self, rng: np.random.Generator):
        if rng.random() < 0.5:
            first, second = rng.choice(len(self.files), 2)
            data = damaged(self.files[first], rng, self.files[second])
            message = SimpleNamespace(format=FORMATS[rng.integers(len(FORMATS))], data=data)
        else:
            message = self._raw(rng)

        def read():
            picture = ros_image.to_rgb8(message)
            assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8
            assert picture.size > 0

        return read

    def _raw(self, rng: np.random.Generator) -> SimpleNamespace:
        encodings = (*ros_image.ENCODINGS, 'bayer_rggb8', 'yuv422', '', '\x00', 'RGB8', 'rgb16')
        encoding = encodings[rng.integers(len(encodings))]
        height, width = (int(n) for n in rng.integers(1, 20, 2))
        fields = {'height': height, 'width': width, 'step': width * int(rng.choice((1, 3, 4)))}
        data = rng.bytes(max(0, height * fields['step'] + int(rng.integers(-9, 10))))
        for name in fields:
            if rng.random() < 0.2:
                fields[name] = NUMBERS[rng.integers(len(NUMBERS))] & 0xFFFFFFFF
        return SimpleNamespace(
            **fields, encoding=encoding, is_bigendian=int(rng.integers(256)), data=data
        )
