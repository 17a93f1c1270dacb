"""Erasing content: by request of the person, by entry, or by age; and the legal holds that forbid it.

The order is: first the transaction that empties the rows and appends the entry that says so, then the destruction of the
key. A crash in between leaves a record that verifies and a key that opens nothing in it, and a second run destroys the key.
The other order could leave sealed content that nobody can open and no entry that says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, update

from guard.audit.draft import KEPT, Draft, timestamp
from guard.audit.erased import ERASURE, pieces
from guard.audit.log import Appended, Log
from guard.audit.vault import day_key
from guard.digest import JSON
from guard.errors import CallerError, ConfigError, LegalHold, RecordError
from guard.store.engine import reading, scrub
from guard.store.tables import LogBody, LogEntry, ReviewCase
from guard.types import Content, Text

BASIS = "GDPR Art. 17"
SHORTEST = timedelta(days=183)  # six months: AI Act Art. 19 and 26(6)
_AT_ONCE = 500
_BATCH = 20_000  # bodies that one transaction of a retention run erases
_ROUNDS = 5
_HOLDS = ("hold", "release_hold")


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

    What the subject asks for while this runs may be erased as well. Content that another process has sealed and not yet
    recorded when the key goes can be opened by nobody; a second run names it in an entry of its own.
    Raises LegalHold while the subject is under one.
    """
    _require_why(why)
    done = Done()
    for _ in range(_ROUNDS):
        found = _listed(log, LogEntry.subject == subject, LogEntry.kind.not_in(KEPT))
        done = done.plus(_erase(log, found, why, subject=subject, refs=[subject]))
        if log.vault.keys.exists(subject):
            _require_free(log, [subject])
            log.vault.keys.destroy([subject])
            done = done.plus(Done(keys=1))
        elif not found:  # what others had sealed under the key while it went is erased as well
            break
    return _scrubbed(log, done)


def erase_entries(log: Log, why: Why, *, request_id: str | None = None, entry: int | None = None) -> Done:
    """Erase the content of one request or one entry. The subject's key goes only when nothing is left under it."""
    _require_why(why)
    if (request_id is None) == (entry is None):
        raise CallerError("say what to erase: a request or an entry")
    which = LogEntry.request_id == request_id if entry is None else LogEntry.seq == entry
    found = _listed(log, which, LogEntry.kind.not_in((*KEPT, "policy")))
    with reading(log.engine) as connection:  # those whose content an interrupted run has erased already as well
        concerned = list(connection.execute(select(LogEntry.seq).where(which)).scalars())
    refs = _subjects(log, concerned)
    done = _erase(log, found, why, subject=refs[0] if len(refs) == 1 else None, refs=refs)
    return _scrubbed(log, done.plus(_destroy_unused(log, refs)))


def _listed(log: Log, *where: ColumnElement[bool], limit: int | None = None) -> list[tuple[int, str]]:
    """The bodies still there, in order."""
    log.settle()
    query = select(LogBody.seq, LogBody.role).join(LogEntry, LogEntry.seq == LogBody.seq)
    query = query.where(LogBody.erased_at.is_(None), *where).order_by(LogBody.seq, LogBody.role).limit(limit)
    with reading(log.engine) as connection:
        return [(seq, role) for seq, role in connection.execute(query)]


def _subjects(log: Log, seqs: Iterable[int]) -> list[str]:
    found: set[str] = set()
    with reading(log.engine) as connection:
        for some in _chunks(sorted(set(seqs))):
            query = select(LogEntry.subject).where(LogEntry.seq.in_(some), LogEntry.subject.is_not(None)).distinct()
            found.update(name for name in connection.execute(query).scalars() if name)
    return sorted(found)


def _erase(
    log: Log, found: Sequence[tuple[int, str]], why: Why, *, subject: str | None, refs: Sequence[str], **more: JSON
) -> Done:
    """Empty rows and append the entries that name them, in one transaction."""
    _require_free(log, refs)
    if not found:
        return Done()
    named = list(pieces(found))
    fields: dict[str, JSON] = {"by": why.by, "code": why.code, "basis": why.basis, **more}
    reason: dict[str, Content] = {"reason": Text(why.reason)} if why.reason else {}
    drafts = [Draft(ERASURE, None, {**fields, "erased": erased}, reason, subject) for erased, _ in named]

    def empty(connection: Connection, appended: Sequence[Appended]) -> None:
        _refuse(held(connection, refs))
        count = sum(
            _empty(connection, some, entry.occurred_at)
            for entry, (_, numbers) in zip(appended, named, strict=True)
            for some in _chunks(numbers)
        )
        if count != len(found):
            raise RecordError(
                "somebody else erases at this moment: run it again to finish; nothing was erased by this run"
            )

    appended = log.append(drafts, within=empty)
    return Done(len(found), len({seq for seq, _ in found}), 0, tuple(entry.seq for entry in appended))


def _empty(connection: Connection, numbers: Sequence[int], at: str) -> int:
    change = update(LogBody).where(LogBody.seq.in_(numbers), LogBody.erased_at.is_(None))
    gone = connection.execute(change.values(ciphertext=None, wrapped_key=None, lookup=None, erased_at=at))
    queue = update(ReviewCase).where(ReviewCase.ruling_seq.in_(numbers))
    connection.execute(queue.values(rationale=None))  # the queue repeats what a ruling sealed
    return gone.rowcount


def _destroy_unused(log: Log, refs: Sequence[str]) -> Done:
    count = 0
    for ref in refs:  # one by one: a subject may come back while the others are looked at
        if log.vault.keys.exists(ref) and not _listed(
            log, LogEntry.subject == ref, LogEntry.kind.not_in(KEPT), limit=1
        ):
            log.vault.keys.destroy([ref])
            count += 1
    return Done(keys=count)


def _scrubbed(log: Log, done: Done) -> Done:
    # Also when nothing was erased: an earlier run may have been interrupted, or kept from it by readers.
    return Done(done.bodies, done.of, done.keys, done.entries, scrub(log.engine))


def _require_why(why: Why) -> None:
    if not why.by.strip():
        raise CallerError("say who erases: the record keeps it")
    if not why.reason.strip():
        raise CallerError("give a reason: an erasure without one cannot be explained later")


def _chunks(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    return (numbers[start : start + _AT_ONCE] for start in range(0, len(numbers), _AT_ONCE))


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
        if bool(held(connection, [subject], before=appended[0].seq)) is wanted:
            raise CallerError(f"this subject is {'already' if wanted else 'not'} under a legal hold")

    return log.append([Draft(kind, None, {"by": by}, {"reason": Text(reason)}, subject)], within=check)[0]


def held(connection: Connection, subjects: Iterable[str], *, before: int | None = None) -> list[str]:
    """Those of the subjects that are under a legal hold, by their newest entry about it."""
    found = []
    for subject in subjects:
        query = select(LogEntry.kind).where(LogEntry.subject == subject, LogEntry.kind.in_(_HOLDS))
        query = query.where(LogEntry.seq < before) if before is not None else query
        if connection.execute(query.order_by(LogEntry.seq.desc()).limit(1)).scalar_one_or_none() == "hold":
            found.append(subject)
    return found


def _require_free(log: Log, subjects: Iterable[str]) -> None:
    with reading(log.engine) as connection:
        _refuse(held(connection, subjects))


def _refuse(subjects: Sequence[str]) -> None:
    if subjects:
        raise LegalHold(
            f"{subjects[0]} is under a legal hold and nothing was erased: run  guard audit release-hold  first, if it may end"
        )


# --- retention -----------------------------------------------------------------------------------------------------


def retain(log: Log, keep: timedelta, *, by: str, reason: str = "", dry_run: bool = False) -> Done:
    """Erase content older than `keep`, but for legal holds and the texts of policies; keys go when nothing needs them.

    Raises ConfigError for less than six months without a reason (AI Act Art. 26(6)).
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
        ever = select(LogEntry.subject).where(LogEntry.kind == "hold", LogEntry.subject.is_not(None)).distinct()
        kept = held(connection, [str(name) for name in connection.execute(ever).scalars()])
    where: list[Any] = [LogEntry.occurred_at < cutoff, LogEntry.kind != "policy"]
    if kept:
        where.append(or_(LogEntry.subject.is_(None), LogEntry.subject.not_in(kept)))
    if dry_run:
        return _counted(log, where)
    done, subjects, days = Done(), set[str](), set[str]()
    while found := _whole(_listed(log, *where, limit=_BATCH)):
        seqs = [seq for seq, _ in found]
        refs = _subjects(log, seqs)
        subjects.update(refs)
        days.update(_days(log, seqs))
        done = done.plus(_erase(log, found, why, subject=None, refs=refs, older_than_days=keep.days))
    return _scrubbed(log, done.plus(_destroy_unused(log, sorted(subjects))).plus(_destroy_days(log, days, cutoff)))


def _whole(found: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Without an entry whose bodies may continue beyond the batch."""
    if len(found) < _BATCH:
        return found
    return [item for item in found if item[0] != found[-1][0]] or found


def _counted(log: Log, where: Sequence[Any]) -> Done:
    query = select(func.count(), func.count(LogBody.seq.distinct())).select_from(LogBody)
    query = query.join(LogEntry, LogEntry.seq == LogBody.seq).where(LogBody.erased_at.is_(None), *where)
    with reading(log.engine) as connection:
        bodies, of = connection.execute(query).one()
    return Done(bodies, of)


def _days(log: Log, seqs: Sequence[int]) -> set[str]:
    found: set[str] = set()
    with reading(log.engine) as connection:
        for some in _chunks(seqs):
            query = select(func.substr(LogEntry.occurred_at, 1, 10)).where(LogEntry.seq.in_(some)).distinct()
            found.update(connection.execute(query).scalars())
    return found


def _destroy_days(log: Log, days: Iterable[str], cutoff: str) -> Done:
    """Destroy the shared keys of days that lie wholly before the cutoff and under which nothing is left."""
    unused = []
    for day in sorted(days):
        ref = day_key(day)
        shared = or_(LogEntry.subject.is_(None), LogEntry.kind.in_(KEPT))
        within = (LogEntry.occurred_at >= day, LogEntry.occurred_at < f"{day}U", LogEntry.kind != "policy", shared)
        if day < cutoff[:10] and log.vault.keys.exists(ref) and not _listed(log, *within, limit=1):
            unused.append(ref)
    log.vault.keys.destroy(unused)
    return Done(keys=len(unused))
