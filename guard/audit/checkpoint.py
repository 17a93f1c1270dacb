"""Signed tree heads: C2SP tlog-checkpoint inside C2SP signed-note, with Ed25519."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from guard.digest import DIGEST_SIZE, sha256
from guard.errors import NoteError

ED25519 = 1  # what a signature is, by the first byte of its key
_KEY_ID_SIZE = 4
_PUBLIC_KEY_SIZE = 32
_MAX_SIGNATURES = 100
_MAX_NOTE = 1_000_000
_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: its name, how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{encode(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a checkpoint; extension lines are allowed and ignored."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1]:
            raise NoteError("a checkpoint has at least three lines: origin, size and root")
        origin, size, encoded = lines[:3]
        if not origin or not all(lines[3:-1]):
            raise NoteError("a checkpoint has no empty lines")
        if not (size.isascii() and size.isdigit() and len(size) <= 20 and str(int(size)) == size):
            raise NoteError("the checkpoint's size is not a plain decimal number")
        root = decode(encoded)
        if len(root) != DIGEST_SIZE:
            raise NoteError(f"the checkpoint's root is not {DIGEST_SIZE} bytes")
        return cls(origin, int(size), root)


class NoteSigner:
    """Signs notes under one name with one key, and with others beside it while keys change."""

    def __init__(self, name: str, key: Ed25519PrivateKey, *others: Ed25519PrivateKey) -> None:
        if not _is_name(name):
            raise NoteError("a key name must not be empty or contain spaces or '+'")
        self.name = name
        self._key = key
        self._public = key.public_key().public_bytes_raw()
        self._id = note_key_id(name, ED25519, self._public)
        self._others = [NoteSigner(name, other) for other in others]

    @property
    def vkey(self) -> str:
        """The verification key, to be given to whoever checks: `name+id+key`."""
        return format_vkey(self.name, ED25519, self._public)

    def sign(self, text: str) -> str:
        """The note: the text, an empty line and the signature lines."""
        _require_text(text)
        return f"{text}\n{self.line(text)}{''.join(other.line(text) for other in self._others)}"

    def line(self, text: str) -> str:
        """The signature line by the first key alone."""
        return signature_line(self.name, self._id, self._key.sign(text.encode()))


def vkey_name(vkey: str) -> str:
    """The name in a verification key, which for a log is its origin."""
    return parse_vkey(vkey)[0]


def open_note(note: str, vkeys: str | Iterable[str]) -> str:
    """The text of a note. Raises NoteError unless a known key signed it and no signature by a known key is wrong."""
    known = {}
    for vkey in [vkeys] if isinstance(vkeys, str) else vkeys:
        name, key_id, public = parse_vkey(vkey)
        known[name, key_id] = public
    text, lines = split_note(note)
    verified = set()
    for line in lines:
        name, key_id, signature = parse_signature(line)
        key = known.get((name, key_id))
        if key is None or (name, key_id) in verified:  # other signers are none of our business
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, text.encode())
        except InvalidSignature:
            raise NoteError(f"the signature by {name!r} does not match the note") from None
        verified.add((name, key_id))
    if not verified:
        raise NoteError("the note carries no signature by a known key")
    return text


def open_checkpoint(note: str, vkeys: str | Sequence[str]) -> Checkpoint:
    """The checkpoint in a note that the log's own key signed: one of several, where the log has changed its key."""
    checkpoint = Checkpoint.parse(open_note(note, vkeys))
    names = [vkey_name(vkey) for vkey in ([vkeys] if isinstance(vkeys, str) else vkeys)]
    if checkpoint.origin not in names:
        raise NoteError(f"the checkpoint is about the log {checkpoint.origin!r}, not {names[0]!r}")
    return checkpoint


def split_note(note: str) -> tuple[str, list[str]]:
    """The text of a note and its signature lines, without their newlines."""
    if len(note) > _MAX_NOTE:
        raise NoteError("the note is too long")
    # The text may contain empty lines itself, so the last one counts.
    body, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise NoteError("the note has no signature lines")
    text = body + "\n"
    _require_text(text)
    lines = signatures[:-1].split("\n")  # splitlines() would also cut at U+2028 and its like
    if len(lines) > _MAX_SIGNATURES:
        raise NoteError("the note has too many signatures")
    return text, lines


def signature_line(name: str, key_id: bytes, signature: bytes) -> str:
    """One signature under a note, with its newline."""
    return f"{_DASH}{name} {encode(key_id + signature)}\n"


def parse_signature(line: str) -> tuple[str, bytes, bytes]:
    """The name, key id and signature in a line."""
    name, separator, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not separator or not _is_name(name):
        raise NoteError("a signature line is malformed")
    data = decode(encoded)
    if len(data) <= _KEY_ID_SIZE:
        raise NoteError("a signature is too short")
    return name, data[:_KEY_ID_SIZE], data[_KEY_ID_SIZE:]


def parse_vkey(vkey: str, kind: int = ED25519) -> tuple[str, bytes, bytes]:
    """The name, id and public key in a verification key for one kind of signatures."""
    parts = vkey.strip().split("+", 2)  # base64 may contain '+' too, so only the first two count
    if len(parts) != 3 or not _is_name(parts[0]):
        raise NoteError("a verification key looks like name+id+key")
    name, key_id, encoded = parts
    data = decode(encoded)
    if len(data) != 1 + _PUBLIC_KEY_SIZE or data[0] != kind:
        what = "key of a log" if kind == ED25519 else "key of a witness"
        raise NoteError(f"the verification key is not an Ed25519 {what}")
    expected = note_key_id(name, kind, data[1:])
    if key_id != expected.hex():
        raise NoteError("the verification key does not match its own id")
    return name, expected, data[1:]


def format_vkey(name: str, kind: int, public: bytes) -> str:
    """A verification key: `name+id+key`."""
    if not _is_name(name):
        raise NoteError("a key name must not be empty or contain spaces or '+'")
    return f"{name}+{note_key_id(name, kind, public).hex()}+{encode(bytes([kind]) + public)}"


def note_key_id(name: str, kind: int, public: bytes) -> bytes:
    """Four bytes by which a signature line names its key."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public)[:_KEY_ID_SIZE]


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() or ord(char) < 32 for char in name)


def _require_text(text: str) -> None:
    if not text.endswith("\n"):
        raise NoteError("the text of a note must end with a newline")
    if any((ord(char) < 32 and char != "\n") or 0xD800 <= ord(char) < 0xE000 for char in text):
        raise NoteError("the text of a note must not contain control characters")


def encode(data: bytes) -> str:
    """Base64 as notes use it."""
    return base64.b64encode(data).decode()


def decode(text: str) -> bytes:
    """The bytes behind canonical base64; NoteError for anything else."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("a note contains malformed base64") from None
    if encode(data) != text:  # Python ignores stray bits in the last character
        raise NoteError("a note contains base64 that is not in its canonical form")
    return data
