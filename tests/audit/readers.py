"""Both readers of a whole record at once, without other processes: they must agree."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from guard.audit.checkpoint import Checkpoint, split_note
from guard.audit.quick import whole
from guard.audit.sweep import sweep
from guard.audit.verify import Report, verify
from guard.audit.vouched import NOBODY, Known
from guard.store.engine import integrity, snapshot
from guard.store.tables import LogEntry


def is_sound(engine: Engine, vkeys: str | Sequence[str], against: str | None = None, known: Known = NOBODY) -> bool:
    """What the quick look says."""
    kept = Checkpoint.parse(split_note(against)[0]) if against else None
    try:
        with snapshot(engine) as connection:
            size = connection.execute(select(func.count()).select_from(LogEntry)).scalar_one()
            swept = None if integrity(connection) else sweep(connection, 0, size)
            return swept is not None and whole(connection, vkeys, kept, size, [swept], known) is not None
    except SQLAlchemyError:
        return False


def verified(engine: Engine, vkeys: str | Sequence[str], against: str | None = None, known: Known = NOBODY) -> Report:
    """What the careful reader says of a record that is not empty."""
    report = verify(engine, vkeys, against=against, known=known, jobs=0)
    assert is_sound(engine, vkeys, against, known) == report.ok
    return report
