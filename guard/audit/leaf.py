"""What the bytes of a leaf say, for readers; the writer never parses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from guard.errors import EvidenceError

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")  # of an entry: UTC, microseconds
_REPEATED = ("id", "kind", "occurred_at", "request_id", "state", "action", "subject")


def require_fields(seq: int, leaf: object) -> dict[str, Any]:
    """The fields of an entry that something hangs on. Raises EvidenceError where its leaf was changed into something else."""
    fields = parse_leaf(leaf)
    if fields is None:
        raise EvidenceError(f"entry {seq} cannot be read: run  guard audit verify")
    return fields


def parse_leaf(leaf: object) -> dict[str, Any] | None:
    """The fields of a leaf; None where the bytes are not a JSON object."""
    if not isinstance(leaf, bytes):
        return None
    try:
        fields = from_json(leaf)  # several times as fast as the standard library, but it refuses lone surrogates
    except ValueError:
        try:
            fields = json.loads(leaf)
        except (ValueError, RecursionError):
            return None
    return fields if isinstance(fields, dict) else None


def differences(row: Any, fields: Mapping[str, Any]) -> Iterator[str]:
    """Where the columns of an entry do not repeat what its leaf says, types included."""
    decision = fields.get("decision")
    state = fields.get("state")
    action = decision.get("action") if isinstance(decision, dict) else None
    signed = (
        fields.get("id"),
        fields.get("kind"),
        fields.get("at"),
        fields.get("request_id"),
        state if isinstance(state, str) else None,
        action if isinstance(action, str) else None,
        fields.get("subject"),
    )
    columns = (*row[1:7], row.subject)
    if columns != signed or list(map(type, columns)) != list(map(type, signed)):
        for name, column, said in zip(_REPEATED, columns, signed, strict=True):
            if type(column) is not type(said) or column != said:
                yield f"the column {name} differs from what the leaf says"
    if fields.get("v") != 1:
        yield "its leaf has an unknown version"
