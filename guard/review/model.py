"""What a case is, and which cases a reviewer asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_

from guard.store.tables import ReviewCase


@dataclass(frozen=True, slots=True)
class Case:
    """One held outcome. `seq` is its entry; `lease_until` is when another reviewer may take it over."""

    id: str
    seq: int
    request_id: str
    stage: str
    kind: str
    severity: int
    opened_at: str
    deadline: str
    state: str = "open"
    assignee: str | None = None
    lease_until: str | None = None
    ruling: str | None = None
    decided_at: str | None = None
    ruling_seq: int | None = None

    def holder(self, now: str) -> str | None:
        """Who holds the case at `now`; a lease that ran out holds nothing."""
        held = self.state == "open" and self.lease_until is not None and self.lease_until >= now
        return self.assignee if held else None


@dataclass(frozen=True, slots=True)
class Ruling:
    """A person's decision as the record has it. `seq` is the entry of the ruling, `of` the entry that was held."""

    seq: int
    of: int
    case: str
    reviewer: str
    ruling: str
    at: str

    @property
    def approved(self) -> bool:
        """Whether the content may be released."""
        return self.ruling == "approve"


COLUMNS = tuple(ReviewCase.__table__.c[name] for name in Case.__dataclass_fields__)


URGENCY = (ReviewCase.severity.desc(), ReviewCase.deadline, ReviewCase.seq)


def from_row(row: Row[Any]) -> Case:
    """A case from the columns in COLUMNS."""
    return Case(**row._asdict())


@dataclass(frozen=True, slots=True)
class Filter:
    """Which open cases to show. `who` is mine, free or others; `checker` and `rule` are names in the record."""

    severity: int = 1
    kind: str | None = None
    stage: str | None = None
    who: str | None = None
    overdue: bool = False
    checker: str | None = None
    rule: str | None = None


def conditions(where: Filter | None, reviewer: str, now: str) -> list[ColumnElement[bool]]:
    """The part of a filter that the queue's own columns answer."""
    asked = where or Filter()
    held = and_(ReviewCase.assignee.is_not(None), ReviewCase.lease_until >= now)
    found: list[ColumnElement[bool]] = [ReviewCase.severity >= asked.severity]
    if asked.kind:
        found.append(ReviewCase.kind == asked.kind)
    if asked.stage:
        found.append(ReviewCase.stage == asked.stage)
    if asked.overdue:
        found.append(ReviewCase.deadline < now)
    if asked.who == "mine":
        found.append(and_(ReviewCase.assignee == reviewer, ReviewCase.lease_until >= now))
    if asked.who == "others":
        found.append(and_(held, ReviewCase.assignee != reviewer))
    if asked.who == "free":
        found.append(or_(ReviewCase.lease_until.is_(None), ReviewCase.lease_until < now))
    return found
