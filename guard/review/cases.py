"""A case and what may be done to it: open, claim, renew, give back, rule.

Every change but a renewal is an entry, appended in the same transaction as the change of the row. The row is changed by one
conditional UPDATE … RETURNING; when its condition no longer holds, the whole transaction, entry included, is rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, insert, or_, select, update

from guard.audit.draft import Draft, timestamp
from guard.audit.leaf import require_fields
from guard.audit.log import Appended, Log
from guard.digest import JSON
from guard.errors import ReviewError
from guard.review.model import COLUMNS, URGENCY, Case, Filter, Ruling, conditions, from_row
from guard.review.queue import concerns, rows
from guard.store.engine import reading, writing
from guard.store.tables import LogEntry, ReviewCase
from guard.types import Text

LEASE = timedelta(minutes=10)
RULINGS = ("approve", "reject")
LONGEST_RATIONALE = 4_000


def open_case(
    connection: Connection,
    *,
    case_id: str,
    seq: int,
    request_id: str,
    stage: str,
    kind: str,
    severity: int,
    opened_at: str,
    deadline: str,
) -> None:
    """Put a held outcome in the queue; called inside the transaction that appends its entry."""
    connection.execute(
        insert(ReviewCase).values(
            id=case_id,
            seq=seq,
            request_id=request_id,
            stage=stage,
            kind=kind,
            severity=severity,
            opened_at=opened_at,
            deadline=deadline,
            state="open",
        )
    )


class _TakenError(ReviewError):
    """Another reviewer was faster; `claim` looks for the next case."""


def claim(
    engine: Engine,
    log: Log,
    *,
    reviewer: str,
    case_id: str | None = None,
    where: Filter | None = None,
) -> Case | None:
    """Reserve a case for `reviewer`: the one named, or else the most urgent free one that passes the filter.

    A reviewer who already holds a case gets that one back, with a fresh lease. None: nothing is free. A named case that
    cannot be had raises ReviewError.
    """
    name = _reviewer(reviewer)
    while True:
        now = log.now()
        found = _candidate(engine, now, name, case_id, where)
        if found is None and case_id is not None:
            raise ReviewError(_refusal(_require(engine, case_id), name, now))
        if found is None:
            return None
        if found.holder(now) == name and renew(engine, log, case_id=found.id, reviewer=name):
            return _require(engine, found.id)
        try:
            return _take(log, found, name)
        except _TakenError:
            continue


def _candidate(engine: Engine, now: str, name: str, case_id: str | None, where: Filter | None) -> Case | None:
    mine = and_(ReviewCase.assignee == name, ReviewCase.lease_until >= now)
    query = select(*COLUMNS, LogEntry.leaf).join(LogEntry, LogEntry.seq == ReviewCase.seq)
    query = query.where(ReviewCase.state == "open", or_(_free(now), mine))
    query = (
        query.where(ReviewCase.id == case_id)
        if case_id
        else query.where(or_(mine, and_(*conditions(where, name, now))))
    )
    # `mine` is NULL where nobody holds the case, and databases differ on where NULL sorts.
    query = query.order_by(case((mine, 0), else_=1), *URGENCY)
    with closing(rows(engine, query)) as found:
        for row in found:
            if case_id or row.case.holder(now) == name or where is None or concerns(row, where):
                return row.case
    return None


def _free(now: str) -> ColumnElement[bool]:
    return or_(ReviewCase.lease_until.is_(None), ReviewCase.lease_until < now)


def _take(log: Log, wanted: Case, name: str) -> Case:
    taken: list[Case] = []

    def lease(connection: Connection, appended: Sequence[Appended]) -> None:
        now = appended[0].occurred_at
        pick = select(ReviewCase.id).where(ReviewCase.id == wanted.id, ReviewCase.state == "open", _free(now))
        if connection.dialect.name == "postgresql":
            pick = pick.with_for_update(skip_locked=True)
        change = update(ReviewCase).where(ReviewCase.id == pick.scalar_subquery())
        row = connection.execute(
            change.values(assignee=name, lease_until=later(now, LEASE.total_seconds())).returning(*COLUMNS)
        ).first()
        if row is None:
            raise _TakenError("another reviewer has just taken this case")
        taken.append(from_row(row))

    fields: dict[str, JSON] = {
        "case": wanted.id,
        "of": wanted.seq,
        "reviewer": name,
        "lease_seconds": LEASE.total_seconds(),
    }
    log.append([Draft("claim", wanted.request_id, fields)], within=lease)
    return taken[-1]


def renew(engine: Engine, log: Log, *, case_id: str, reviewer: str) -> bool:
    """Extend a lease that still runs; not an entry. False: the lease is lost."""
    now = log.now()
    change = update(ReviewCase).where(*_held(case_id, reviewer, now))
    with writing(engine) as connection:
        result = connection.execute(
            change.values(lease_until=later(now, LEASE.total_seconds())).returning(ReviewCase.id)
        )
        return result.first() is not None


def unclaim(engine: Engine, log: Log, *, case_id: str, reviewer: str) -> Case:
    """Give a case back to the queue, undecided."""
    found = _require(engine, case_id)

    def give_back(connection: Connection, appended: Sequence[Appended]) -> None:
        now = appended[0].occurred_at
        change = update(ReviewCase).where(*_held(case_id, reviewer, now)).values(assignee=None, lease_until=None)
        if connection.execute(change.returning(ReviewCase.id)).first() is None:
            raise ReviewError(_refusal(_read(connection, case_id), reviewer, now))

    fields: dict[str, JSON] = {"case": found.id, "of": found.seq, "reviewer": reviewer}
    log.append([Draft("unclaim", found.request_id, fields)], within=give_back)
    return _require(engine, case_id)


def rule(engine: Engine, log: Log, *, case_id: str, reviewer: str, ruling: str, rationale: str) -> Case:
    """Decide a case that `reviewer` holds, with a reason; the reason is sealed in the record."""
    name, reason = _reviewer(reviewer), rationale.strip()
    if ruling not in RULINGS:
        raise ReviewError(f"a ruling is one of {', '.join(RULINGS)}")
    if not reason:
        raise ReviewError("write down the reason first: a ruling without one cannot be explained later")
    if len(reason) > LONGEST_RATIONALE:
        raise ReviewError(f"shorten the reason to {LONGEST_RATIONALE:,} characters; it has {len(reason):,}")
    found = _require(engine, case_id)

    def decide(connection: Connection, appended: Sequence[Appended]) -> None:
        now = appended[0].occurred_at
        values = {"state": "decided", "ruling": ruling, "decided_at": now, "lease_until": None}
        change = update(ReviewCase).where(*_held(case_id, name, now)).values(**values, ruling_seq=appended[0].seq)
        if connection.execute(change.returning(ReviewCase.id)).first() is None:
            raise ReviewError(_refusal(_read(connection, case_id), name, now))

    fields: dict[str, JSON] = {"case": found.id, "of": found.seq, "reviewer": name, "ruling": ruling}
    with reading(engine) as connection:  # the reason may quote the content, so it is erased with it
        subject = connection.execute(select(LogEntry.subject).where(LogEntry.seq == found.seq)).scalar_one_or_none()
    log.append([Draft("ruling", found.request_id, fields, {"rationale": Text(reason)}, subject)], within=decide)
    return _require(engine, case_id)


def ruling(engine: Engine, request_id: str, *, of: int | None = None) -> Ruling | None:
    """The newest ruling on a request (or on its entry `of`), read from the record and not from the queue.

    So a row of the queue that somebody edits releases nothing.
    """
    query = select(LogEntry.seq, LogEntry.occurred_at, LogEntry.leaf)
    query = query.where(LogEntry.request_id == request_id, LogEntry.kind == "ruling").order_by(LogEntry.seq.desc())
    with reading(engine) as connection:
        for seq, at, leaf in connection.execute(query):
            fields = require_fields(seq, leaf)
            if of is None or fields["of"] == of:
                return Ruling(seq, fields["of"], fields["case"], fields["reviewer"], fields["ruling"], at)
    return None


def approved(engine: Engine, request_id: str, *, of: int | None = None) -> bool:
    """Whether the newest ruling on a request lets its content out."""
    found = ruling(engine, request_id, of=of)
    return found is not None and found.approved


def later(moment: str, seconds: float) -> str:
    """A time of the record, some seconds on."""
    return timestamp(datetime.fromisoformat(moment) + timedelta(seconds=seconds))


def _held(case_id: str, reviewer: str, now: str) -> tuple[Any, ...]:
    mine = and_(ReviewCase.assignee == reviewer, ReviewCase.lease_until >= now)
    return ReviewCase.id == case_id, ReviewCase.state == "open", mine


def _reviewer(name: str) -> str:
    if not name.strip():
        raise ReviewError("say who you are first: a claim and a ruling carry the reviewer's name")
    return name.strip()


def _read(connection: Connection, case_id: str) -> Case | None:
    row = connection.execute(select(*COLUMNS).where(ReviewCase.id == case_id)).first()
    return from_row(row) if row else None


def _require(engine: Engine, case_id: str) -> Case:
    with reading(engine) as connection:
        found = _read(connection, case_id)
    if found is None:
        raise ReviewError(f"there is no case {case_id} (any more); `guard review list` shows the open ones")
    return found


def _refusal(found: Case | None, reviewer: str, now: str) -> str:
    if found is None:
        return "this case is gone; go back to the queue"
    if found.state == "decided":
        return f"this case was already decided ({found.ruling}) by {found.assignee}; go on to the next one"
    holder = found.holder(now)
    if holder is not None and holder != reviewer:
        return (
            f"this case is held by {holder} until {found.lease_until}; take another one, or wait until it is given back"
        )
    return "your reservation of this case has run out; claim it again before deciding"
