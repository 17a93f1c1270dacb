"""Watermarks: marks in the content itself, which outlive metadata. Here are the keys that they share.

A key marks until the next one of its name is made (such as `image-mark`, then `image-mark-2`); from then on it only reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from guard.digest import keyed
from guard.keys import KeyRing
from guard.types import Layer

Scheme = Literal["gumbel", "greenlist", "synthid"]
TEXT_KEY, IMAGE_MARK, AUDIO_MARK = "watermark", "image-mark", "audio-mark"  # the names of the keys
UNMARKED = Layer("watermark", "not_applicable", "", {"reason": "only a local model's tokens can be marked"})


@dataclass(frozen=True, slots=True)
class TextMark:
    """How a local text model marks its tokens."""

    scheme: Scheme
    key: bytes = field(repr=False)


def key_id(key: bytes) -> str:
    """Which key made a mark, without saying anything about the key."""
    return keyed(key, "watermark-key-id", b"").hex()[:8]


def key_ring(keys: KeyRing, name: str) -> dict[str, bytes]:
    """All keys of a name by their id, oldest first: the last one marks, all of them read. The first is made on first use."""
    found = [keys.secret(name)]
    while (keys.folder / f"{name}-{len(found) + 1}.key").exists():
        found.append(keys.secret(f"{name}-{len(found) + 1}"))
    return {key_id(key): key for key in found}


def newest(keys: KeyRing, name: str) -> bytes:
    """The key of a name that marks now."""
    return list(key_ring(keys, name).values())[-1]


def text_mark(keys: KeyRing, scheme: Scheme | None) -> TextMark | None:
    """The mark under the newest key; None for no scheme."""
    return TextMark(scheme, newest(keys, TEXT_KEY)) if scheme else None
