"""Cosignatures: a witness's signed statement, with the time, that a checkpoint extends all that it saw of that log before.

C2SP tlog-cosignature. A witness signs with Ed25519 or ML-DSA-44.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.audit.checkpoint import COSIGNATURE, WITNESS_KINDS, NoteKey, parse_signature, split_note
from guard.errors import NoteError


class Cosigner:
    """Cosigns checkpoints under one name with one key, which is used for nothing else."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self._key = key
        self._public = NoteKey(name, COSIGNATURE, key.public_key().public_bytes_raw())
        self.vkey = self._public.vkey

    def sign(self, text: str, seconds: int) -> str:
        """The signature line for the text of a checkpoint at a time (POSIX seconds)."""
        return self._public.line(text, self._key, seconds)


def cosigned_at(text: str, line: str, vkey: str) -> int | None:
    """When the witness signed the text, in POSIX seconds; None for a line of somebody else.

    Raises NoteError where the line claims to be the witness's and is not.
    """
    key = NoteKey.parse(vkey, WITNESS_KINDS)
    name, key_id, signature = parse_signature(line.removesuffix("\n"))
    if (name, key_id) != (key.name, key.id):
        return None
    seconds = key.check(text, signature)
    if not seconds:
        raise NoteError(f"the cosignature by {name!r} carries no time")
    return seconds


def cosignatures(note: str, vkeys: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The verification keys of those witnesses among the given that cosigned a note, each with the time."""
    text, lines = split_note(note)
    for vkey in vkeys:
        times = [when for line in lines if (when := cosigned_at(text, line, vkey)) is not None]
        if times:
            yield vkey, max(times)
