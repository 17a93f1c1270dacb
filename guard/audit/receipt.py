"""Receipts as self-contained JSON, and their check offline, with nothing but the log's public key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, open_checkpoint
from guard.digest import JSON
from guard.errors import ProofError
from guard.types import Receipt


def to_json(receipt: Receipt, *, leaf: bytes | None = None, vkey: str | None = None) -> dict[str, JSON]:
    """A receipt as plain JSON; with the leaf and the key it can be read and checked without anything else."""
    data: dict[str, JSON] = {**asdict(receipt), "proof": list(receipt.proof)}
    if leaf is not None:
        data["leaf"] = leaf.decode()
    if vkey is not None:
        data["vkey"] = vkey
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


def verify_receipt(receipt: Receipt, vkey: str, *, leaf: bytes | None = None) -> Checkpoint:
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
