"""Which kind of content some bytes are, by their first bytes; file names are not believed."""

from __future__ import annotations

from guard.errors import ContentError
from guard.types import Audio, Content, Image, Text


def media_type(data: bytes) -> str | None:
    """The media type of an image or sound that we know, else None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith(b"RIFF") and data[8:12] == b"WAVE":
        return "audio/wav"
    if data.startswith(b"fLaC"):
        return "audio/flac"
    if data.startswith((b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")):
        return "audio/mpeg"
    return None


def content_of(data: bytes) -> Content:
    """Bytes as an image, a sound or UTF-8 text. Raises ContentError when they are none of these."""
    kind = media_type(data)
    if kind is not None:
        return Image(data, kind) if kind.startswith("image/") else Audio(data, kind)
    try:
        return Text(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ContentError(
            f"byte {error.start} is not UTF-8 text, and the bytes are no image or sound that is supported "
            "(PNG, JPEG, WebP, GIF, WAV, FLAC, MP3)"
        ) from error
