"""Watermarks: marks in the content itself, which outlive metadata. Here are the keys that they share.

A key marks until the next one of its name is made (`image-mark`, `image-mark-2`, …); from then on it only reads.
"""

from __future__ import annotations

from guard.digest import keyed
from guard.keys import KeyRing


def key_id(key: bytes) -> str:
    """Which key made a mark, without saying anything about the key."""
    return keyed(key, "watermark-key-id", b"").hex()[:8]


def key_ring(keys: KeyRing, name: str) -> dict[str, bytes]:
    """All keys of a name by their id, oldest first: the last one marks, all of them read. The first is made on first use."""
    found = [keys.secret(name)]
    while (keys.folder / f"{name}-{len(found) + 1}.key").exists():
        found.append(keys.secret(f"{name}-{len(found) + 1}"))
    return {key_id(key): key for key in found}
