"""Sealed content: encrypted under a key of its own, so that destroying the key erases it while every proof still holds.

AES-GCM does not commit to its key: one ciphertext can be made to open to two texts under two keys. So the entry also holds
a commitment to the content, keyed with the content's own key, which says nothing once that key is gone.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from guard.digest import JSON, keyed, same, sha256
from guard.errors import EvidenceError
from guard.keys import KeyRing
from guard.types import Content, content_from

_ALGORITHM = "AES-256-GCM"
_KEY_SIZE = 32
_NONCE_SIZE = 12
_ONE_NONCE = bytes(_NONCE_SIZE)  # each content key encrypts once, so its nonce need not vary


@dataclass(frozen=True, slots=True)
class Sealed:
    """Sealed content: `facts` go into the entry, the rest into the erasable table."""

    facts: Mapping[str, JSON]
    ciphertext: bytes
    wrapped_key: bytes
    lookup: bytes


class Vault:
    """Seals and opens content with the key-encryption key of a key ring."""

    def __init__(self, keys: KeyRing) -> None:
        wrapping = keys.secret("vault")
        self._wrapping = AESGCM(wrapping)
        self._lookup_key = keys.secret("lookup")
        self._key_ref = "vault:" + keyed(wrapping, "key-ref", b"").hex()[:16]

    def seal(self, content: Content, *, context: bytes) -> Sealed:
        """Encrypt content for one place in the record; it opens under the same `context` only."""
        data = content.data
        key = secrets.token_bytes(_KEY_SIZE)
        nonce = secrets.token_bytes(_NONCE_SIZE)
        ciphertext = AESGCM(key).encrypt(_ONE_NONCE, data, context)
        wrapped = nonce + self._wrapping.encrypt(nonce, key, context)
        lookup = self.lookup(content)
        facts: dict[str, JSON] = {
            "alg": _ALGORITHM,
            "media_type": content.media_type,
            "len": len(data),
            "ct_sha256": sha256(ciphertext).hex(),
            "row_sha256": row_digest(wrapped, lookup),
            "commit": keyed(key, "commit", data).hex(),
            "key_ref": self._key_ref,
        }
        return Sealed(facts, ciphertext, wrapped, lookup)

    def open(self, facts: Mapping[str, JSON], ciphertext: bytes, wrapped_key: bytes, *, context: bytes) -> Content:
        """Decrypt content and check the commitment; raises EvidenceError when anything differs."""
        if facts.get("alg") != _ALGORITHM or facts.get("key_ref") != self._key_ref:
            raise EvidenceError("the content was sealed under another key: use the key folder it was recorded with")
        try:
            key = self._wrapping.decrypt(wrapped_key[:_NONCE_SIZE], wrapped_key[_NONCE_SIZE:], context)
            data = AESGCM(key).decrypt(_ONE_NONCE, ciphertext, context)
        except (InvalidTag, ValueError):
            raise EvidenceError("the sealed content was changed or moved: it does not decrypt") from None
        if not same(keyed(key, "commit", data).hex().encode(), str(facts.get("commit")).encode()):
            raise EvidenceError("the sealed content is not what the entry commits to")
        try:
            return content_from(str(facts.get("media_type")), data)
        except UnicodeDecodeError:
            raise EvidenceError("the sealed content is not of the media type that the entry names") from None

    def lookup(self, content: Content) -> bytes:
        """A keyed digest by which equal content is found again without decrypting anything."""
        return keyed(self._lookup_key, "lookup", content.data)


def row_digest(wrapped_key: bytes, lookup: bytes) -> str:
    """Commits an entry to the rest of the row. The random wrapped key, erased with it, keeps this from being guessed."""
    return sha256(wrapped_key + lookup).hex()


def place(entry_id: str, role: str) -> bytes:
    """The context of a body: a body copied to another entry or role does not open."""
    return f"{entry_id}\n{role}".encode()
