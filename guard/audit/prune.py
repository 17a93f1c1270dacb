"""Pruning: whole entries that are too old to keep go, below a minimum index (C2SP tlog-tiles); every proof still holds.

First an entry says so. From then on the database lets go of what lies below, and verifiers take the hashes of what is missing
from the tiles. Keys that nothing else needs are destroyed before the rows that name them, so whatever interrupts it, a second
run finishes. Erasing (`guard.audit.erase`) is for content, pruning is for entries: it takes the facts as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, tuple_

from guard.audit import draft
from guard.audit.draft import Draft, timestamp
from guard.audit.erase import SHORTEST, Why, held
from guard.audit.erased import pieces
from guard.audit.log import Appended, Log
from guard.audit.merkle import TILE_WIDTH, tree_root
from guard.audit.names import forget
from guard.audit.pruned import KEPT, MARK, PRUNE, Pruned
from guard.audit.spent import destroy_unused, refs_of
from guard.audit.tree import lazy_nodes
from guard.digest import JSON
from guard.errors import CallerError, ConfigError, LegalHold, RecordError, ReviewError
from guard.store.engine import reading, scrub, writing
from guard.store.partitions import drop_below, droppable, require_owner
from guard.store.tables import LogBody, LogEntry, LogOnce, ReviewCase
from guard.types import Text

_BATCH = 5_000  # entries that one transaction deletes, while other writers wait
_GONE = LogEntry.kind.not_in(KEPT)
_OPEN = ReviewCase.state != "decided"


@dataclass(frozen=True, slots=True)
class Cut:
    """What was pruned, or would be: below `minimum`, so many entries and contents, the keys destroyed, and the entry that
    says so (None where an earlier one does)."""

    minimum: int
    entries: int = 0
    bodies: int = 0
    keys: int = 0
    by: int | None = None
    scrubbed: bool = True


def prune(
    log: Log, why: Why, *, below: int | None = None, before: str | None = None, exempt: str = "", dry_run: bool = False
) -> Cut:
    """Remove the entries `below` a number, or those from `before` a time as recorded; repeat it to finish an interrupted one.

    The minimum index is rounded down to a multiple of 256, which is what foreign tools read at once. Entries of keys and
    policies stay. `exempt` says why what is younger than six months need not be kept.
    Raises LegalHold and ReviewError where a held subject's entry or an open case lies below, ConfigError for entries that are
    too young, and RecordError where the database's user does not own the tables.
    """
    if not why.by.strip() or not why.reason.strip():
        raise CallerError("say who prunes and why: the record keeps it, and nothing else will explain what is missing")
    if (below is None) == (before is None):
        raise CallerError("say what to prune: below a number, or before a time")
    log.settle()
    with reading(log.engine) as connection:
        require_owner(connection)
        known = Pruned.read(connection)
        wanted = _minimum(connection, below, before)
        minimum = max(wanted, known.minimum)
        _require_free(connection, minimum)
        if wanted > known.minimum:
            _require_old(connection, minimum, log.now(), exempt)
        cut = Cut(minimum, *_counted(connection, minimum))
        if dry_run:
            return cut
        drafts = list(_drafts(connection, cut, why, before, exempt)) if wanted > known.minimum and cut.entries else []
    appended = log.append(drafts, within=_unchanged(known)) if drafts else []
    if not cut.entries:
        return Cut(known.minimum, scrubbed=scrub(log.engine))
    keys = _destroy_keys(log, minimum)
    try:
        _remove(log, minimum)
    except RecordError as error:
        raise RecordError(
            f"what was pruned is on record and not removed yet: run the same command again to finish ({error})"
        ) from error
    return Cut(minimum, cut.entries, cut.bodies, keys, appended[-1].seq if appended else None, scrub(log.engine))


def _minimum(connection: Connection, below: int | None, before: str | None) -> int:
    size: int = connection.execute(select(func.coalesce(func.max(LogEntry.seq), -1) + 1)).scalar_one()
    if before is not None:
        first = select(func.min(LogEntry.seq)).where(LogEntry.occurred_at >= before)
        below = connection.execute(first).scalar_one()
    index = size if below is None else below
    if not 0 <= index <= size:
        raise CallerError(f"the record has {size} entries: prune below one of them")
    return index - index % TILE_WIDTH


def _counted(connection: Connection, minimum: int) -> tuple[int, int]:
    """Entries that would go, and their contents."""
    entries = connection.execute(select(func.count()).select_from(LogEntry).where(LogEntry.seq < minimum, _GONE))
    bodies = select(func.count()).select_from(LogBody).join(LogEntry, LogEntry.seq == LogBody.seq)
    return entries.scalar_one(), connection.execute(bodies.where(LogBody.seq < minimum, _GONE)).scalar_one()


# --- what forbids it -----------------------------------------------------------------------------------------------


def _require_free(connection: Connection, minimum: int) -> None:
    for subject in sorted(held(connection)):
        first = connection.execute(
            select(func.min(LogEntry.seq)).where(LogEntry.subject == subject, LogEntry.seq < minimum)
        ).scalar_one()
        if first is not None:
            raise LegalHold(
                f"{subject} is under a legal hold since before, and entry {first} is theirs: nothing was removed. Prune below"
                f" {_floor(first)} at most, or run  guard audit release-hold  first, if it may end"
            )
    case = select(ReviewCase.id, ReviewCase.seq).where(_OPEN, ReviewCase.seq < minimum).order_by(ReviewCase.seq)
    waiting = connection.execute(case.limit(1)).first()
    if waiting:
        raise ReviewError(
            f"case {waiting.id} waits for a decision, and entry {waiting.seq} is what it is about: nothing was removed."
            f" Decide it first, or prune below {_floor(waiting.seq)} at most"
        )


def _floor(seq: int) -> int:
    return seq - seq % TILE_WIDTH


def _require_old(connection: Connection, minimum: int, now: str, exempt: str) -> None:
    newest = select(LogEntry.occurred_at).where(LogEntry.seq < minimum).order_by(LogEntry.seq.desc()).limit(1)
    at = connection.execute(newest).scalar_one_or_none()
    if at is not None and not exempt.strip() and at > timestamp(datetime.fromisoformat(now) - SHORTEST):
        raise ConfigError(
            f"entry {minimum - 1} is of {at[:10]}, and logs of high-risk systems are kept for six months at least (AI Act Art."
            " 26(6)): prune older entries only, or say with --exempt why that does not apply; the record will show it"
        )


# --- the entry that says so ----------------------------------------------------------------------------------------


def _drafts(connection: Connection, cut: Cut, why: Why, before: str | None, exempt: str) -> Iterator[Draft]:
    """One entry, or more where the runs of what is kept do not fit into one."""
    query = select(LogEntry.seq).where(LogEntry.seq < cut.minimum, LogEntry.kind.in_(KEPT)).order_by(LogEntry.seq)
    runs = [named["kept"] for named, _ in pieces((seq, "kept") for seq in connection.execute(query).scalars())]
    fields: dict[str, JSON] = {
        "by": why.by, "code": why.code, "basis": why.basis, "exempt": exempt.strip() or None, "before": before,
        "minimum": cut.minimum, "root": tree_root(cut.minimum, lazy_nodes(connection)).hex(),
        "entries": cut.entries, "contents": cut.bodies,
    }  # fmt: skip
    for kept in runs or [[]]:
        yield Draft(PRUNE, f"{MARK}{cut.minimum}", {**fields, "kept": kept}, {"reason": Text(why.reason)})


def _unchanged(known: Pruned) -> Any:
    """What must still hold when the entry is written, under the lock of the log."""

    def check(connection: Connection, appended: Sequence[Appended]) -> None:
        first = appended[0].seq
        if Pruned.read(connection, before=first) != known:
            raise RecordError("somebody else prunes at this moment: run it again; nothing was removed by this run")
        _require_free(connection, Pruned.read(connection).minimum)

    return check


# --- removing ------------------------------------------------------------------------------------------------------


def _destroy_keys(log: Log, minimum: int) -> int:
    """Destroy keys that only content below the minimum needs, so that backups do not open what was pruned."""
    with reading(log.engine) as connection:
        refs = refs_of(connection, LogEntry.seq < minimum, _GONE)
    return destroy_unused(log, refs)


def _remove(log: Log, minimum: int) -> None:
    """Whole partitions first, then row by row what is left."""
    with reading(log.engine) as connection:
        beyond = droppable(connection, minimum, KEPT)
    if beyond:
        with writing(log.engine) as connection:
            _forget(connection, LogEntry.seq < beyond, _GONE)
        with writing(log.engine) as connection:  # of its own, since everybody waits for it
            drop_below(connection, beyond, KEPT)
    lowest = select(func.min(LogEntry.seq)).where(LogEntry.seq < minimum, _GONE)
    while True:
        with writing(log.engine) as connection:
            first = connection.execute(lowest).scalar()
            if first is None:
                return
            some = (LogEntry.seq >= first, LogEntry.seq < min(first + _BATCH, minimum), _GONE)
            _forget(connection, *some)
            connection.execute(delete(LogBody).where(LogBody.seq.in_(select(LogEntry.seq).where(*some))))
            connection.execute(delete(LogEntry).where(*some))


def _forget(connection: Connection, *some: Any) -> None:
    """What repeats pruned entries elsewhere: names, decided cases, and the claims of request ids, which are free again."""
    forget(connection, *some)
    connection.execute(delete(ReviewCase).where(ReviewCase.seq.in_(select(LogEntry.seq).where(*some))))
    claimed = select(LogEntry.request_id, LogEntry.kind, LogEntry.id).where(
        *some, LogEntry.kind.in_(sorted(draft.ONCE))
    )
    connection.execute(delete(LogOnce).where(tuple_(LogOnce.request_id, LogOnce.kind, LogOnce.id).in_(claimed)))
