"""`guard audit`: verify, search and prove the record."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sqlalchemy import Engine, make_url

from guard import settings
from guard.audit import access
from guard.audit.read import Entry, Reader
from guard.audit.rotation import first_keys, log_vkeys
from guard.audit.timestamp import Anchors
from guard.audit.vault import Vault
from guard.audit.verify import Report, verify
from guard.audit.vouched import Known
from guard.audit.witness import witness_vkeys
from guard.cli import inbox
from guard.cli.erasure import By, moment, reader_name
from guard.cli.options import HomeOption, JsonOption, StoreOption, open_log
from guard.cli.show import console, harmless, print_json, progress_bar
from guard.digest import label
from guard.errors import ConfigError, EvidenceError, OperationError
from guard.keys import KeyRing
from guard.store.engine import open_engine, require_current
from guard.types import Content, Text

if TYPE_CHECKING:
    from rich.table import Table

BROKEN = 1
UNCHECKED = 2

app = typer.Typer(
    help="Verify, search and prove the record.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)

Key = Annotated[str | None, typer.Option("--key", help="The log's verification key, or a file that holds it.")]
WitnessKeys = Annotated[
    list[str] | None, typer.Option("--witness-key", help="A witness's verification key; may be repeated.")
]
AnchorsFile = Annotated[
    Path | None,
    typer.Option(
        "--tsa-anchors", help="PEM file of certificates that time stamps must lead to; default: GUARD_TSA_ANCHORS."
    ),
]
Number = Annotated[int, typer.Argument(metavar="ENTRY", help="The entry's number.", min=0)]


@app.command("verify")
def verify_command(
    *,
    store: StoreOption = None,
    home: HomeOption = None,
    key: Key = None,
    against: Annotated[
        str | None, typer.Option(help="A checkpoint kept earlier: a file, or - for standard input.")
    ] = None,
    witness_key: WitnessKeys = None,
    tsa_anchors: AnchorsFile = None,
    content: Annotated[bool, typer.Option("--content", help="Also decrypt all content and check it.")] = False,
    remember: Annotated[bool, typer.Option(help="Keep the checkpoint here and compare with it next time.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Recompute the whole record and compare. Exit code 0: it holds; 1: it does not; 2: it could not be checked.

    On PostgreSQL also 1: somebody forged or removed what waited in the inbox for a number.
    """
    try:
        with _opened(store, home) as (config, engine), progress_bar("verifying") as progress:
            place = _checkpoint_file(config)
            kept = _read_text(against) if against else _remembered(place) if remember else None
            vault = Vault(KeyRing(config.keys)) if content else None
            witnesses = [*witness_vkeys(config.witness_spec), *(witness_key or [])]
            known = Known(witnesses, read_anchors(config, tsa_anchors))
            vkeys = first_keys(_vkeys(config, key))
            report = verify(engine, vkeys, against=kept, known=known, vault=vault, progress=progress)
            waiting = inbox.look(engine, claims=True)
    except OperationError as error:  # not to be mistaken for a record that does not hold
        typer.echo(f"guard: {error}", err=True)
        raise typer.Exit(UNCHECKED) from error
    if report.ok and remember and report.checkpoint:
        _remember(place, report.checkpoint)
    compared = f"the checkpoint kept in {place}" if kept and not against else against
    _print_report(report, compared, inbox.data(waiting) if as_json else None)
    inbox.warn(waiting)
    if not (report.ok and waiting.ok):
        raise typer.Exit(BROKEN)


@app.command()
def settle(store: StoreOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Number the entries that are durable and no more (PostgreSQL). Exit code 1: some were forged or removed."""
    with _opened(store, home, number=False) as (config, engine):
        _vkeys(config, None)  # rather than making a first key
        before = inbox.look(engine)
        open_log(engine, config).settle()
        found = inbox.look(engine, claims=True)
    if as_json:
        print_json({"before": before.waiting, **inbox.data(found)})
    else:
        typer.echo(f"{before.waiting} entries waited in the inbox, {found.waiting} wait now")
    inbox.warn(found)
    if not found.ok:
        raise typer.Exit(BROKEN)


@app.command()
def checkpoint(store: StoreOption = None, home: HomeOption = None) -> None:
    """Print the newest signed checkpoint. Keep it elsewhere: it shows later that nothing was cut or rewritten."""
    with _opened(store, home) as (_, engine):
        note = Reader(engine).checkpoint()
    if note is None:
        raise EvidenceError("the record is empty: there is no checkpoint yet")
    typer.echo(note, nl=False)


@app.command("key")
def key_command(home: HomeOption = None) -> None:
    """Print the log's public verification keys, the first one first, for those who check receipts and checkpoints."""
    typer.echo("\n".join(_vkeys(settings.load(home=home), None)))


@app.command()
def search(
    text: Annotated[str | None, typer.Argument(help="An entry's number or id, or a request id.")] = None,
    *,
    store: StoreOption = None,
    home: HomeOption = None,
    kind: Annotated[str | None, typer.Option(help="generation, continuation, check, claim, ruling, release …")] = None,
    state: Annotated[str | None, typer.Option(help="released, held or blocked.")] = None,
    action: Annotated[str | None, typer.Option(help="allow, annotate, redact, review or block.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From this UTC time on, such as 2026-11-23 or 2026-11-23T14:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this UTC time.")] = None,
    subject: Annotated[str | None, typer.Option(help="About this person: the requester, as it was given.")] = None,
    before: Annotated[int | None, typer.Option(help="Entries before this number, to page on.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List entries, newest first."""
    span = {"since": moment(since), "until": moment(until)}
    with _opened(store, home) as (config, engine):
        person = _pseudonym(config, subject) if subject is not None else None
        reader = Reader(engine)
        entries = reader.latest(
            limit, before=before, kind=kind, state=state, action=action, text=text, subject=person, **span
        )
        pruned = reader.pruned() if len(entries) < limit else None  # the list goes back to where the record begins
    if as_json:
        for entry in entries:
            print_json(_summary(entry), indent=None)
    elif entries:
        console().print(_table(entries))
    else:
        typer.echo("no entries match", err=True)
    if pruned and pruned.minimum:
        typer.echo(f"note: entries below {pruned.minimum} were pruned, as entry {pruned.by} says", err=True)


@app.command()
def show(
    entry: Number,
    store: StoreOption = None,
    home: HomeOption = None,
    content: Annotated[bool, typer.Option("--content", help="Decrypt and print the content too.")] = False,
    by: By = None,
) -> None:
    """Print one entry. Content is printed with control characters made visible, and who read it is recorded."""
    with _opened(store, home) as (config, engine):
        reader = Reader(engine, Vault(KeyRing(config.keys)) if content else None)
        found = _require_entry(reader, entry)
        bodies = found.fields.get("bodies")
        roles = list(bodies) if content and isinstance(bodies, dict) else []
        if roles:
            access.note(open_log(engine, config), found, roles, who=reader_name(by), why="command")
        contents = {role: reader.body(entry, role) for role in roles}
    typer.echo(harmless(json.dumps(found.fields, indent=2, ensure_ascii=False)))
    if not found.intact:
        typer.echo("warning: this entry was changed: run  guard audit verify", err=True)
    for role, body in contents.items():
        typer.echo(f"\n{harmless(role)}: " + _described(body))


def _pseudonym(config: settings.Settings, subject: str) -> str:
    if not (config.keys / "subject.key").exists():  # a new key would name nobody whom the record knows
        raise ConfigError(f"there are no keys of a record in {config.keys}: give --home, or set GUARD_HOME")
    return Vault(KeyRing(config.keys)).pseudonym(subject)


def _described(body: Content | None) -> str:
    if body is None:
        return "erased"
    if isinstance(body, Text):
        return "\n" + _indented(harmless(body.text))
    return f"{body.media_type}, {len(body.data)} bytes, {label(body.data)}"


def _indented(text: str) -> str:
    return "\n".join("  | " + line for line in text.split("\n"))


# --- settings and files --------------------------------------------------------------------------------------------


@contextmanager
def _opened(store: str | None, home: Path | None, *, number: bool = True) -> Iterator[tuple[settings.Settings, Engine]]:
    config = settings.load(store=store, home=home)
    engine = open_engine(config.store_url, create=False)
    try:
        require_current(engine)
        if number:
            inbox.number(config, engine)
        yield config, engine
    finally:
        engine.dispose()


def _has_key(config: settings.Settings) -> bool:
    return any((config.keys / name).exists() for name in ("log.pem", "log.keys"))


def _vkeys(config: settings.Settings, given: str | None) -> list[str]:
    """The log's keys, the first one first."""
    if given:
        return _read_text(given).split() or [given] if Path(given).is_file() else [given]
    if not _has_key(config):  # asking the key ring would make a new key, under which nothing was ever signed
        raise ConfigError(f"there is no log key in {config.keys}: give --home, or the log's public key with --key")
    return log_vkeys(KeyRing(config.keys), config.origin)


def read_anchors(config: settings.Settings, given: Path | None) -> Anchors | None:
    """The certificates of time stamp authorities, where any are given or configured."""
    path = given or config.tsa_anchors
    return Anchors.read(path) if path else None


def _read_text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {name}: {error}") from error


def _checkpoint_file(config: settings.Settings) -> Path:
    """One file for each log: the origin, and which database, since one home may serve several."""
    url = make_url(config.store_url)
    database = (
        str(Path(url.database).resolve()) if url.drivername.startswith("sqlite") and url.database else url.database
    )
    which = label(f"{url.host}:{url.port}/{database}?{sorted(url.query.items())}".encode())[7:19]
    return config.home / "checkpoints" / f"{config.origin.replace('/', '_')}-{which}.txt"


def _remembered(place: Path) -> str | None:
    return _read_text(str(place)) if place.exists() else None


def _remember(place: Path, note: str) -> None:
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(note)
        scratch.replace(place)
    except OSError as error:
        raise ConfigError(f"cannot write {place}: {error.strerror}; use --no-remember") from error


def _require_entry(reader: Reader, seq: int) -> Entry:
    entry = reader.entry(seq)
    if entry is None:
        pruned = reader.pruned()
        if pruned.allows(seq):
            raise EvidenceError(f"entry {seq} was pruned, as entry {pruned.by} says; receipts of it still verify")
        raise EvidenceError(f"there is no entry {seq}; the record has {reader.size()}")
    return entry


# --- printing ------------------------------------------------------------------------------------------------------


def _print_report(report: Report, compared: str | None, waiting: dict[str, Any] | None) -> None:
    if waiting is not None:
        problems = [{"entry": problem.seq, "what": problem.what} for problem in report.problems]
        data = {"ok": report.ok, "size": report.size, "root": report.root, "vouched": report.vouched}
        data |= {
            "unchecked": report.unchecked,
            "minimum": report.minimum,
            "first_broken": report.first_broken,
            "problems": problems,
        }
        print_json(data | {"inbox": waiting})
        return
    if report.ok:
        typer.echo(f"the record holds: {report.size} entries, root {report.root}")
        if report.minimum:
            typer.echo(f"entries below {report.minimum} were pruned; their hashes lead to the same root")
        if report.unfinished:
            typer.echo(f"{report.unfinished} of them are still there: repeat  guard audit prune  to finish")
        typer.echo(f"it extends {compared}" if compared else "compared with no earlier checkpoint")
        if report.vouched:
            typer.echo(f"signed by others under its checkpoints, and checked: {report.vouched}")
        if report.unchecked:
            typer.echo(
                f"signed by others, and not checked: {report.unchecked}; name them with --witness-key or --tsa-anchors"
            )
        return
    for problem in report.problems[:20]:
        typer.echo(harmless(str(problem)))
    if len(report.problems) > 20:
        typer.echo(f"… and {len(report.problems) - 20} more")
    first = "" if report.first_broken is None else f"; the first broken entry is {report.first_broken}"
    count = "one problem" if len(report.problems) == 1 else f"{len(report.problems)} problems"
    typer.echo(f"THE RECORD DOES NOT HOLD: {count}{first}")
    typer.echo("Keep this database as evidence, and compare it with a backup.", err=True)


def _summary(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "id": entry.id,
        "kind": entry.kind,
        "at": entry.at,
        "request_id": entry.request_id,
        "state": entry.state,
        "action": entry.action,
    }


def _table(entries: Sequence[Entry]) -> Table:
    from rich.table import Table
    from rich.text import Text as Plain

    table = Table("entry", "time", "kind", "request", "action", "state", box=None, pad_edge=False)
    for entry in entries:
        time = entry.at[:19].replace("T", " ")
        cells = (str(entry.seq), time, entry.kind, entry.request_id or "", entry.action or "", entry.state or "")
        table.add_row(*(Plain(harmless(cell)) for cell in cells))
    return table
