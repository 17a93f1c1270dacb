"""What the commands that look at the record do first: number what is durable and waits in the inbox (PostgreSQL only)."""

from __future__ import annotations

from typing import Any

import typer
from sqlalchemy import Engine

from guard.audit.inbox import Status, status
from guard.cli.options import open_log
from guard.cli.show import harmless
from guard.errors import ConfigError, OperationError
from guard.settings import Settings
from guard.store.engine import reading


def look(engine: Engine, *, claims: bool = False) -> Status:
    """What lies in the inbox (see `guard.audit.inbox.status`)."""
    with reading(engine) as connection:
        return status(connection, claims=claims)


def number(config: Settings, engine: Engine) -> None:
    """Number what waits, where the home folder holds the keys of this log. Who only reads is told what waits."""
    found = look(engine)
    if found.waiting and (config.keys / "inbox.key").exists():
        try:
            open_log(engine, config).settle()
        except (OperationError, ConfigError) as error:  # a record that cannot be written can still be read
            typer.echo(f"note: {error}", err=True)
        found = look(engine)
    if found.waiting:
        typer.echo(
            f"note: {found.waiting} entries are durable and have no number yet: run  guard audit settle  where the log's"
            " keys are",
            err=True,
        )


def warn(found: Status) -> None:
    """Say what somebody did to the inbox."""
    for entry_id, why in found.refused.items():
        typer.echo(f"THE INBOX: {harmless(entry_id[:80])} is never numbered: {harmless(why[:200])}", err=True)
    for entry_id in found.lost:
        typer.echo(f"THE INBOX: {harmless(entry_id[:80])} was durable, and is gone before it was numbered", err=True)
    if not found.ok:
        typer.echo("Somebody else writes to the inbox: see who has INSERT or DELETE on its tables.", err=True)


def data(found: Status) -> dict[str, Any]:
    """As JSON."""
    return {"waiting": found.waiting, "refused": dict(found.refused), "lost": list(found.lost)}
