"""Content is known by its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ContentError
from guard.media import content_of, media_type
from guard.types import Audio, Content, Document, Image, Text, Video, content_from


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF1234WEBP", "image/webp"),
        (b"RIFF1234WAVE", "audio/wav"),
        (b"fLaC", "audio/flac"),
        (b"ID3\x04", "audio/mpeg"),
        (b"II*\0", "image/tiff"),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b"\0\0\0\x20ftypqt  ", "video/quicktime"),
        (b"%PDF-1.7", "application/pdf"),
    ],
)
def test_kinds(start: bytes, kind: str) -> None:
    content = content_of(start + b"rest")
    assert media_type(start) == kind
    assert content.media_type == kind
    family = {"image": Image, "audio": Audio, "video": Video, "application": Document}
    assert isinstance(content, family[kind.partition("/")[0]])
    assert content_from(kind, content.data) == content


@given(st.text())
def test_text_survives(text: str) -> None:
    content = Text(text)
    assert content_from(content.media_type, content.data) == content
    if media_type(content.data) is None:
        assert content_of(text.encode()) == content


@given(st.binary())
def test_any_bytes_are_content_or_an_error(data: bytes) -> None:
    try:
        content: Content | None = content_of(data)
    except ContentError:
        content = None
    assert content is None or content.data == data
