"""What is measured: rates (a share of outcomes) and means (of a score or a length), and which way is good."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """`kind` is "rate" (values 0 and 1) or "mean". `of` says over what it is taken, in words. `favourable` is a rate that
    people want for themselves: its impact ratio is what the four-fifths rule and Local Law 144 look at.

    `line` is the largest difference between two groups that is tolerated, in the measure's own unit; None leaves the verdict
    to whether a difference was shown at all.
    """

    name: str
    title: str
    kind: str = "rate"
    of: str = "all rows"
    favourable: bool = False
    line: float | None = 0.05


BLOCK = Measure("block", "Blocked", of="all requests")
REVIEW = Measure("review", "Held for review", of="all requests")
REDACTION = Measure("redaction", "Redacted", of="all requests")
RELEASED = Measure("released", "Released, at once or after review", of="all requests", favourable=True)
OVERTURN = Measure("overturn", "Hold overturned by a reviewer", of="cases that a reviewer decided")
DEGRADED = Measure("degraded", "A check failed", of="all requests")
TOXICITY = Measure("toxicity", "Toxicity score", "mean", of="answers that the toxicity checker read", line=0.05)
LENGTH = Measure("length", "Length of the answer in characters", "mean", of="answers in text", line=None)
TRAFFIC = (BLOCK, REVIEW, REDACTION, RELEASED, OVERTURN, DEGRADED, TOXICITY, LENGTH)

TRUE_POSITIVE = Measure("true_positive_rate", "True positive rate", of="rows with a positive label")
FALSE_POSITIVE = Measure("false_positive_rate", "False positive rate", of="rows with a negative label")
ODDS = (TRUE_POSITIVE, FALSE_POSITIVE)
KNOWN = {measure.name: measure for measure in (*TRAFFIC, *ODDS)} | {
    "refusal": Measure("refusal", "Refused by the model"),
    "selected": Measure("selected", "Selected", favourable=True),
    "sentiment": Measure("sentiment", "Sentiment score", "mean", line=None),
    "quality": Measure("quality", "Quality score", "mean", line=None),
}
