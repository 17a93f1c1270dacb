"""Who read sealed content: an entry for each person, entry and ten minutes. The flow's own reads are not a person's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from guard.audit.draft import Draft, timestamp
from guard.audit.leaf import parse_leaf
from guard.audit.log import Log
from guard.audit.read import Entry
from guard.digest import JSON
from guard.store.engine import reading
from guard.store.tables import LogEntry
from guard.types import Text

ACCESS = "access"
SPACING = timedelta(minutes=10)


def note(log: Log, entry: Entry, roles: Sequence[str], *, who: str, why: str, reason: str = "") -> bool:
    """Record that `who` is about to read these contents of an entry. False: that was recorded within ten minutes.

    A `reason` in words is sealed, and recorded each time. Call it before the content is shown: when it cannot be recorded,
    RecordError says so and nothing may be shown.
    """
    wanted = sorted(set(roles))
    if not wanted or (not reason and _noted(log, entry.seq, who, set(wanted))):
        return False
    fields: dict[str, JSON] = {"of": entry.seq, "by": who, "roles": wanted, "why": why}
    bodies = {"reason": Text(reason)} if reason else {}
    log.append([Draft(ACCESS, entry.request_id, fields, bodies, entry.subject)])
    return True


def _noted(log: Log, seq: int, who: str, roles: set[str]) -> bool:
    since = timestamp(datetime.fromisoformat(log.now()) - SPACING)
    query = select(LogEntry.leaf).where(LogEntry.kind == ACCESS, LogEntry.occurred_at >= since)
    seen: set[str] = set()
    with reading(log.engine) as connection:
        for leaf in connection.execute(query.order_by(LogEntry.seq.desc())).scalars():
            fields = parse_leaf(leaf) or {}
            if fields.get("of") == seq and fields.get("by") == who:
                seen.update(fields.get("roles") or ())
    return roles <= seen
