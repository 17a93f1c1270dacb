"""The log's signing keys over time: the old and the new sign side by side for a while, and the record says which follows which.

The key folder holds `log.pem`, `log-2.pem` and so on, and in `log.keys` the public keys in order, which outlive the private.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.audit.checkpoint import ED25519, NoteSigner, decode, encode, format_vkey, open_note, parse_vkey, vkey_name
from guard.errors import KeyFileError, NoteError
from guard.keys import KeyRing, read_private, sync_folder

KIND = "key"
_HISTORY = "log.keys"


class Trust:
    """The keys that a verifier accepts: the one that it was given, and those that the record itself leads to."""

    def __init__(self, vkey: str) -> None:
        self.vkeys = [vkey]
        self._origin = vkey_name(vkey)
        self._announced: list[tuple[int, str]] = []

    def entry(self, seq: int, fields: Mapping[str, Any]) -> None:
        """Take note of an entry; most are not about keys."""
        old, new = fields.get("old"), fields.get("new")
        if (
            fields.get("kind") != KIND
            or fields.get("role") != "log"
            or old not in self.vkeys
            or not isinstance(new, str)
        ):
            return
        try:
            if vkey_name(new) == self._origin:
                self._announced.append((seq, new))
        except NoteError:
            return

    def signed(self, size: int) -> None:
        """A key that was accepted before has signed the first `size` entries: what they announce is accepted from now on."""
        self.vkeys += [vkey for seq, vkey in self._announced if seq < size and vkey not in self.vkeys]
        self._announced = [(seq, vkey) for seq, vkey in self._announced if seq >= size]


def log_vkeys(keys: KeyRing, origin: str) -> list[str]:
    """The verification keys of a log, the first one first; makes the first key where there is none."""
    return [format_vkey(origin, ED25519, public) for public in _history(keys)]


def log_signer(keys: KeyRing, origin: str) -> NoteSigner:
    """Signs with every key that has not been retired."""
    names = [_name(number) for number in range(len(_history(keys)))]
    held = [keys.signing_key(name) for name in names if (keys.folder / f"{name}.pem").exists()]
    if not held:
        raise KeyFileError(f"there is no log key in {keys.folder}, though {_HISTORY} names some: restore them")
    return NoteSigner(origin, *held)


def signing_vkey(note: str, vkeys: Sequence[str]) -> str | None:
    """The first of some keys that signed a note."""
    for vkey in vkeys:
        try:
            open_note(note, vkey)
        except NoteError:
            continue
        return vkey
    return None


def add_key(keys: KeyRing) -> None:
    """Make the next key. It signs beside the older ones from the next start of each process on."""
    known = _history(keys)
    made = keys.signing_key(_name(len(known)))  # one that was made and not noted, before a crash, is taken up again
    lines = [encode(public) + "\n" for public in (*known, _public(made))]
    scratch = keys.folder / f".{_HISTORY}.{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(keys.folder / _HISTORY)
        sync_folder(keys.folder)
    except OSError as error:
        raise KeyFileError(f"cannot write {keys.folder / _HISTORY}: {error.strerror}; check its folder") from error


def retire(keys: KeyRing) -> int:
    """Destroy all private keys but the newest; how many there were."""
    old = [keys.folder / f"{_name(number)}.pem" for number in range(len(_history(keys)) - 1)]
    found = [path for path in old if path.exists()]
    for path in found:
        path.unlink()
    return len(found)


def _history(keys: KeyRing) -> list[bytes]:
    try:
        text = read_private(keys.folder / _HISTORY).decode("ascii")
    except FileNotFoundError:
        return [_public(keys.signing_key(_name(0)))]
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{keys.folder / _HISTORY} is damaged: restore it") from error
    try:
        found = [decode(line) for line in text.splitlines()]
        for public in found:
            parse_vkey(format_vkey("x", ED25519, public))
    except NoteError as error:
        raise KeyFileError(f"{keys.folder / _HISTORY} is damaged ({error}): restore it") from error
    if not found:
        raise KeyFileError(f"{keys.folder / _HISTORY} is empty: restore it")
    return found


def _name(number: int) -> str:
    return "log" if number == 0 else f"log-{number + 1}"


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()
