"""The bytes of a content credential as they lie in an image (C2PA 2.4, Annex A), and its label.

The library signs and reads; it does not hand out the bytes, which are what a manifest repository serves.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from guard import media

_SUPERBOX, _DESCRIPTION = b"jumb", b"jumd"
_LABEL_AT = 17  # in a description box: a UUID of 16 bytes and a byte of flags come first
_GIF = b"C2PA_GIF"
_LONGEST = 200


def store(data: bytes) -> bytes | None:
    """The manifest store in a PNG, JPEG, WebP or GIF; None where there is none or the file is cut off."""
    readers = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp, "image/gif": _gif}
    read = readers.get(media.media_type(data) or "")
    try:
        found = read(data) if read else None
    except (struct.error, IndexError, ValueError):
        return None
    return found or None


def active_label(data: bytes) -> str | None:
    """The label of the manifest in force: the last one of the store."""
    found = store(data)
    if found is None:
        return None
    try:
        _, content = next(_boxes(found))
        last = [box for kind, box in _boxes(content) if kind == _SUPERBOX][-1]
        description = next(box for kind, box in _boxes(last) if kind == _DESCRIPTION)
        label = description[_LABEL_AT : description.index(b"\0", _LABEL_AT)].decode("ascii")
    except (struct.error, IndexError, ValueError, StopIteration):
        return None
    return label if 0 < len(label) <= _LONGEST and label.isprintable() else None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The ISO boxes in some bytes: types and contents."""
    at = 0
    while at + 8 <= len(data):
        size, head = struct.unpack_from(">I", data, at)[0], 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        if size < head or at + size > len(data):
            raise ValueError("a box is cut off")
        yield data[at + 4 : at + 8], data[at + head : at + size]
        at += size


def _png(data: bytes) -> bytes:
    at = 8
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        if data[at + 4 : at + 8] == b"caBX":
            return data[at + 8 : at + 8 + size]
        at += 12 + size
    return b""


def _jpeg(data: bytes) -> bytes:
    """In APP11 segments, each of which repeats the head of the box that it continues."""
    at, found = 2, b""
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = struct.unpack_from(">H", data, at + 2)[0]
        segment = data[at + 4 : at + 2 + size]
        if data[at + 1] == 0xEB and segment[:2] == b"JP" and segment[12:16] == _SUPERBOX:
            number = struct.unpack_from(">I", segment, 4)[0]
            found += segment[8:] if number == 1 else segment[16:]
        at += 2 + size
    return found


def _webp(data: bytes) -> bytes:
    at = 12
    while at + 8 <= len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        if data[at : at + 4] == b"C2PA":
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return b""


def _gif(data: bytes) -> bytes:
    """In the sub-blocks of an application extension."""
    at = data.find(b"\x21\xff\x0b" + _GIF)
    if at < 0:
        return b""
    at, found = at + 14, b""
    while data[at]:
        found += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    return found
