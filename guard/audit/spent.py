"""Keys under which nothing is left: found from the entries, and destroyed while nobody can record anything under them.

What counts as gone is what an entry names, of an erasure or of pruning. Whoever may only change rows of `log_body` cannot
have a key destroyed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, case, func, literal, select

from guard.audit.draft import KEPT
from guard.audit.erased import Erased
from guard.audit.log import Append, Log
from guard.audit.pruned import Pruned, unpruned
from guard.audit.vault import POLICY, day_key, reason_key
from guard.store.engine import reading
from guard.store.tables import LogBody, LogEntry

_AT_ONCE = 64  # keys destroyed in one turn, in which nobody else records anything: each is flushed to disk

# Whose key sealed the contents of an entry, as `guard.audit.draft` chose it.
KEY_REF: ColumnElement[str] = case(
    (LogEntry.kind == "policy", POLICY),
    (LogEntry.kind.in_(KEPT), literal(reason_key("")) + func.substr(LogEntry.occurred_at, 1, 10)),
    (func.coalesce(LogEntry.subject, "") == "", literal(day_key("")) + func.substr(LogEntry.occurred_at, 1, 10)),
    else_=LogEntry.subject,
)


def refs_of(connection: Connection, *where: ColumnElement[bool]) -> list[str]:
    """The keys that sealed the contents of entries, erased contents included; policies are never erased."""
    query = select(KEY_REF).join(LogBody, LogBody.seq == LogEntry.seq).where(LogEntry.kind != "policy", *where)
    return list(connection.execute(query.distinct()).scalars())


def left_over(log: Log) -> list[str]:
    """The keys under which anything was erased and that are still there: those of interrupted runs are among them."""
    with reading(log.engine) as connection:
        return log.vault.keys.existing(refs_of(connection, LogBody.erased_at.is_not(None)))


def destroy_unused(log: Log, refs: Iterable[str]) -> int:
    """Destroy those of the keys that no content needs any more; how many there were."""
    there = log.vault.keys.existing(refs)
    if not there:
        return 0
    with reading(log.engine) as connection:
        gone_for = Erased.read(connection), Pruned.read(connection)
        unused = [ref for ref in there if not _needed(connection, ref, *gone_for)]
    gone: list[str] = []
    for start in range(0, len(unused), _AT_ONCE):
        some = unused[start : start + _AT_ONCE]

        def destroy(connection: Connection, _append: Append, some: Sequence[str] = some) -> None:
            still = [ref for ref in some if not _needed(connection, ref, *gone_for)]  # somebody may have come back
            log.vault.keys.destroy(still)
            gone.extend(still)

        log.exclusively(destroy)
    return len(gone)


def _needed(connection: Connection, ref: str, erased: Erased, pruned: Pruned) -> bool:
    """Whether anything under a key is neither erased nor pruned."""
    query = select(LogBody.seq, LogBody.role, LogBody.erased_at).join(LogEntry, LogEntry.seq == LogBody.seq)
    query = query.where(KEY_REF.in_([ref]), _near(ref), unpruned(pruned.minimum))
    if connection.execute(query.where(LogBody.erased_at.is_(None)).limit(1)).first() is not None:
        return True  # as nearly always
    return any(not erased.allows(seq, role, at) for seq, role, at in connection.execute(query))


def _near(ref: str) -> ColumnElement[bool]:
    """What sealing under a key implies and an index answers."""
    for shared in (day_key(""), reason_key("")):
        if ref.startswith(shared):
            day = ref.removeprefix(shared)
            return (LogEntry.occurred_at >= day) & (LogEntry.occurred_at < f"{day}U")
    return LogEntry.subject == ref
