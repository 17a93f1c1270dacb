"""A small real image mark: one keyed pattern for each of 48 bits, added to the luminance and found again by correlation.

It withstands compression and resizing of a whole picture, and is easily copied from one picture to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as Pil

from guard import pictures
from guard.types import Generated, Image, Layer, Request
from tests.pictures import encoded

SIDE, BITS, STRENGTH, SURE = 512, 48, 1.6, 5.0
ALGORITHM = "org.example.spread.1"


@dataclass(frozen=True)
class Found:
    mark_id: bytes
    key_id: str
    scale: float
    rotation: float = 0.0
    flipped: bool = False


def patterns(key: int) -> Any:
    small = np.random.default_rng(key).choice([-1.0, 1.0], (BITS, SIDE // 4, SIDE // 4))
    return small.repeat(4, 1).repeat(4, 2)  # coarse, so that compression leaves it


def residual(mark_id: bytes, key: int) -> Any:
    signs = np.unpackbits(np.frombuffer(mark_id, np.uint8)).astype(float) * 2 - 1
    return STRENGTH * np.tensordot(signs, patterns(key), 1)


def embed(picture: Any, mark_id: bytes, key: int) -> Image:
    """Any picture, at SIDE × SIDE."""
    values = np.asarray(picture.convert("RGB").resize((SIDE, SIDE)), float) * 0.8 + 25
    return encoded(Pil.fromarray(np.clip(values + residual(mark_id, key)[:, :, None], 0, 255).astype("u1")))


class Detector:
    def __init__(self, key: int) -> None:
        self._key, self._patterns = key, patterns(key)
        self.calls: list[bool] = []

    def __call__(self, image: Image, search: bool) -> Found | None:
        self.calls.append(search)
        picture = next(pictures.views(pictures.frames(image)[0]))
        values = np.asarray(picture.convert("L").resize((SIDE, SIDE)), float)
        values = values - np.asarray(picture.convert("L").resize((32, 32)).resize((SIDE, SIDE)), float)
        sums = np.tensordot(self._patterns, values, 2)
        strength = np.abs(sums) / (values.std() * SIDE * 4)
        if strength.mean() < SURE:
            return None
        return Found(np.packbits(sums > 0).tobytes(), "test", picture.width / SIDE)


class Marked:
    """A generator of marked pictures: mark ids by prompt."""

    name = "painter"

    def __init__(self, pictures_: dict[str, Any], ids: dict[str, bytes], key: int) -> None:
        self._pictures, self._ids, self._key = pictures_, ids, key

    def generate(self, request: Request) -> Generated:
        prompt = request.prompt.data.decode()
        detail = {"mark_id": self._ids[prompt].hex(), "key_id": "test"}
        image = embed(self._pictures[prompt], self._ids[prompt], self._key)
        return Generated(image, {"model": "painter"}, (Layer("watermark", "applied", ALGORITHM, detail),))
