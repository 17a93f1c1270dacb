"""Outcomes by group from the record, in one pass over the leaves: the database never parses them, so neither do its indexes.

A request is one row, by its first decision; what a reviewer or the generation after a review made of it is joined to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, select

from guard.audit import merkle
from guard.audit.leaf import parse_leaf
from guard.audit.read import Reader
from guard.audit.tree import VERIFY, parse_checkpoint
from guard.errors import ConfigError, EvidenceError
from guard.fairness.cells import Cells, Row, Values
from guard.fairness.measures import TRAFFIC
from guard.fairness.source import Chain, Source, period_of
from guard.store.engine import reading
from guard.store.tables import LogEntry, ReviewCase

KINDS = ("check", "generation")
TOXICITY = "toxicity"  # the checker whose scores are compared, as policies name it
_AT_ONCE = 1000
Progress = Callable[[int, int], None]
_LIMITS = (
    "Groups are what callers declared; nobody checked them, and nothing was inferred. Requests without them are counted only.",
    "A difference in what was asked looks like a difference in treatment: these figures do not compare like with like.",
    "Scores are those that the checker reported; what it does not report counts as 0, so their means are low.",
)


def read(
    engine: Engine,
    attributes: tuple[str, ...],
    *,
    since: str | None = None,
    until: str | None = None,
    period: str = "week",
    progress: Progress = lambda done, total: None,  # noqa: ARG005
) -> tuple[Cells, Source]:
    """Add up every request between two times, as the record writes them. `progress` hears of rows done and in all.

    Raises ConfigError where there is none, or where no request declares the attributes, and names those that are declared.
    """
    cells, chain = Cells(attributes, TRAFFIC), Chain()
    source = Source("traffic", "Recorded requests", limits=list(_LIMITS))
    declared: Counter[str] = Counter()
    total, rulings, continued = _count(engine, since, until), _rulings(engine, since), _continued(engine, since)
    first = last = None
    for seq, at, leaf in _leaves(engine, KINDS, since, until):
        fields = parse_leaf(leaf) or {}
        try:
            groups = (fields.get("request") or {}).get("groups") or {}
            declared.update(groups.keys())
            named = {name: value for name in attributes if isinstance(value := groups.get(name), str)}
            cells.add(Row(named, _values(fields, rulings.get(seq), continued.get(seq)), period_of(at[:10], period)))
            policy, model = fields.get("policy") or {}, fields.get("generator") or {}
            source.policies[str(policy.get("name")), str(policy.get("version")), str(policy.get("digest"))] += 1
            if model:
                source.models[str(model.get("model")), str(model.get("weights") or "")] += 1
        except (AttributeError, TypeError, KeyError, ValueError):  # not as genguard writes it
            raise EvidenceError(f"entry {seq} cannot be read: {VERIFY}") from None
        chain.add(merkle.leaf_hash(leaf))
        first, last = at if first is None else first, at
        if cells.rows % _AT_ONCE == 0:
            progress(cells.rows, total)
    if not cells.rows:
        raise ConfigError("no request was recorded in that time: check --since, --until and --store")
    if missing := [name for name in attributes if name not in declared]:
        known = ", ".join(f"{name} ({count})" for name, count in declared.most_common(20)) or "none"
        raise ConfigError(f"no request declares the group {missing[0]!r}; declared are: {known}")
    progress(cells.rows, total)
    source.digest = chain.label()
    note = Reader(engine).checkpoint()
    source.facts = {"since": since, "until": until, "first": first, "last": last, "period": period, "checkpoint": note}
    if note:
        source.facts |= {"size": (checkpoint := parse_checkpoint(note)).size, "root": checkpoint.root.hex()}
    return cells, source


def _values(fields: Mapping[str, Any], ruling: str | None, continued: str | None) -> Values:
    state = fields.get("state")
    decision = fields.get("decision") or {}
    output = (fields.get("items") or {}).get("output") or {}
    return {
        "block": float(state == "blocked"),
        "review": float(state == "held"),
        "redaction": float(bool(fields.get("redactions"))),
        "released": _released(fields, state, ruling, continued),
        "overturn": None if ruling is None else float(ruling == "approve"),
        "degraded": float(bool(decision.get("degraded"))),
        "toxicity": _score(fields),
        "length": float(output["length"])
        if output.get("kind") == "text" and output.get("length") is not None
        else None,
    }


def _released(fields: Mapping[str, Any], state: Any, ruling: str | None, continued: str | None) -> float | None:
    """None while nobody has decided, or nothing was generated yet after a prompt was approved."""
    if state != "held":
        return float(state == "released")
    if ruling is None:
        return None
    if ruling != "approve":
        return 0.0
    if fields.get("stage") != "input" or fields.get("kind") == "check":
        return 1.0
    return None if continued in (None, "held") else float(continued == "released")


def _score(fields: Mapping[str, Any]) -> float | None:
    """The highest score of the checker in the answer; None where it did not read it."""
    for result in fields.get("results") or ():
        if result.get("checker") == TOXICITY and result.get("stage") == "output" and result.get("status") == "ok":
            return max((float(finding["score"]) for finding in result.get("findings") or ()), default=0.0)
    return None


def _leaves(
    engine: Engine, kinds: tuple[str, ...], since: str | None, until: str | None
) -> Iterator[tuple[int, str, bytes]]:
    query = select(LogEntry.seq, LogEntry.occurred_at, LogEntry.leaf).where(*_span(kinds, since, until))
    with reading(engine) as connection:
        stream = connection.execution_options(yield_per=_AT_ONCE).execute(query.order_by(LogEntry.seq))
        yield from map(tuple, stream)


def _span(kinds: tuple[str, ...], since: str | None, until: str | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [LogEntry.kind.in_(kinds)]
    if since is not None:
        found.append(LogEntry.occurred_at >= since)
    if until is not None:
        found.append(LogEntry.occurred_at < until)
    return found


def _count(engine: Engine, since: str | None, until: str | None) -> int:
    with reading(engine) as connection:
        return connection.execute(
            select(func.count()).select_from(LogEntry).where(*_span(KINDS, since, until))
        ).scalar_one()


def _rulings(engine: Engine, since: str | None) -> dict[int, str]:
    query = select(ReviewCase.seq, ReviewCase.ruling).where(ReviewCase.state == "decided")
    if since is not None:
        query = query.where(ReviewCase.opened_at >= since)
    with reading(engine) as connection:
        return {seq: str(ruling) for seq, ruling in connection.execute(query)}


def _continued(engine: Engine, since: str | None) -> dict[int, str]:
    """What became of prompts that a reviewer approved, by the entry that was held."""
    leaves = (parse_leaf(leaf) or {} for _, _, leaf in _leaves(engine, ("continuation",), since, None))
    return {fields["of"]: str(fields.get("state")) for fields in leaves if isinstance(fields.get("of"), int)}
