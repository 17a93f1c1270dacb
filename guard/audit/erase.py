"""Erasing content: by request of the person, by entry, or by age; and the legal holds that forbid it.

The order is: first the transaction that empties the rows and appends the entry that says so, then the destruction of the
keys, in a transaction that looks again whether anything came meanwhile. A crash in between leaves a record that verifies and
keys that open nothing in it; a second run, or the next retention, destroys them. The other order could leave sealed content
that nobody can open and no entry that says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, or_, select, update

from guard.audit.draft import KEPT, Draft, timestamp
from guard.audit.erased import ERASURE, pieces
from guard.audit.log import Append, Appended, Log
from guard.audit.names import forget
from guard.audit.spent import destroy_unused, left_over, refs_of
from guard.digest import JSON
from guard.errors import CallerError, ConfigError, LegalHold, OperationError
from guard.store.engine import reading, scrub
from guard.store.tables import LogBody, LogEntry
from guard.types import Content, Text

BASIS = "GDPR Art. 17"
SHORTEST = timedelta(days=183)  # six months: AI Act Art. 19 and 26(6)
_AT_ONCE = 500
_BATCH = 5_000  # bodies that one transaction erases, in which nobody else records anything
_HOLDS = ("hold", "release_hold")
_ERASABLE = LogEntry.kind.not_in((*KEPT, "policy"))  # on request; by age, also what is kept about erasures

Where = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Why:
    """Who erases, and why. `reason` is sealed; `basis` and `code` stay readable."""

    by: str
    reason: str
    code: str = "request"
    basis: str = BASIS


@dataclass(frozen=True, slots=True)
class Done:
    """What was erased: contents, of how many entries, the keys destroyed, and the entries that say so."""

    bodies: int = 0
    of: int = 0
    keys: int = 0
    entries: tuple[int, ...] = ()
    scrubbed: bool = True

    def plus(self, other: Done) -> Done:
        """Both together."""
        return Done(
            self.bodies + other.bodies, self.of + other.of, self.keys + other.keys, self.entries + other.entries,
            self.scrubbed and other.scrubbed,
        )  # fmt: skip


# --- erasing -------------------------------------------------------------------------------------------------------


def erase_subject(log: Log, subject: str, why: Why) -> Done:
    """Erase all content of a data subject (as the record calls it), and its key. Repeat it to finish an interrupted one.

    What the subject asks for while this runs is erased as well where it is recorded before the key goes. What comes later
    is sealed under a new key. Raises LegalHold while the subject is under one, and OperationError where it could not finish.
    """
    _require_why(why)
    where, done = (LogEntry.subject == subject, _ERASABLE), Done()
    with _resumable():
        for span in _spans(log, where):
            done = done.plus(_erase(log, (*where, span), why, subject=subject))
        # A busy subject has come back by now. What it left is erased in the very transaction in which its key goes.
        return _scrubbed(log, done.plus(_erase(log, where, why, subject=subject, key=subject)))


def erase_entries(log: Log, why: Why, *, request_id: str | None = None, entry: int | None = None) -> Done:
    """Erase the content of one request or one entry. A key goes only when nothing is left under it."""
    _require_why(why)
    if (request_id is None) == (entry is None):
        raise CallerError("say what to erase: a request or an entry")
    which = LogEntry.request_id == request_id if entry is None else LogEntry.seq == entry
    with _resumable():
        done = _erase(log, (which, _ERASABLE), why)
        with reading(log.engine) as connection:  # those whose content an interrupted run has erased already as well
            refs = refs_of(connection, which, _ERASABLE)
        return _scrubbed(log, done.plus(Done(keys=destroy_unused(log, refs))))


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except OperationError as error:
        raise type(error)(f"{error}; the erasure is not finished: run the same command again") from error


def _spans(log: Log, where: Sequence[Where]) -> Iterator[Where]:
    """What is to be erased, in runs of entries that are not too much for one transaction; found without a lock."""
    log.settle()
    query = select(LogBody.seq).join(LogEntry, LogEntry.seq == LogBody.seq).where(LogBody.erased_at.is_(None), *where)
    found, last = [0] * _BATCH, -1
    while len(found) == _BATCH:
        with reading(log.engine) as connection:
            some = query.where(LogEntry.seq > last).order_by(LogBody.seq).limit(_BATCH)
            found = list(connection.execute(some).scalars())
        if found:
            last = found[-1]
            yield LogEntry.seq.between(found[0], last)


def _erase(
    log: Log,
    where: Sequence[Where],
    why: Why,
    *,
    subject: str | None = None,
    key: str | None = None,
    spare: bool = False,
    **more: JSON,
) -> Done:
    """Empty rows and append the entries that name them, in one transaction; last, where one is given, the `key` goes.

    Content under a legal hold is refused or, with `spare`, left alone.
    """
    query = select(LogBody.seq, LogBody.role, LogEntry.subject).join(LogEntry, LogEntry.seq == LogBody.seq)
    query = query.where(LogBody.erased_at.is_(None), *where).order_by(LogBody.seq, LogBody.role)
    done = Done()

    def erase(connection: Connection, append: Append) -> None:
        nonlocal done
        on_hold = held(connection)
        rows = [row for row in connection.execute(query) if not (spare and row.subject in on_hold)]
        subjects = {name for name in (subject, *(row.subject for row in rows)) if name}
        if subjects & on_hold:
            raise LegalHold(
                f"{min(subjects & on_hold)} is under a legal hold and nothing of it was erased: run"
                "  guard audit release-hold  first, if it may end"
            )
        about = min(subjects) if len(subjects) == 1 and not spare else None
        entries = _empty(connection, append, [(row.seq, row.role) for row in rows], why, about, more)
        keys = log.vault.keys.existing([key]) if key else []
        log.vault.keys.destroy(keys)
        done = Done(len(rows), len({row.seq for row in rows}), len(keys), entries)

    log.exclusively(erase)
    return done


def _empty(
    connection: Connection,
    append: Append,
    found: Sequence[tuple[int, str]],
    why: Why,
    subject: str | None,
    more: Mapping[str, JSON],
) -> tuple[int, ...]:
    fields: dict[str, JSON] = {"by": why.by, "code": why.code, "basis": why.basis, **more}
    reason: dict[str, Content] = {"reason": Text(why.reason)} if why.reason else {}
    named = list(pieces(found))
    appended = append([Draft(ERASURE, None, {**fields, "erased": runs}, reason, subject) for runs, _ in named])
    gone = {"ciphertext": None, "wrapped_key": None, "lookup": None}
    for entry, (_, numbers) in zip(appended, named, strict=True):
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            change = update(LogBody).where(LogBody.seq.in_(some), LogBody.erased_at.is_(None))
            connection.execute(change.values(**gone, erased_at=entry.occurred_at))
            forget(connection, LogEntry.seq.in_(some))
    return tuple(entry.seq for entry in appended)


def _scrubbed(log: Log, done: Done) -> Done:
    # Also when nothing was erased: an earlier run may have been interrupted, or kept from it by readers.
    return replace(done, scrubbed=scrub(log.engine))


def _require_why(why: Why) -> None:
    if not why.by.strip():
        raise CallerError("say who erases: the record keeps it")
    if not why.reason.strip():
        raise CallerError("give a reason: an erasure without one cannot be explained later")


# --- legal holds ---------------------------------------------------------------------------------------------------


def hold(log: Log, subject: str, *, by: str, reason: str) -> Appended:
    """Forbid erasing the content of a data subject until the hold is released."""
    return _hold(log, "hold", subject, by=by, reason=reason)


def release_hold(log: Log, subject: str, *, by: str, reason: str) -> Appended:
    """Allow erasing again."""
    return _hold(log, "release_hold", subject, by=by, reason=reason)


def _hold(log: Log, kind: str, subject: str, *, by: str, reason: str) -> Appended:
    _require_why(Why(by, reason))
    wanted = kind == "hold"

    def check(connection: Connection, appended: Sequence[Appended]) -> None:
        if (subject in held(connection, before=appended[0].seq)) is wanted:
            raise CallerError(f"this subject is {'already' if wanted else 'not'} under a legal hold")

    return log.append([Draft(kind, None, {"by": by}, {"reason": Text(reason)}, subject)], within=check)[0]


def held(connection: Connection, *, before: int | None = None) -> set[str]:
    """The subjects that are under a legal hold, by their newest entry about it."""
    query = select(LogEntry.subject, LogEntry.kind).where(LogEntry.kind.in_(_HOLDS)).order_by(LogEntry.seq)
    query = query.where(LogEntry.seq < before) if before is not None else query
    newest = {subject: kind for subject, kind in connection.execute(query) if subject}
    return {subject for subject, kind in newest.items() if kind == "hold"}


# --- retention -----------------------------------------------------------------------------------------------------


def retain(log: Log, keep: timedelta, *, by: str, reason: str = "", dry_run: bool = False) -> Done:
    """Erase content older than `keep`, but for legal holds and the texts of policies; keys go when nothing needs them.

    Keys that any interrupted erasure left behind go as well, so a repeated run finishes what was begun. Raises ConfigError
    for less than six months without a reason (AI Act Art. 26(6)), and OperationError where it could not finish.
    """
    if keep < SHORTEST and not reason.strip():
        raise ConfigError(
            f"logs of high-risk systems are kept for six months at least (AI Act Art. 26(6)): keep {SHORTEST.days} days,"
            " or give a reason why less is allowed"
        )
    cutoff = timestamp(datetime.fromisoformat(log.now()) - keep)
    why = Why(by, reason, code="retention", basis="GDPR Art. 5(1)(e)")
    if not by.strip():
        raise CallerError("say who erases: the record keeps it")
    with reading(log.engine) as connection:
        kept = held(connection)
    where = [LogEntry.occurred_at < cutoff, LogEntry.kind != "policy"]
    if kept:
        where.append(or_(LogEntry.subject.is_(None), LogEntry.subject.not_in(kept)))
    if dry_run:
        return _counted(log, where)
    done = Done()
    with _resumable():
        for span in _spans(log, where):
            done = done.plus(_erase(log, (*where, span), why, spare=True, older_than_days=keep.days))
            with reading(log.engine) as connection:
                refs = refs_of(connection, *where, span)
            done = done.plus(Done(keys=destroy_unused(log, refs)))
        return _scrubbed(log, done.plus(Done(keys=destroy_unused(log, left_over(log)))))


def _counted(log: Log, where: Sequence[Where]) -> Done:
    query = select(func.count(), func.count(LogBody.seq.distinct())).select_from(LogBody)
    query = query.join(LogEntry, LogEntry.seq == LogBody.seq).where(LogBody.erased_at.is_(None), *where)
    with reading(log.engine) as connection:
        bodies, of = connection.execute(query).one()
    return Done(bodies, of)
