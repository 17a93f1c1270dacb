"""`guard audit erase`, `hold`, `release-hold`, `retain`, `prune`, `reidentify`: what must go and stay, who sees who it was."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import HomeOption, JsonOption, StoreOption, open_log
from guard.cli.show import harmless, print_json
from guard.errors import ConfigError

if TYPE_CHECKING:
    from guard.audit.erase import Done
    from guard.audit.log import Log
    from guard.settings import Settings

By = Annotated[
    str | None, typer.Option("--by", help="Your name, as it is recorded; default: GUARD_REVIEWER, your login.")
]
Subject = Annotated[str, typer.Option("--subject", help="The person: the requester of the requests, as it was given.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is sealed in the record.")]
_SPAN = re.compile(r"(\d{1,6})(d|w|y)?")


def register(app: typer.Typer) -> None:
    """Add the commands to `guard audit`."""
    app.command("erase")(erase)
    app.command("hold")(hold)
    app.command("release-hold")(release_hold)
    app.command("retain")(retain)
    app.command("prune")(prune)
    app.command("reidentify")(reidentify_command)


def erase(
    reason: Reason,
    *,
    subject: Annotated[str | None, typer.Option(help="All content of this person, and the key to it.")] = None,
    request: Annotated[str | None, typer.Option(help="The content of one request.")] = None,
    entry: Annotated[int | None, typer.Option(help="The content of one entry.", min=0)] = None,
    basis: Annotated[str, typer.Option(help="The legal basis.")] = "GDPR Art. 17",
    by: By = None,
    store: StoreOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase content for good; the entries stay and every proof still holds. Repeat it to finish an interrupted one."""
    from guard.audit.erase import Why, erase_entries, erase_subject

    if sum(it is not None for it in (subject, request, entry)) != 1:
        raise ConfigError("say what to erase: one of --subject, --request and --entry")
    why = Why(reader_name(by), reason, basis=basis)
    with _log(store, home) as (log, _):
        if subject is not None:
            done = erase_subject(log, log.vault.pseudonym(subject), why)
        else:
            done = erase_entries(log, why, request_id=request, entry=entry)
    _print(done, as_json)
    if subject is None and done.bodies and not as_json and not done.keys:
        typer.echo(
            "note: the person's key stays, for their other entries; backups made before still hold this content",
            err=True,
        )


def hold(subject: Subject, reason: Reason, by: By = None, store: StoreOption = None, home: HomeOption = None) -> None:
    """Forbid erasing a person's content until the hold is released."""
    from guard.audit import erase as lib

    with _log(store, home) as (log, _):
        made = lib.hold(log, log.vault.pseudonym(subject), by=reader_name(by), reason=reason)
    typer.echo(f"held: entry {made.seq}")


def release_hold(
    subject: Subject, reason: Reason, by: By = None, store: StoreOption = None, home: HomeOption = None
) -> None:
    """Allow erasing a person's content again."""
    from guard.audit import erase as lib

    with _log(store, home) as (log, _):
        made = lib.release_hold(log, log.vault.pseudonym(subject), by=reader_name(by), reason=reason)
    typer.echo(f"hold released: entry {made.seq}")


def retain(
    *,
    older_than: Annotated[
        str | None, typer.Option(help="Such as 400d, 60w or 2y; default: the setting `retention`.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Needed for less than six months; it is sealed.")] = "",
    by: By = None,
    store: StoreOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase content older than the retention period, but for legal holds and the texts of policies."""
    from guard.audit import erase as lib

    with _log(store, home) as (log, config):
        keep = span(older_than or config.retention or "")
        done = lib.retain(log, keep, by=reader_name(by), reason=reason, dry_run=dry_run)
    _print(done, as_json, "would erase" if dry_run else "erased")


def prune(
    reason: Reason,
    *,
    before: Annotated[
        str | None, typer.Option(help="Entries recorded before this UTC time, such as 2026-11-23.")
    ] = None,
    below: Annotated[int | None, typer.Option(help="Entries below this number.", min=0)] = None,
    exempt: Annotated[
        str, typer.Option(help="Why entries younger than six months need not be kept; the record shows it.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    by: By = None,
    store: StoreOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove whole old entries for good, but for those of keys and policies; every proof and receipt still holds.

    Repeat it to finish an interrupted one. On PostgreSQL it needs the owner's URL (--store). Make a backup first.
    """
    from guard.audit.erase import Why
    from guard.audit.prune import prune as run

    if (before is None) == (below is None):
        raise ConfigError("say what to prune: either --before or --below")
    with _log(store, home) as (log, _):
        why = Why(reader_name(by), reason, code="retention", basis="GDPR Art. 5(1)(e)")
        cut = run(log, why, below=below, before=moment(before), exempt=exempt, dry_run=dry_run)
    if as_json:
        print_json(asdict(cut))
        return
    verb = "would prune" if dry_run else "pruned"
    where = f"; the record says so in entry {cut.by}" if cut.by is not None else ""
    typer.echo(
        harmless(
            f"{verb} {cut.entries} entries below {cut.minimum} with {cut.bodies} contents, and destroyed {cut.keys} keys{where}"
        )
        if cut.entries
        else "there was nothing to prune"
    )
    _say_scrubbed(cut.scrubbed)


def reidentify_command(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="The request whose pseudonyms they are.")],
    reason: Reason,
    file: Annotated[str, typer.Argument(help="The text; `-` reads stdin.")] = "-",
    by: By = None,
    store: StoreOption = None,
    home: HomeOption = None,
) -> None:
    """Turn the pseudonyms and encrypted values of a request back into what they stand for. Who does it is recorded."""
    from guard.cli.options import read_bytes
    from guard.cli.show import write_content
    from guard.keys import KeyRing
    from guard.media import content_of
    from guard.redactor import reidentify
    from guard.types import Text

    content = content_of(read_bytes(file))
    if not isinstance(content, Text):
        raise ConfigError("give a text: pseudonyms stand in nothing else")
    with _log(store, home) as (log, config):
        text = reidentify(log, KeyRing(config.keys), request, content.text, by=reader_name(by), reason=reason)
    write_content(Text(text.removesuffix("\n")))


def moment(text: str | None) -> str | None:
    """A time that people type, in UTC, as the record writes it."""
    from guard.audit.draft import timestamp

    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigError(f"{text!r} is not a time: write 2026-11-23 or 2026-11-23T14:00, in UTC") from None
    return timestamp(found if found.tzinfo else found.replace(tzinfo=UTC)) if found else None


def span(text: str) -> timedelta:
    """A number of days, weeks (w) or years (y)."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ConfigError(
            "say how long content is kept: --older-than 400d, or the setting `retention` (also 60w or 2y)"
        )
    return timedelta(days=int(found[1]) * {"d": 1, "w": 7, "y": 365}[found[2] or "d"])


def reader_name(given: str | None) -> str:
    """Who acts at this terminal."""
    name = (given or os.environ.get("GUARD_REVIEWER") or "").strip()
    try:
        return name or getpass.getuser()
    except (OSError, KeyError):
        raise ConfigError("say who you are: give --by NAME, or set GUARD_REVIEWER") from None


@contextmanager
def _log(store: str | None, home: Path | None) -> Iterator[tuple[Log, Settings]]:
    from guard import settings
    from guard.store.engine import open_engine, require_current

    config = settings.load(store=store, home=home)
    if not (config.keys / "subject.key").exists():  # a new key would name nobody whom the record knows
        raise ConfigError(f"there are no keys of a record in {config.keys}: give --home, or set GUARD_HOME")
    engine = open_engine(config.store_url, create=False)
    try:
        require_current(engine)
        yield open_log(engine, config), config
    finally:
        engine.dispose()


def _print(done: Done, as_json: bool, verb: str = "erased") -> None:
    if as_json:
        data = {"bodies": done.bodies, "of": done.of, "keys": done.keys, "entries": list(done.entries)}
        print_json(data | {"scrubbed": done.scrubbed})
        return
    where = f"; the record says so in entry {', '.join(map(str, done.entries))}" if done.entries else ""
    typer.echo(
        harmless(f"{verb} {done.bodies} contents of {done.of} entries, and destroyed {done.keys} keys{where}")
        if done.bodies or done.keys
        else "there was nothing to erase"
    )
    _say_scrubbed(done.scrubbed)


def _say_scrubbed(scrubbed: bool) -> None:
    if not scrubbed:
        typer.echo(
            "note: the database's files may still hold encrypted copies, since somebody was reading or writing:"
            " run the same command again",
            err=True,
        )
