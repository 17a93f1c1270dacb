"""Cosignatures: a witness's signed statement, with the time, that a checkpoint extends all that it saw of that log before.

C2SP tlog-cosignature, version 1, with Ed25519.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from guard.audit.checkpoint import (
    format_vkey,
    note_key_id,
    parse_signature,
    parse_vkey,
    signature_line,
    split_note,
)
from guard.errors import NoteError

COSIGNATURE = 4  # what a signature is, by the first byte of its key
_TIME_SIZE = 8
_LATEST = 2**63 - 1


class Cosigner:
    """Cosigns checkpoints under one name with one key, which is used for nothing else."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self._key = key
        public = key.public_key().public_bytes_raw()
        self.vkey = format_vkey(name, COSIGNATURE, public)
        self._id = note_key_id(name, COSIGNATURE, public)

    def sign(self, text: str, seconds: int) -> str:
        """The signature line for the text of a checkpoint at a time (POSIX seconds)."""
        signature = self._key.sign(_message(text, seconds))
        return signature_line(self.name, self._id, seconds.to_bytes(_TIME_SIZE, "big") + signature)


def cosigned_at(text: str, line: str, vkey: str) -> int | None:
    """When the witness signed the text, in POSIX seconds; None for a line of somebody else.

    Raises NoteError where the line claims to be the witness's and is not.
    """
    name, key_id, public = parse_vkey(vkey, COSIGNATURE)
    signer, signer_id, data = parse_signature(line.removesuffix("\n"))
    if (signer, signer_id) != (name, key_id):
        return None
    seconds = int.from_bytes(data[:_TIME_SIZE], "big")
    if len(data) <= _TIME_SIZE or not 0 < seconds <= _LATEST:
        raise NoteError(f"the cosignature by {name!r} carries no time")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(data[_TIME_SIZE:], _message(text, seconds))
    except InvalidSignature:
        raise NoteError(f"the cosignature by {name!r} does not match the checkpoint") from None
    return seconds


def cosignatures(note: str, vkeys: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The verification keys of those witnesses among the given that cosigned a note, each with the time."""
    text, lines = split_note(note)
    for vkey in vkeys:
        times = [when for line in lines if (when := cosigned_at(text, line, vkey)) is not None]
        if times:
            yield vkey, max(times)


def _message(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
