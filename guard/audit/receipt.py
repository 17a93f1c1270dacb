"""Receipts as files, and their check offline, with nothing but the log's public key.

Two forms: C2SP tlog-proof, which foreign tools read, and JSON, which can hold the key as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, decode, encode, open_checkpoint, split_note
from guard.audit.rotation import signing_vkey
from guard.digest import JSON
from guard.errors import NoteError, ProofError
from guard.types import Receipt

_TLOG_PROOF = "c2sp.org/tlog-proof@v1"
_LONGEST_PROOF = 63


def to_json(receipt: Receipt, *, leaf: bytes | None = None, vkey: str | Sequence[str] | None = None) -> dict[str, JSON]:
    """A receipt as plain JSON; with the leaf and the key it can be read and checked without anything else."""
    data: dict[str, JSON] = {**asdict(receipt), "proof": list(receipt.proof)}
    if leaf is not None:
        data["leaf"] = leaf.decode()
    if vkey is not None:
        data["vkey"] = vkey if isinstance(vkey, str) else signing_vkey(receipt.checkpoint, vkey)
    return data


def from_json(text: str | bytes) -> tuple[Receipt, bytes | None, str | None]:
    """The receipt, leaf and key in a file: one made by `to_json`, or a whole outcome that holds a receipt."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ProofError("the file is not JSON") from None
    if isinstance(data, dict) and isinstance(data.get("receipt"), dict):
        data = data["receipt"]
    if not isinstance(data, dict):
        raise ProofError("the file holds no receipt")
    proof = data.get("proof")
    if not isinstance(proof, list) or not all(isinstance(item, str) for item in proof):
        raise ProofError("the receipt has no proof")
    receipt = Receipt(
        _field(data, "entry", int),
        _field(data, "size", int),
        _field(data, "root", str),
        _field(data, "leaf_hash", str),
        tuple(proof),
        _field(data, "checkpoint", str),
    )
    leaf = _field(data, "leaf", str).encode("utf-8", "surrogatepass") if "leaf" in data else None
    return receipt, leaf, _field(data, "vkey", str) if "vkey" in data else None


def to_tlog_proof(receipt: Receipt, leaf: bytes) -> str:
    """A receipt as a C2SP tlog-proof. The entry itself is the extra data: its hash is what is proved."""
    lines = [_TLOG_PROOF, f"extra {encode(leaf)}", f"index {receipt.entry}"]
    path = [encode(_unhex(item)) for item in receipt.proof]
    return "\n".join([*lines, *path, "", receipt.checkpoint])


def from_tlog_proof(text: str) -> tuple[Receipt, bytes]:
    """The receipt and the leaf in a tlog-proof; everything in it is as unproved as in any other receipt."""
    head, separator, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    if first != _TLOG_PROOF or not separator:
        raise ProofError("the file is not a tlog-proof")
    extra = lines.pop(0).removeprefix("extra ") if lines and lines[0].startswith("extra ") else None
    if extra is None:
        raise ProofError("the proof does not hold its entry: it must stand in a line `extra`, in base64")
    index = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    if not (index.isascii() and index.isdigit() and len(index) <= 20 and str(int(index)) == index):
        raise ProofError("the proof has no plain decimal index")
    if len(lines) > _LONGEST_PROOF:
        raise ProofError("the proof is too long")
    try:
        leaf, path = decode(extra), [decode(line) for line in lines]
        checkpoint = Checkpoint.parse(split_note(note)[0])
    except NoteError as error:
        raise ProofError(f"the proof is malformed: {error}") from error
    hexes = tuple(item.hex() for item in path)
    leaf_hash = merkle.leaf_hash(leaf).hex()
    return Receipt(int(index), checkpoint.size, checkpoint.root.hex(), leaf_hash, hexes, note), leaf


def read_receipt(text: str) -> tuple[Receipt, bytes | None, str | None]:
    """The receipt, leaf and key in a file of either form."""
    if text.startswith(_TLOG_PROOF):
        return *from_tlog_proof(text), None
    return from_json(text)


def verify_receipt(receipt: Receipt, vkey: str | Sequence[str], *, leaf: bytes | None = None) -> Checkpoint:
    """The checkpoint that the receipt is under. Raises ProofError or NoteError unless every part of it holds."""
    checkpoint = open_checkpoint(receipt.checkpoint, vkey)
    if receipt.size != checkpoint.size or _unhex(receipt.root) != checkpoint.root:
        raise ProofError("the receipt's size and root are not those of its checkpoint")
    hashed = _unhex(receipt.leaf_hash)
    if leaf is not None and merkle.leaf_hash(leaf) != hashed:
        raise ProofError("the entry in the receipt is not the one that the receipt is for")
    merkle.verify_inclusion(
        hashed, receipt.entry, receipt.size, [_unhex(item) for item in receipt.proof], checkpoint.root
    )
    return checkpoint


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ProofError("a hash in the receipt is not hexadecimal") from None


def _field(data: Mapping[str, Any], name: str, kind: type) -> Any:
    value = data.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ProofError(f"the receipt's {name!r} is missing or malformed")
    return value
