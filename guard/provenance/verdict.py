"""What inspecting a file may come to: evidence, each piece from one look, and the one verdict that follows from all of it.

No verdict says "not made by AI": marks can be removed, and most content never had one. A verdict has no truth value, so that
nobody writes `if inspect(data)` and reads an absence of evidence as evidence.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from guard.digest import JSON
from guard.envelope import receipt_data
from guard.types import Receipt


class Verdict(enum.Enum):
    """The strongest thing that can be said; compare it, it is neither true nor false."""

    TRUSTED = "trusted"
    VALID = "valid"
    RECOVERED = "recovered"
    PROBABLE = "probable"
    CONTRADICTED = "contradicted"
    NO_EVIDENCE = "no_evidence"

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict is neither true nor false: compare it with Verdict.TRUSTED and the others")


SUMMARY = {
    Verdict.TRUSTED: "It carries an intact statement of origin, signed by somebody this installation trusts.",
    Verdict.VALID: "It carries an intact statement of origin, but nobody trusted here vouches for the signer.",
    Verdict.RECOVERED: (
        "The record proves that this was made here: it holds these very bytes, or the picture that a mark in it names."
    ),
    Verdict.PROBABLE: (
        "It carries this installation's watermark, or is much like something released here; neither proves anything alone."
    ),
    Verdict.CONTRADICTED: "It carries a statement of origin that does not hold: changed, or attached to something else.",
    Verdict.NO_EVIDENCE: "Nothing was found. This says nothing about origin: marks can be removed, and most content has none.",
}


class Reason(enum.StrEnum):
    """Why a claim of origin does not hold."""

    TAMPERED = "tampered"
    TRANSPLANTED = "transplanted"
    BAD_INGREDIENT = "bad_ingredient"


CONTRADICTIONS = {
    ("credential", "invalid"): Reason.TAMPERED,
    ("manifest", "altered"): Reason.TAMPERED,
    ("watermark", "transplanted"): Reason.TRANSPLANTED,
    ("credential", "contradicted"): Reason.BAD_INGREDIENT,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look came to. `details` may hold text written by strangers: show it as text only."""

    layer: str
    status: str
    message: str
    details: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a watermark detector found."""

    detected: bool
    algorithm: str
    details: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Named:
    """The entry that the evidence names. `proved`: its receipt holds under this log's key; None where that key is not here."""

    seq: int
    at: str
    request_id: str | None
    state: str | None
    receipt: Receipt
    proved: bool | None

    def data(self) -> dict[str, JSON]:
        """For everybody: a request id is the caller's own, and not among it."""
        return {"entry": self.seq, "at": self.at, "proved": self.proved, "receipt": receipt_data(self.receipt)}


@dataclass(frozen=True, slots=True)
class Inspection:
    """All evidence about one file, and the verdict that follows from it. `entry` is the best that the evidence names."""

    verdict: Verdict
    kind: str
    media_type: str | None
    digest: str
    evidence: tuple[Evidence, ...]
    name: str | None = None
    entry: Named | None = None

    def __bool__(self) -> NoReturn:
        raise TypeError("an inspection is neither true nor false: look at its verdict")

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        return SUMMARY[self.verdict]

    @property
    def reason(self) -> Reason | None:
        """Why a claim does not hold, where the verdict says so; of several, the first."""
        return next((CONTRADICTIONS[sign] for sign in self._signs() if sign in CONTRADICTIONS), None)

    def _signs(self) -> list[tuple[str, str]]:
        return [(each.layer, each.status) for each in self.evidence]

    def public(self) -> dict[str, JSON]:
        """For strangers: classes and proofs. Distances, likelihoods and request ids would teach forgers, or tell on callers."""
        return {
            "kind": self.kind,
            "media_type": self.media_type,
            "digest": self.digest,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "summary": self.summary,
            "evidence": [{"layer": it.layer, "status": it.status, "message": it.message} for it in self.evidence],
            "record": self.entry.data() if self.entry else None,
        }

    def data(self) -> dict[str, JSON]:
        """For JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "media_type": self.media_type,
            "digest": self.digest,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "summary": self.summary,
            "record": {**self.entry.data(), "request_id": self.entry.request_id} if self.entry else None,
            "evidence": [
                {"layer": each.layer, "status": each.status, "message": each.message, "details": dict(each.details)}
                for each in self.evidence
            ],
        }


def conclude(evidence: Sequence[Evidence]) -> Verdict:
    """The verdict: a broken claim outweighs everything, a trusted signature the record, and the record an unknown signer."""
    found = {(each.layer, each.status) for each in evidence}
    order = (
        (Verdict.CONTRADICTED, set(CONTRADICTIONS)),
        (Verdict.TRUSTED, {("credential", "trusted"), ("manifest", "valid")}),
        (Verdict.RECOVERED, {("record", "released"), ("record", "made"), ("watermark", "recovered")}),
        (
            Verdict.VALID,
            {
                ("credential", "valid"),
                ("credential", "expired"),
                ("credential", "not_yet_valid"),
                ("manifest", "unknown_signer"),
            },
        ),
        (Verdict.PROBABLE, {("watermark", "detected"), ("watermark", "unverified"), ("fingerprint", "similar")}),
    )
    return next((verdict for verdict, signs in order if found & signs), Verdict.NO_EVIDENCE)
