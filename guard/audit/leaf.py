"""What the bytes of a leaf say, for readers; the writer never parses."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")  # of an entry: UTC, microseconds


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
