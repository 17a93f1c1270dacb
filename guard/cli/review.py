"""`guard review`: the queue from a terminal. The dashboard shows more; here is what scripts and quick rulings need."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard import settings
from guard.cli.options import HomeOption, JsonOption, StoreOption, open_log
from guard.cli.show import console, harmless, print_json
from guard.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from guard.audit.log import Log
    from guard.audit.read import Reader
    from guard.review import Case

app = typer.Typer(
    help="List, claim and decide held cases.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)

Reviewer = Annotated[
    str | None, typer.Option("--reviewer", help="Your name, as it is recorded; default: GUARD_REVIEWER.")
]
CaseId = Annotated[str, typer.Argument(metavar="CASE", help="The id of the case.")]


@app.command("list")
def list_command(
    store: StoreOption = None,
    home: HomeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 25,
    as_json: JsonOption = False,
) -> None:
    """Show the open cases, most urgent first."""
    from rich.table import Table
    from rich.text import Text

    from guard import review

    engine, now = _engine(store, home), _now()
    page = review.queue(engine, review.Filter(), reviewer="", now=now, limit=limit)
    if as_json:
        rows = [_data(row.case) | {"rules": [reason.rule for reason in row.reasons]} for row in page.rows]
        print_json({"total": page.total, "cases": rows})
        return
    if not page.rows:
        typer.echo("nothing waits for review", err=True)
        return
    table = Table("case", "severity", "content", "due", "held by", "why", box=None, pad_edge=False)
    for row in page.rows:
        why = ", ".join(review.rule_words(reason.rule) for reason in row.reasons)
        case = row.case
        cells = (case.id, str(case.severity), case.kind, case.deadline[:16], case.holder(now) or "", why)
        table.add_row(*(Text(harmless(cell)) for cell in cells))
    console().print(table)
    if page.total > len(page.rows):
        typer.echo(f"{page.total - len(page.rows)} more: raise --limit", err=True)


@app.command()
def show(
    case: CaseId,
    reviewer: Reviewer = None,
    store: StoreOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one case: why it was held, and what is asked to be released. Who reads it is recorded."""
    from guard import review
    from guard.audit import access
    from guard.cli.erasure import reader_name

    engine, log = _writer(store, home)
    found, reader = review.get(engine, case), _reader(engine, home)
    entry = reader.entry(found.seq)
    fields = entry.fields if entry else {}
    if as_json:
        print_json(_data(found) | {"rules": [reason.rule for reason in review.reasons(fields)]})
        return
    for name, value in _data(found).items():
        if value is not None:
            typer.echo(f"{name}: {harmless(str(value))}")
    for reason in review.reasons(fields):
        typer.echo(f"why: {harmless(review.rule_words(reason.rule))} {harmless(reason.detail)}".rstrip())
    roles = [role for role in ("prompt", "output", "release") if role in (fields.get("bodies") or {})]
    ruling = reader.entry(found.ruling_seq) if found.ruling_seq is not None else None
    read = [(it, roles) for it, roles in ((entry, roles), (ruling, ["rationale"])) if it is not None]
    for it, some in read:
        access.note(log, it, some, who=reader_name(reviewer), why="case")
    for it, role in [(it, role) for it, some in read for role in some]:
        body = reader.body(it.seq, role)
        text = getattr(body, "text", None)
        if body is not None:
            shown = harmless(text) if text is not None else f"{body.media_type}, {len(body.data)} bytes"
            typer.echo(f"\n{role}:\n" + "\n".join("  | " + line for line in shown.split("\n")))


@app.command()
def claim(
    case: Annotated[str | None, typer.Argument(metavar="[CASE]", help="A case; default: the most urgent.")] = None,
    reviewer: Reviewer = None,
    store: StoreOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reserve a case for ten minutes."""
    from guard import review

    engine, log = _writer(store, home)
    _print(review.claim(engine, log, reviewer=_name(reviewer), case_id=case), as_json)


@app.command()
def unclaim(case: CaseId, reviewer: Reviewer = None, store: StoreOption = None, home: HomeOption = None) -> None:
    """Give a case back to the queue, undecided."""
    from guard import review

    engine, log = _writer(store, home)
    review.unclaim(engine, log, case_id=case, reviewer=_name(reviewer))
    typer.echo("given back", err=True)


@app.command()
def rule(
    case: CaseId,
    ruling: Annotated[str, typer.Argument(help="approve or reject.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is sealed in the record.")],
    reviewer: Reviewer = None,
    store: StoreOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide a case that you hold."""
    from guard import review

    engine, log = _writer(store, home)
    done = review.rule(engine, log, case_id=case, reviewer=_name(reviewer), ruling=ruling, rationale=reason)
    _print(done, as_json)


@app.command()
def rebuild(store: StoreOption = None, home: HomeOption = None) -> None:
    """Make the queue again from the record alone; leases end no later than before."""
    from guard import review

    typer.echo(f"{review.rebuild(_engine(store, home))} cases rebuilt", err=True)


def _engine(store: str | None, home: Path | None) -> Engine:
    from guard.store.engine import open_engine, require_current

    engine = open_engine(settings.load(store=store, home=home).store_url, create=False)
    require_current(engine)
    return engine


def _reader(engine: Engine, home: Path | None) -> Reader:
    from guard.audit.read import Reader
    from guard.audit.vault import Vault
    from guard.keys import KeyRing

    return Reader(engine, Vault(KeyRing(settings.load(home=home).keys)))


def _writer(store: str | None, home: Path | None) -> tuple[Engine, Log]:
    engine = _engine(store, home)
    return engine, open_log(engine, settings.load(home=home))


def _name(given: str | None) -> str:
    name = (given or os.environ.get("GUARD_REVIEWER") or "").strip()
    if not name:
        raise ConfigError("say who you are: give --reviewer NAME, or set GUARD_REVIEWER")
    return name


def _now() -> str:
    from guard.audit.draft import timestamp

    return timestamp(datetime.now(UTC))


def _data(case: Case) -> dict[str, object]:
    return asdict(case)


def _print(case: Case | None, as_json: bool) -> None:
    if as_json:
        print_json({"case": _data(case) if case else None})
    elif case is None:
        typer.echo("no case is free right now", err=True)
    else:
        typer.echo(harmless(case.id))
