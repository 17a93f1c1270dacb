"""The queue, made again from the record alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Engine, delete, insert, select

from guard.audit.leaf import require_fields
from guard.review.cases import later
from guard.review.model import Case
from guard.store.engine import writing
from guard.store.tables import LogEntry, ReviewCase
from guard.types import content_from


def replay(entries: Iterable[tuple[int, str, Mapping[str, Any]]]) -> dict[str, Case]:
    """Cases by id from (seq, time, fields) in order.

    A renewed lease is not in the record, so a rebuilt lease ends when the first one did: sooner, never later.
    """
    cases: dict[str, Case] = {}
    for seq, at, fields in entries:
        case_id, kind = fields.get("case"), fields.get("kind")
        if not case_id:
            continue
        if fields.get("state") == "held":
            cases[case_id] = _opened(seq, at, fields)
        elif case_id not in cases:
            continue  # what opened it was pruned, and the case with it
        elif kind == "claim":
            until = later(at, fields["lease_seconds"])
            cases[case_id] = replace(cases[case_id], assignee=fields["reviewer"], lease_until=until)
        elif kind == "unclaim":
            cases[case_id] = replace(cases[case_id], assignee=None, lease_until=None)
        elif kind == "ruling":
            cases[case_id] = replace(
                cases[case_id],
                state="decided",
                assignee=fields["reviewer"],
                lease_until=None,
                ruling=fields["ruling"],
                decided_at=at,
                ruling_seq=seq,
            )
    return cases


def _opened(seq: int, at: str, fields: Mapping[str, Any]) -> Case:
    return Case(
        id=fields["case"],
        seq=seq,
        request_id=fields["request_id"],
        stage=fields["stage"],
        kind=_kind(fields),
        severity=fields["severity"],
        opened_at=at,
        deadline=fields["deadline"],
    )


def _kind(fields: Mapping[str, Any]) -> str:
    """What the reviewer looks at: the kind of the content, or of the prompt where nothing was made."""
    bodies = fields.get("bodies") or {}
    media_type = bodies.get("prompt", {}).get("media_type", "text/plain")
    return str(fields.get("content_kind") or content_from(media_type, b"").kind)


def rebuild(engine: Engine) -> int:
    """Replace the queue by what the record says; returns how many cases there are."""
    columns = select(LogEntry.seq, LogEntry.occurred_at, LogEntry.leaf).order_by(LogEntry.seq)
    with writing(engine) as connection:
        rows = connection.execute(columns)
        cases = replay(((seq, at, require_fields(seq, leaf)) for seq, at, leaf in rows))
        connection.execute(delete(ReviewCase))
        if cases:
            connection.execute(insert(ReviewCase), [asdict(case) for case in cases.values()])
    return len(cases)
