"""Files of models that ship: a line that says what it is, a line of JSON, and the bytes of the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from guard.digest import sha256
from guard.errors import ConfigError


def read(path: Path, magic: bytes) -> tuple[dict[str, Any], bytes, str]:
    """The facts, the weights, and the digest (hex) of the file. Raises ConfigError when it is missing or another kind."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the model {path.name}: {error.strerror}; reinstall genguard") from error
    header, found, body = data.removeprefix(magic).partition(b"\n")
    if not (found and data.startswith(magic)):
        raise ConfigError(f"{path.name} is not a model of this version; reinstall genguard")
    try:
        return json.loads(header), body, sha256(data).hex()
    except ValueError as error:
        raise ConfigError(f"{path.name} is damaged; reinstall genguard") from error


def require_size(path: Path, body: bytes, size: int) -> None:
    """Raise ConfigError unless there are so many bytes of weights."""
    if len(body) != size:
        raise ConfigError(f"{path.name} is cut short or too long; reinstall genguard")
