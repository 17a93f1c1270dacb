"""Bytes and digests: the one module that hashes.

JSON is made deterministic once, when a record is written; from then on the stored bytes are hashed as they are and never
serialised again, so no canonical form is needed to verify (RFC 8785 would buy nothing here and costs 100 times more).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]

DIGEST_SIZE = 32


def canonical(value: JSON) -> bytes:
    """Deterministic UTF-8 JSON: sorted keys, no spaces; NaN and infinities raise ValueError.

    Lone surrogates, which UTF-8 cannot carry, stay escaped; everything else is written as it is.
    """
    options = {"sort_keys": True, "separators": (",", ":"), "allow_nan": False}
    try:
        return json.dumps(value, ensure_ascii=False, **options).encode()  # type: ignore[arg-type]
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, **options).encode()  # type: ignore[arg-type]


def sha256(data: bytes) -> bytes:
    """32 bytes of SHA-256."""
    return hashlib.sha256(data).digest()


def label(data: bytes) -> str:
    """`sha256:<hex>` of some bytes, for people and for records."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def file_label(path: Path) -> str:
    """`sha256:<hex>` of a file, read in pieces."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def keyed(key: bytes, purpose: str, data: bytes) -> bytes:
    """HMAC-SHA256 under a key that is derived for one purpose, so that a digest made for one use says nothing in another.

    Plain hashes of personal text can be confirmed by guessing; these cannot without the key (EDPB 02/2025).
    """
    return mac(subkey(key, purpose), data)


def subkey(key: bytes, purpose: str) -> bytes:
    """The key that `keyed` derives for a purpose: for those who use it often."""
    return hmac.digest(key, purpose.encode(), "sha256")


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 under a key that has one purpose already."""
    return hmac.digest(key, data, "sha256")


def same(left: bytes, right: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left, right)
