"""Deterministic bytes and digests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.digest import JSON, canonical, file_label, keyed, label, same

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_canonical_loses_nothing(value: JSON) -> None:
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_canonical_does_not_depend_on_order(value: dict[str, int]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


def test_canonical_takes_lone_surrogates_and_refuses_nan() -> None:
    assert json.loads(canonical({"a": "\ud800"})) == {"a": "\ud800"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})


def test_labels(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert label(b"abc") == file_label(tmp_path / "f") == "sha256:" + hashlib.sha256(b"abc").hexdigest()


@given(st.binary(), st.binary())
def test_keyed_digests_depend_on_key_purpose_and_data(left: bytes, right: bytes) -> None:
    assert (keyed(b"k" * 32, "p", left) == keyed(b"k" * 32, "p", right)) == (left == right)
    assert not same(keyed(b"k" * 32, "p", left), keyed(b"k" * 32, "q", left))
    assert not same(keyed(b"k" * 32, "p", left), keyed(b"l" * 32, "p", left))
