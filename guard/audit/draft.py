"""An entry before it has a number: what is to be recorded, and its sealed form, made without any lock."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import to_json

from guard.audit import merkle
from guard.audit.names import names_of
from guard.audit.tree import action_of, state_of
from guard.audit.vault import POLICY, Sealed, Vault, day_key, reason_key
from guard.digest import JSON, canonical
from guard.errors import CallerError, RecordError
from guard.types import Content

VERSION = 1
MAX_LEAF = 0xFFFF  # tlog-tiles stores the length of an entry in 16 bits
ONCE = frozenset({"generation", "continuation", "opening"})  # recorded at most once for a request id
KEPT = frozenset(
    {"erasure", "hold", "release_hold", "access"}
)  # about a subject, but sealed apart: they outlive its key
_RESERVED = frozenset({"v", "id", "kind", "at", "clock", "request_id", "subject", "bodies"})
_UNSURE = b"NaN"  # lone surrogates among others
_WORD = re.compile(r"[a-z][a-z_]{0,31}")


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry to be recorded. `bodies` are the contents by role; `subject` is whom it concerns (`Vault.pseudonym`)."""

    kind: str
    request_id: str | None
    fields: Mapping[str, JSON]
    bodies: Mapping[str, Content] = field(default_factory=dict)
    subject: str | None = None


class Ready(NamedTuple):
    """A sealed entry without its number: the values of its row after `seq`, and those of its bodies."""

    row: tuple[Any, ...]
    bodies: tuple[tuple[str, Sealed], ...]
    once: tuple[str, str] | None = None  # request id and kind, where such an entry may exist only once
    names: tuple[str, ...] = ()  # what it is found by besides its number
    draft: Draft | None = None  # what it was sealed from, while it can still be sealed again

    @property
    def id(self) -> str:
        return str(self.row[0])


def utcnow() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """The record's form of a time: UTC, microseconds, always equally long and so sortable as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def prepare(draft: Draft, vault: Vault, now: datetime, clock: str, at: str) -> Ready:
    """Seal a draft. `now` is the clock, also as `clock`; `at` the time of the entry, later where the clock went back.

    Raises CallerError for what no entry can hold, RecordError for one that is too long.
    """
    _require_valid(draft)
    entry_id = _new_id(now)
    sealed = tuple(vault.seal(draft.bodies, entry_id=entry_id, key_ref=_key_ref(draft, at)).items())
    data = _encoded(_leaf(draft, entry_id, sealed, clock, at))
    row = (
        entry_id, draft.kind, at, draft.request_id, state_of(draft.fields), action_of(draft.fields),
        merkle.leaf_hash(data), data, draft.subject,
    )  # fmt: skip
    once = (draft.request_id, draft.kind) if draft.request_id and draft.kind in ONCE else None
    return Ready(row, sealed, once, names_of(draft.fields), draft)


def _key_ref(draft: Draft, at: str) -> str:
    """Whose key seals the contents of an entry. `guard.audit.spent` says the same in SQL."""
    if draft.kind == "policy":
        return POLICY
    if draft.kind in KEPT:
        return reason_key(at)
    return draft.subject or day_key(at)


def _require_valid(draft: Draft) -> None:
    if not _RESERVED.isdisjoint(draft.fields):
        taken = min(_RESERVED & set(draft.fields))
        raise CallerError(f"an entry's field cannot be called {taken!r}: the record uses that name itself")
    if not (_is_word(draft.kind) and all(map(_is_word, draft.bodies))):
        raise CallerError("an entry's kind and the roles of its bodies must be lower-case words")
    if draft.request_id is not None:
        check_request_id(draft.request_id)


@lru_cache(maxsize=1024)
def _is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def check_request_id(request_id: str) -> None:
    """Raises CallerError for an id that the record does not take."""
    if not (0 < len(request_id) <= 200 and request_id.isprintable()):
        raise CallerError("a request id must have 1 to 200 printable characters")


def _leaf(draft: Draft, entry_id: str, sealed: Sequence[tuple[str, Sealed]], clock: str, at: str) -> dict[str, JSON]:
    leaf: dict[str, JSON] = {
        **draft.fields,
        "v": VERSION,
        "id": entry_id,
        "kind": draft.kind,
        "at": at,
        "request_id": draft.request_id,
        "subject": draft.subject,
        "bodies": {role: body.facts for role, body in sealed},
    }
    if clock < at:  # a clock that went back cannot reorder the record, nor can what it said be hidden
        leaf["clock"] = clock
    return leaf


def _encoded(leaf: Mapping[str, JSON]) -> bytes:
    try:
        data = to_json(leaf)  # five times as fast as `canonical`; no reader depends on the order of the fields
    except ValueError:
        data = _UNSURE
    if b"NaN" in data or b"Infinity" in data:  # perhaps only in a text, but JSON has no such numbers
        try:
            data = canonical(leaf)
        except (TypeError, ValueError) as error:
            raise CallerError(f"an entry's fields must be plain JSON without NaN: {type(error).__name__}") from None
    if len(data) > MAX_LEAF:
        raise RecordError(f"an entry of {len(data)} bytes is too long (at most {MAX_LEAF}): record fewer details")
    return data


def _new_id(now: datetime) -> str:
    """A UUID of version 7: random, but growing with time, so that the index on it grows at one end."""
    time, noise = f"{int(now.timestamp() * 1000) & (1 << 48) - 1:012x}", os.urandom(10).hex()
    return f"{time[:8]}-{time[8:]}-7{noise[:3]}-{'89ab'[int(noise[3], 16) & 3]}{noise[4:7]}-{noise[7:19]}"
