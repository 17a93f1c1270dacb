"""Reading the queue: what waits, how urgent it is, who holds it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Select, and_, case, func, select

from guard.audit.leaf import parse_leaf
from guard.errors import ReviewError
from guard.review.explain import Reason, flags, reasons
from guard.review.model import COLUMNS, URGENCY, Case, Filter, conditions
from guard.store.engine import reading
from guard.store.tables import LogEntry, ReviewCase


@dataclass(frozen=True, slots=True)
class Row:
    """A case in the list, with why it was held and the categories of what was found, most certain first."""

    case: Case
    reasons: tuple[Reason, ...]
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a longer list."""

    rows: tuple[Row, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The queue in numbers."""

    open: int
    overdue: int
    mine: int
    held_by_others: int
    decided_today: int


def queue(engine: Engine, where: Filter, *, reviewer: str, now: str, limit: int = 25, offset: int = 0) -> Page:
    """Open cases, most severe first, then the one due soonest.

    Checkers and rules are not columns: they are read from the entries, for every open case that passes the other filters.
    """
    query = (
        select(*COLUMNS, LogEntry.leaf)
        .join(LogEntry, LogEntry.seq == ReviewCase.seq)
        .where(ReviewCase.state == "open", *conditions(where, reviewer, now))
        .order_by(*URGENCY)
    )
    if where.checker or where.rule:
        found = [row for row in rows(engine, query) if concerns(row, where)]
        return Page(tuple(found[offset : offset + limit]), len(found))
    with reading(engine) as connection:
        counting = select(func.count()).select_from(ReviewCase)
        counting = counting.where(ReviewCase.state == "open", *conditions(where, reviewer, now))
        total = connection.execute(counting).scalar_one()
    return Page(tuple(rows(engine, query.limit(limit).offset(offset))), total)


def rows(engine: Engine, query: Select[Any]) -> Generator[Row]:
    """Cases with their reasons, from a query for COLUMNS and the leaf of the entry."""
    with reading(engine) as connection:
        for *columns, leaf in connection.execute(query):
            # A damaged leaf reads as empty, for the verifier to report and not for a list to crash on.
            found, fields = Case(*columns), parse_leaf(leaf) or {}
            ranked = sorted(flags(fields, found.stage), key=lambda it: -it.score)
            yield Row(found, reasons(fields), tuple(dict.fromkeys(it.category for it in ranked)))


def concerns(row: Row, where: Filter) -> bool:
    """The part of a filter that only the entry answers."""
    checker = where.checker is None or any(where.checker in reason.checkers for reason in row.reasons)
    return checker and (where.rule is None or any(where.rule == reason.rule for reason in row.reasons))


def counts(engine: Engine, *, reviewer: str, now: str, today: str) -> Counts:
    """Open, overdue, held and decided since `today` (the start of the reader's day, in UTC)."""
    is_open = ReviewCase.state == "open"
    held = and_(is_open, ReviewCase.assignee.is_not(None), ReviewCase.lease_until >= now)
    wanted = (
        is_open,
        and_(is_open, ReviewCase.deadline < now),
        and_(held, ReviewCase.assignee == reviewer),
        and_(held, ReviewCase.assignee != reviewer),
        and_(ReviewCase.state == "decided", ReviewCase.decided_at >= today),
    )
    with reading(engine) as connection:
        row = connection.execute(select(*(func.coalesce(func.sum(case((it, 1), else_=0)), 0) for it in wanted))).one()
    return Counts(*map(int, row))


def get(engine: Engine, case_id: str) -> Case:
    """One case; ReviewError when there is none."""
    with reading(engine) as connection:
        row = connection.execute(select(*COLUMNS).where(ReviewCase.id == case_id)).first()
    if row is None:
        raise ReviewError(
            "there is no such case; it may belong to another database, or it was pruned. Go back to the queue"
        )
    return Case(*row)
