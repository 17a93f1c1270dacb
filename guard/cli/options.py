"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from guard.audit.log import Log
    from guard.settings import Settings

PolicyOption = Annotated[
    str | None,
    typer.Option("--policy", help="Policy file, folder, or the name of a shipped policy.", show_default=False),
]
StoreOption = Annotated[
    str | None, typer.Option("--store", help="Database URL; default: GUARD_STORE, else SQLite in the home folder.")
]
HomeOption = Annotated[Path | None, typer.Option("--home", help="Folder of keys and cache; default: GUARD_HOME.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
RequesterOption = Annotated[str | None, typer.Option("--requester", help="Who asks, as a pseudonymous id.")]
PurposeOption = Annotated[str | None, typer.Option("--purpose", help="What it is for; conditions may look at it.")]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source", help="File with data that the content must keep to; several may be given."),
]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", help="Whom it is done for, where one deployment serves several.")
]


def open_log(engine: Engine, config: Settings) -> Log:
    """The log that the settings describe."""
    from guard.audit.log import Log
    from guard.keys import KeyRing

    return Log(engine, KeyRing(config.keys), **config.log_options)


def parse_params(pairs: list[str]) -> dict[str, Any]:
    """`name=value` pairs; values are read as JSON where they are JSON, else as text."""
    params: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise ConfigError(f"--param {pair!r}: write it as name=value")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


def read_text(source: str) -> str:
    """A file of UTF-8 text, or stdin for `-`."""
    try:
        return read_bytes(source).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} is not UTF-8 text") from error


def read_bytes(source: str) -> bytes:
    """A file, or stdin for `-`."""
    import sys

    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {source}: {error.strerror}") from error
