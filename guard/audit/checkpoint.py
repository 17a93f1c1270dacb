"""Signed tree heads: C2SP tlog-checkpoint inside C2SP signed-note.

A log signs with Ed25519, which every tool reads, and where it is set to with ML-DSA-44 as well, which quantum computers do
not break. C2SP has no ML-DSA signature of a note's text, only one of a tree (tlog-cosignature), by logs as by witnesses.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from guard.digest import DIGEST_SIZE, sha256
from guard.errors import NoteError
from guard.keys import SigningKey, no_ml_dsa

ED25519, COSIGNATURE, ML_DSA_44 = 1, 4, 6  # what a signature is, by the first byte of its key
LOG_KINDS, WITNESS_KINDS = (ED25519, ML_DSA_44), (COSIGNATURE, ML_DSA_44)
NAMES = {ED25519: "Ed25519", COSIGNATURE: "Ed25519 cosignature", ML_DSA_44: "ML-DSA-44"}
PUBLIC_SIZES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
_KEY_ID_SIZE = 4
_TIME_SIZE = 8
_LATEST = 2**63 - 1
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
        if not (size.isascii() and size.isdigit() and len(size) <= 20 and str(int(size)) == size and int(size) < 2**64):
            raise NoteError("the checkpoint's size is not a plain decimal number")
        root = decode(encoded)
        if len(root) != DIGEST_SIZE:
            raise NoteError(f"the checkpoint's root is not {DIGEST_SIZE} bytes")
        return cls(origin, int(size), root)


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that signs notes: its name, what kind of signatures it makes, and its public bytes."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, vkey: str, kinds: Collection[int] = LOG_KINDS) -> Self:
        """Read a verification key for signatures of some kinds: `name+id+key`."""
        parts = vkey.strip().split("+", 2)  # base64 may contain '+' too, so only the first two count
        if len(parts) != 3 or not _is_name(parts[0]):
            raise NoteError("a verification key looks like name+id+key")
        data = decode(parts[2])
        if not data or data[0] not in kinds or len(data) != 1 + PUBLIC_SIZES[data[0]]:
            raise NoteError(f"the verification key is not {_either(kinds)} key of a {_owner(kinds)}")
        key = cls(parts[0], data[0], data[1:])
        if key.id.hex() != parts[1]:
            raise NoteError("the verification key does not match its own id")
        return key

    @classmethod
    def of(cls, name: str, key: SigningKey) -> Self:
        """The key of a log that signs with this private key."""
        kind = ED25519 if isinstance(key, Ed25519PrivateKey) else ML_DSA_44
        return cls(name, kind, key.public_key().public_bytes_raw())

    @property
    def id(self) -> bytes:
        """Four bytes by which a signature line names its key."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public)[:_KEY_ID_SIZE]

    @property
    def vkey(self) -> str:
        """The verification key, to be given to whoever checks: `name+id+key`."""
        if not _is_name(self.name):
            raise NoteError("a key name must not be empty or contain spaces or '+'")
        return f"{self.name}+{self.id.hex()}+{encode(bytes([self.kind]) + self.public)}"

    def line(self, text: str, key: SigningKey, seconds: int = 0) -> str:
        """The signature line under a text by the private key, with its newline; `seconds` where signatures have a time."""
        stamp = b"" if self.kind == ED25519 else seconds.to_bytes(_TIME_SIZE, "big")
        return signature_line(self.name, self.id, stamp + key.sign(self._message(text, seconds)))

    def check(self, text: str, signature: bytes) -> int:
        """The time in a signature under a text, in POSIX seconds; 0 where it has none.

        Raises NoteError unless this key made the signature, OperationError where this machine lacks the algorithm.
        """
        seconds = 0
        if self.kind != ED25519:
            seconds, signature = int.from_bytes(signature[:_TIME_SIZE], "big"), signature[_TIME_SIZE:]
        if seconds > _LATEST:
            raise NoteError(f"the signature by {self.name!r} has an impossible time")
        verifier = MLDSA44PublicKey if self.kind == ML_DSA_44 else Ed25519PublicKey
        try:
            verifier.from_public_bytes(self.public).verify(signature, self._message(text, seconds))
        except InvalidSignature:
            raise NoteError(f"the {NAMES[self.kind]} signature by {self.name!r} does not match the note") from None
        except UnsupportedAlgorithm as error:
            raise no_ml_dsa() from error
        return seconds

    def _message(self, text: str, seconds: int) -> bytes:
        """What is signed (signed-note; tlog-cosignature)."""
        if self.kind == ED25519:
            return text.encode()
        if self.kind == COSIGNATURE:
            return f"cosignature/v1\ntime {seconds}\n{text}".encode()
        tree = Checkpoint.parse(text)
        time, start, end = (number.to_bytes(8, "big") for number in (seconds, 0, tree.size))
        signer, log = _counted(self.name), _counted(tree.origin)
        return b"subtree/v1\n\0" + signer + time + log + start + end + tree.root


class NoteSigner:
    """Signs notes under one name with one key, and with others beside it: of another kind, or while keys change."""

    def __init__(self, name: str, *keys: SigningKey) -> None:
        if not _is_name(name):
            raise NoteError("a key name must not be empty or contain spaces or '+'")
        self.name = name
        self._keys = [(NoteKey.of(name, key), key) for key in keys]

    @property
    def vkey(self) -> str:
        """The verification key of the first key."""
        return self.vkeys[0]

    @property
    def vkeys(self) -> list[str]:
        """The verification keys of all keys, in order."""
        return [public.vkey for public, _ in self._keys]

    def sign(self, text: str) -> str:
        """The note: the text, an empty line and the signature lines. The log says nothing of the time."""
        _require_text(text)
        return f"{text}\n{''.join(public.line(text, key) for public, key in self._keys)}"


def vkey_name(vkey: str) -> str:
    """The name in a verification key, which for a log is its origin."""
    return NoteKey.parse(vkey).name


def open_note(note: str, vkeys: str | Iterable[str], *, kinds: Collection[int] | None = None) -> str:
    """The text of a note. Raises NoteError unless known keys signed it and no signature by a known key is wrong.

    `kinds` are those of which there must be a signature; by default, all that the known keys have. So whoever knows an
    ML-DSA key does not take a note from which that signature was stripped.
    """
    parsed = [NoteKey.parse(vkey) for vkey in ([vkeys] if isinstance(vkeys, str) else vkeys)]
    known = {(key.name, key.id): key for key in parsed}
    text, lines = split_note(note)
    verified = set()
    for line in lines:
        name, key_id, signature = parse_signature(line)
        key = known.get((name, key_id))
        if key is None or key in verified:  # other signers are none of our business
            continue
        key.check(text, signature)
        verified.add(key)
    if not verified:
        raise NoteError("the note carries no signature by a known key")
    missing = {key.kind for key in parsed} if kinds is None else set(kinds)
    missing -= {key.kind for key in verified}
    if missing:
        names = " and ".join(NAMES[kind] for kind in sorted(missing))
        raise NoteError(
            f"the note carries no {names} signature by a known key: that line was cut off, or the note is older"
        )
    return text


def open_checkpoint(note: str, vkeys: str | Sequence[str], *, kinds: Collection[int] | None = None) -> Checkpoint:
    """The checkpoint in a note that the log's own keys signed; see `open_note`."""
    checkpoint = Checkpoint.parse(open_note(note, vkeys, kinds=kinds))
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


def own_note(note: str) -> str:
    """A checkpoint's note as the log signed it, without what others signed under it."""
    text, lines = split_note(note)
    origin = Checkpoint.parse(text).origin
    return text + "\n" + "".join(line + "\n" for line in lines if parse_signature(line)[0] == origin)


def _either(kinds: Collection[int]) -> str:
    return "an " + " or ".join(NAMES[kind].removesuffix(" cosignature") for kind in kinds)


def _owner(kinds: Collection[int]) -> str:
    return "log" if ED25519 in kinds else "witness"


def _counted(name: str) -> bytes:
    data = name.encode()
    if len(data) > 255:
        raise NoteError("a name is too long to be signed with ML-DSA-44")
    return bytes([len(data)]) + data


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
