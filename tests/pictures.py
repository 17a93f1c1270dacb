"""Pictures drawn for the tests."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import Image as Pil
from PIL import ImageDraw, ImageFont

from guard.types import Image

CARD = "My card is 4111 1111 1111 1111."
MAIL = "Write to ann.lee42@mail.example today."
RUDE = "You are a complete idiot."


def encoded(picture: Any, kind: str = "PNG", **options: Any) -> Image:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return Image(buffer.getvalue(), f"image/{kind.lower()}")


def written(*lines: str, size: int = 28, ink: str = "black", paper: Any = "white", mode: str = "RGB") -> Any:
    """Lines of text, one below the other."""
    picture = Pil.new(mode, (560, 30 + 60 * len(lines)), paper)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((20, 20 + 60 * number), line, fill=ink, font=ImageFont.load_default(size))
    return picture


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Any:
    """Coloured shapes."""
    chance = random.Random(seed)
    picture = Pil.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for _ in range(40):
        x, y, side = chance.randrange(size[0]), chance.randrange(size[1]), chance.randrange(5, size[0] // 4)
        colour = tuple(chance.randrange(256) for _ in range(3))
        (draw.ellipse if chance.random() < 0.5 else draw.rectangle)((x, y, x + side, y + side), fill=colour)
    return picture


def moving(frames: Sequence[Any], kind: str = "GIF") -> Image:
    return encoded(frames[0], kind, save_all=True, append_images=list(frames[1:]), duration=100, loop=0)


def bomb(width: int, height: int) -> Image:
    """A PNG of few bytes that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(width // 8 + 1) * min(height, 200))
    return Image(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
