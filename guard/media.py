"""Which kind of content some bytes are, by their first bytes; file names are not believed."""

from __future__ import annotations

from guard.errors import ContentError
from guard.types import Content, Text, content_from

_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
}


def media_type(data: bytes) -> str | None:
    """The media type of an image, sound, film or document that we know, else None."""
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
    if data.startswith(b"\0\0") and data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    if data.startswith((b"II*\0", b"MM\0*")):
        return "image/tiff"
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    return None


def content_of(data: bytes) -> Content:
    """Bytes as what they are, else as UTF-8 text. Raises ContentError when they are neither."""
    kind = media_type(data)
    if kind is not None:
        return content_from(kind, data)
    try:
        return Text(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ContentError(
            f"byte {error.start} is not UTF-8 text, and the bytes are no image, sound, film or document that is "
            "supported (PNG, JPEG, WebP, GIF, TIFF, AVIF, WAV, FLAC, MP3, M4A, MP4, MOV, PDF)"
        ) from error
