"""What is moderated: text, and content in file formats. Standard library only; everything is frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from guard.digest import label


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text."""

    text: str
    kind: ClassVar[str] = "text"
    media_type: ClassVar[str] = "text/plain"

    @property
    def data(self) -> bytes:
        """UTF-8; lone surrogates are kept, so that nothing is lost on the way into the record."""
        return self.text.encode("utf-8", "surrogatepass")

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the bytes."""
        return label(self.data)


@dataclass(frozen=True, slots=True)
class _Encoded:
    data: bytes = field(repr=False)
    media_type: str

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the bytes."""
        return label(self.data)


@dataclass(frozen=True, slots=True)
class Image(_Encoded):
    """An encoded image."""

    media_type: str = "image/png"
    kind: ClassVar[str] = "image"


@dataclass(frozen=True, slots=True)
class Audio(_Encoded):
    """An encoded sound."""

    media_type: str = "audio/wav"
    kind: ClassVar[str] = "audio"


@dataclass(frozen=True, slots=True)
class Video(_Encoded):
    """An encoded film."""

    media_type: str = "video/mp4"
    kind: ClassVar[str] = "video"


@dataclass(frozen=True, slots=True)
class Document(_Encoded):
    """An encoded document, such as a PDF. Text in a file of its own is `Text`, so that what reads texts reads it."""

    media_type: str = "application/pdf"
    kind: ClassVar[str] = "document"


Media = Image | Audio | Video | Document
Content = Text | Media

_MEDIA: dict[str, Callable[[bytes, str], Media]] = {
    "image": Image,
    "audio": Audio,
    "video": Video,
    "application": Document,
}


def content_from(media_type: str, data: bytes) -> Content:
    """Content of a media type: what the record stores, or what the first bytes of a file say."""
    make = _MEDIA.get(media_type.partition("/")[0])
    return make(data, media_type) if make else Text(data.decode("utf-8", "surrogatepass"))
