"""Sealed content: one data key an entry, wrapped by a key that belongs to the data subject and lives outside the database.

Destroying the subject's key erases all of it, in every backup of the database, while every proof still holds. AES-GCM does
not commit to its key: one ciphertext can be made to open to two texts under two keys. So the entry also holds a commitment
to the content, keyed with the data key, which says nothing once that key is gone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from guard.audit.keystore import KeyStore, LocalKeys
from guard.digest import JSON, keyed, mac, same, sha256, subkey
from guard.errors import EvidenceError
from guard.keys import KeyRing
from guard.types import Content, content_from

POLICY = "policy"  # the key of policy texts, which are nobody's personal data
_ALGORITHM = "AES-256-GCM"
_KEY_SIZE = 32
_NONCE_SIZE = 12


class Sealed(NamedTuple):
    """Sealed content: `facts` go into the entry, the rest into the erasable table, but for the subject's `key`."""

    facts: Mapping[str, JSON]
    ciphertext: bytes
    wrapped_key: bytes
    lookup: bytes
    key: bytes = b""


class Vault:
    """Seals and opens content with keys from a key store; by default the one in the key folder."""

    def __init__(self, keys: KeyRing, store: KeyStore | None = None) -> None:
        self.keys: KeyStore = store or LocalKeys(keys.folder / "subjects")
        subject_key = keys.secret("subject")

        @lru_cache(maxsize=10_000)
        def pseudonym(subject: str) -> str:
            return "s:" + keyed(subject_key, "subject", subject.encode("utf-8", "surrogatepass")).hex()[:32]

        self._pseudonym = pseudonym

    def pseudonym(self, subject: str) -> str:
        """What the record calls a data subject; without the secret in the key folder it cannot be guessed."""
        return self._pseudonym(subject)

    def seal(self, contents: Mapping[str, Content], *, entry_id: str, key_ref: str) -> dict[str, Sealed]:
        """Encrypt the contents of one entry, by role; each opens in its own place only."""
        if not contents:
            return {}
        wrapping = self.keys.key(key_ref, create=True)
        if wrapping is None:
            raise EvidenceError(f"the key store made no key {key_ref}: check it before anything else is recorded")
        drawn = secrets.token_bytes(_KEY_SIZE + _NONCE_SIZE)
        key, nonce = drawn[:_KEY_SIZE], drawn[_KEY_SIZE:]
        wrapped = nonce + AESGCM(wrapping).encrypt(nonce, key, _owner(entry_id, key_ref))
        cipher, commit, look = AESGCM(key), subkey(key, "commit"), subkey(wrapping, "lookup")
        sealed = {}
        for role, content in contents.items():
            data = content.data
            ciphertext = cipher.encrypt(_nonce(role), data, place(entry_id, role))
            lookup = mac(look, sha256(data))
            facts: dict[str, JSON] = {
                "alg": _ALGORITHM,
                "media_type": content.media_type,
                "len": len(data),
                "ct_sha256": sha256(ciphertext).hex(),
                "row_sha256": row_digest(wrapped, lookup),
                "commit": mac(commit, _named(role, data)).hex(),
                "key_ref": key_ref,
            }
            sealed[role] = Sealed(facts, ciphertext, wrapped, lookup, wrapping)
        return sealed

    def holds(self, sealed: Sealed) -> bool:
        """Whether the key that sealed this is still there; else its content must be sealed again before it is recorded."""
        return self.keys.key(str(sealed.facts["key_ref"]), create=False) == sealed.key

    def open(
        self, facts: Mapping[str, JSON], ciphertext: bytes, wrapped_key: bytes, *, entry_id: str, role: str
    ) -> Content:
        """Decrypt content and check the commitment; raises EvidenceError when anything differs or the key is gone."""
        key_ref = str(facts.get("key_ref"))
        wrapping = self.keys.key(key_ref, create=False) if facts.get("alg") == _ALGORITHM else None
        if wrapping is None:
            raise EvidenceError(
                "the key of this content is not in the key store: it was erased, or another key folder sealed it"
            )
        try:
            key = _unwrapped(wrapping, wrapped_key, entry_id, key_ref)
            data = AESGCM(key).decrypt(_nonce(role), ciphertext, place(entry_id, role))
        except (InvalidTag, ValueError):
            raise EvidenceError(
                "the sealed content does not decrypt: it was changed or moved, or its key was destroyed since"
            ) from None
        if not same(mac(subkey(key, "commit"), _named(role, data)).hex().encode(), str(facts.get("commit")).encode()):
            raise EvidenceError("the sealed content is not what the entry commits to")
        try:
            return content_from(str(facts.get("media_type")), data)
        except UnicodeDecodeError:
            raise EvidenceError("the sealed content is not of the media type that the entry names") from None

    def peek(self, ciphertext: bytes, wrapped_key: bytes, *, entry_id: str, role: str, key_ref: str) -> bytes | None:
        """The bytes of sealed content, or None: for indexes, which open what they find in full before they tell of it."""
        wrapping = self.keys.key(key_ref, create=False)
        try:
            key = _unwrapped(wrapping, wrapped_key, entry_id, key_ref) if wrapping else None
            return AESGCM(key).decrypt(_nonce(role), ciphertext, place(entry_id, role)) if key else None
        except (InvalidTag, ValueError):
            return None

    def lookup(self, content: Content, key_ref: object) -> bytes | None:
        """A keyed digest by which content under a key is found again without decrypting; None where the key is gone."""
        wrapping = self.keys.key(str(key_ref), create=False)
        return keyed(wrapping, "lookup", sha256(content.data)) if wrapping is not None else None

    def lookups(self, content: Content) -> Iterator[bytes]:
        """The digests of content under every key. One key for all would be quicker, and confirm guesses of what was erased."""
        digest = sha256(content.data)
        return (keyed(wrapping, "lookup", digest) for wrapping in self.keys.each())


def row_digest(wrapped_key: bytes, lookup: bytes) -> str:
    """Commits an entry to the rest of the row. The random wrapped key, erased with it, keeps this from being guessed."""
    return sha256(wrapped_key + lookup).hex()


def place(entry_id: str, role: str) -> bytes:
    """The context of a body: a body copied to another entry or role does not open."""
    return f"{entry_id}\n{role}".encode("utf-8", "surrogateescape")


def day_key(at: str) -> str:
    """The key of entries without a data subject: one for each day."""
    return f"d:{at[:10]}"


def reason_key(at: str) -> str:
    """The key of the reasons for erasures and holds, one for each day: they outlive what was erased on it."""
    return f"r:{at[:10]}"


def _unwrapped(wrapping: bytes, wrapped_key: bytes, entry_id: str, key_ref: str) -> bytes:
    owner = _owner(entry_id, key_ref)
    return AESGCM(wrapping).decrypt(wrapped_key[:_NONCE_SIZE], wrapped_key[_NONCE_SIZE:], owner)


def _owner(entry_id: str, key_ref: str) -> bytes:
    return f"{entry_id}\n\n{key_ref}".encode("utf-8", "surrogateescape")


def _named(role: str, data: bytes) -> bytes:
    return role.encode("utf-8", "surrogateescape") + b"\0" + data


@lru_cache(maxsize=256)
def _nonce(role: str) -> bytes:
    """A data key encrypts each role of one entry once, so the role makes the nonce unique."""
    return sha256(role.encode("utf-8", "surrogateescape"))[:_NONCE_SIZE]
