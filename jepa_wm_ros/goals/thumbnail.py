# SPDX-License-Identifier: Apache-2.0
"""Small pictures with words in them: what a viewer shows of a goal, and its buttons.

Small, and as jpeg that was decoded again here, because a viewer keeps every texture that it was
ever sent and may end with one that is broken (RViz 2 does both).
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 256, 192  # px of the picture in a thumbnail
STRIP = 24  # px below it, for the name
BUTTON_HEIGHT = 64  # px, as wide as a thumbnail
QUALITY = 85
GROUND, INK = (28, 32, 38), (240, 240, 240)
MARGIN = 6  # px


def thumbnail(picture: np.ndarray, name: str) -> bytes:
    """A jpeg of WIDTH x (HEIGHT + STRIP): the whole picture (H, W, 3) uint8, its name below."""
    canvas = Image.new('RGB', (WIDTH, HEIGHT + STRIP), GROUND)
    scale = min(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    width, height = (max(1, round(scale * side)) for side in (picture.shape[1], picture.shape[0]))
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
    canvas.paste(small, ((WIDTH - small.width) // 2, (HEIGHT - small.height) // 2))
    _write(canvas, name, HEIGHT, STRIP)
    return _jpeg(canvas)


def button(text: str, colour: tuple[int, int, int]) -> bytes:
    """A jpeg of WIDTH x BUTTON_HEIGHT: words on a coloured ground."""
    canvas = Image.new('RGB', (WIDTH, BUTTON_HEIGHT), colour)
    _write(canvas, text, 0, BUTTON_HEIGHT)
    return _jpeg(canvas)


def _write(canvas: Image.Image, text: str, top: int, height: int) -> None:
    """Draw a line of text in the middle of a strip, as large as fits."""
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default()
    left, upper, right, lower = draw.textbbox((0, 0), text, font=font)
    line = Image.new('L', (max(1, int(right - left)), max(1, int(lower - upper))), 0)
    ImageDraw.Draw(line).text((-left, -upper), text, fill=255, font=font)
    scale = min((WIDTH - 2 * MARGIN) / line.width, (height - MARGIN) / line.height)
    line = line.resize((max(1, int(line.width * scale)), max(1, int(line.height * scale))))
    place = (WIDTH - line.width) // 2, top + (height - line.height) // 2
    canvas.paste(Image.new('RGB', line.size, INK), place, line)


def _jpeg(canvas: Image.Image) -> bytes:
    stream = io.BytesIO()
    canvas.save(stream, 'jpeg', quality=QUALITY)
    with Image.open(io.BytesIO(stream.getvalue()), formats=('JPEG',)) as again:
        again.load()
    return stream.getvalue()
