"""What became of a request, in words: from its entries alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.audit.read import Entry
from guard.review.explain import reviewed

OUTCOMES = frozenset({"generation", "continuation", "check"})
_NOUNS = {"text": "Answer", "image": "Image", "audio": "Recording"}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an outcome stands. `state` is one of the keys of WORDS; `reviewer` ruled on it, in entry `seq`."""

    state: str
    reviewer: str | None = None
    seq: int | None = None

    @property
    def words(self) -> str:
        """The state for people, without names."""
        return WORDS[self.state]


WORDS = {
    "released": "Released",
    "held": "Held for review",
    "blocked": "Blocked",
    "approved": "Released after review",
    "resumed": "Approved, not generated yet",
    "continued": "Approved, then generated",
    "rejected": "Rejected by reviewer",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the history of a request. `who` is a name that people typed: show it as text only."""

    seq: int
    at: str
    kind: str
    title: str
    who: str | None = None


def standing(entry: Entry, others: Iterable[Entry] = ()) -> Standing | None:
    """Where the outcome in `entry` stands, given the other entries of its request; None for entries that are no outcome."""
    if entry.kind not in OUTCOMES:
        return None
    state = str(entry.fields.get("state"))
    if state != "held":
        return Standing(state if state in WORDS else "held")
    later = sorted((it for it in others if it.fields.get("of") == entry.seq), key=lambda it: it.seq, reverse=True)
    ruled = next((it for it in later if it.kind == "ruling"), None)
    if ruled is None:
        return Standing("held")
    who, seq = str(ruled.fields.get("reviewer")), ruled.seq
    if ruled.fields.get("ruling") != "approve":
        return Standing("rejected", who, seq)
    if entry.fields.get("stage") != "input" or entry.kind == "check":
        return Standing("approved", who, seq)
    return Standing("continued" if any(it.kind == "continuation" for it in later) else "resumed", who, seq)


def title(entry: Entry) -> str:
    """An entry in a few words; no untrusted text."""
    fields = entry.fields
    if entry.kind in OUTCOMES:
        return _outcome(entry.kind, fields)
    if entry.kind == "ruling":
        return "Approved by a reviewer" if fields.get("ruling") == "approve" else "Rejected by a reviewer"
    return {
        "claim": "Claimed for review",
        "unclaim": "Given back to the queue",
        "release": "Released content handed out",
        "opening": "Answer begins to leave",
        "failure": "Generation failed",
        "policy": "Policy put on record",
        "access": "Content read",
        "erasure": "Content erased",
        "hold": "Legal hold set",
        "release_hold": "Legal hold released",
        "prune": "Old entries removed",
        "report": "Fairness report issued",
    }.get(entry.kind, "Entry")


def _outcome(kind: str, fields: Mapping[str, Any]) -> str:
    state, before = str(fields.get("state")), reviewed(fields) == "prompt" and kind != "check"
    noun = "Prompt" if before else _NOUNS.get(str(fields.get("content_kind")), "Content")
    words = {"released": "released", "held": "held for review", "blocked": "blocked"}.get(state, state)
    cuts = [cut.get("stage") for cut in fields.get("redactions") or []]
    count = len(cuts) - cuts.count("input") if kind != "check" else len(cuts)
    if state == "released" and count:
        words += f" with {count} redaction{'s' if count > 1 else ''}"
    elif state == "released" and cuts:
        words += ", prompt redacted"
    if kind == "check":
        words += " (made elsewhere)"
    if kind == "continuation":
        words += " (after review of the prompt)"
    return f"{noun} {words}"


def history(entries: Sequence[Entry]) -> tuple[Step, ...]:
    """The entries of one request, oldest first, as lines for people."""
    steps = []
    ended = any(it.kind in OUTCOMES or it.kind == "failure" for it in entries)
    for entry in sorted(entries, key=lambda it: it.seq):
        who = entry.fields.get("reviewer") or entry.fields.get("by")
        if who is None:
            who = (entry.fields.get("request") or {}).get("requester")
        words = (
            title(entry) if ended or entry.kind != "opening" else "Answer began to leave; how it ended is not on record"
        )
        steps.append(Step(entry.seq, entry.at, entry.kind, words, str(who) if who else None))
    return tuple(steps)
