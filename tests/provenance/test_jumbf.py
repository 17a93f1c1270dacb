"""The bytes of a credential are found as the library wrote them, and no bytes make the reader fail."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.provenance import jumbf
from guard.provenance.certs import Identity
from guard.provenance.credentials import Claim, sign
from guard.types import Image


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_the_store_is_what_the_library_reads_beside_a_file(
    form: str, draw: Callable[..., Image], claim: Claim, identity: Identity
) -> None:
    import c2pa  # type: ignore[import-untyped]

    bare = draw(96, form)
    signed = sign(bare, claim, identity)
    found = jumbf.store(signed.data)
    assert found is not None
    assert jumbf.store(bare.data) is None
    reader: Any = c2pa.Reader(signed.media_type, io.BytesIO(bare.data), found)
    with reader:
        assert reader.get_active_manifest()["label"] == jumbf.active_label(signed.data)
    twice = sign(signed, claim, identity)  # of two manifests the newest is in force
    label = jumbf.active_label(twice.data)
    assert label not in (None, jumbf.active_label(signed.data))
    assert len(jumbf.store(twice.data) or b"") > len(found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]), st.integers(0, 3000), st.binary(max_size=40))
def test_garbage_has_no_label(draw: Callable[..., Image], form: str, at: int, junk: bytes) -> None:
    data = draw(16, form).data
    head = {"PNG": b"\0\0\x10\0caBX", "JPEG": b"\xff\xeb\x00\x20JP", "WEBP": b"C2PA", "GIF": b"\x21\xff\x0bC2PA_GIF"}[
        form
    ]
    for broken in (data[:at], data[:at] + junk, data[:20] + head + junk + data[20:], head + junk):
        assert jumbf.active_label(broken) is None
