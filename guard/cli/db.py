"""`guard db`: the schema of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from guard import settings
from guard.cli.options import HomeOption, StoreOption
from guard.cli.show import harmless
from guard.store import engine as store
from guard.store.partitions import make_room
from guard.store.schema import drift

app = typer.Typer(
    help="Make and change the tables of the store.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)


@app.command()
def upgrade(store_url: StoreOption = None, home: HomeOption = None) -> None:
    """Bring the tables up to date. Safe to repeat."""
    with _opened(store_url, home, create=True) as engine:
        before = store.current(engine)
        store.upgrade(engine)
        make_room(engine)
        after = store.current(engine)
    typer.echo(f"already at revision {after}" if before == after else f"upgraded from {before or 'nothing'} to {after}")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="The revision to go back to; 'base' drops every table.")],
    store_url: StoreOption = None,
    home: HomeOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the tables back to an older revision. What the dropped tables hold is lost, the record included."""
    with _opened(store_url, home) as engine:
        if not yes:
            typer.confirm("This drops tables and what they hold. Is there a backup?", abort=True, err=True)
        store.downgrade(engine, revision)
        typer.echo(f"now at revision {store.current(engine) or 'base'}")


@app.command()
def current(store_url: StoreOption = None, home: HomeOption = None) -> None:
    """Print the revision of the tables."""
    with _opened(store_url, home) as engine:
        typer.echo(store.current(engine) or "no tables: run  guard db upgrade")


@app.command()
def check(store_url: StoreOption = None, home: HomeOption = None) -> None:
    """Compare tables, triggers, functions and rights with what this release makes. Exit code 1: they differ.

    On PostgreSQL use the owner's URL: a second schema is made for comparing, and rolled back.
    """
    with _opened(store_url, home) as engine:
        found = drift(engine)
        store.require_current(engine)
        revision = store.current(engine)
    for line in found:
        typer.echo(harmless(line))
    if found:
        typer.echo(
            "THE SCHEMA IS NOT THAT OF THE RELEASE: find out who changed it, then verify the record with  guard audit verify",
            err=True,
        )
        raise typer.Exit(1)
    typer.echo(
        f"the schema is that of revision {revision}: tables, triggers, functions and rights are as they should be"
    )


@app.command("rebuild-names")
def rebuild_names(store_url: StoreOption = None, home: HomeOption = None) -> None:
    """Make the table of marks and credentials again from the entries whose content is there."""
    from guard.audit.names import rebuild

    with _opened(store_url, home) as engine:
        store.require_current(engine)
        count = rebuild(engine)
    typer.echo(f"{count} names of entries were made again")


@contextmanager
def _opened(url: str | None, home: Path | None, *, create: bool = False) -> Iterator[Engine]:
    engine = store.open_engine(settings.load(store=url, home=home).store_url, create=create)
    try:
        yield engine
    finally:
        engine.dispose()
