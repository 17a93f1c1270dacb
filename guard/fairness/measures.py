"""What is measured: rates (a share of outcomes) and means (of a score or a length)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """`kind` is "rate" (values 0 and 1) or "mean". `of` says over what it is taken, in words. `favourable` is a rate that
    people want for themselves: its impact ratio is what the four-fifths rule and Local Law 144 look at."""

    name: str
    title: str
    kind: str = "rate"
    of: str = "all rows"
    favourable: bool = False


_ALL = "all requests"
TRAFFIC = (
    Measure("block", "Blocked", of=_ALL),
    Measure("review", "Held for review", of=_ALL),
    Measure("redaction", "Redacted", of=_ALL),
    Measure("released", "Released, at once or after review", of=_ALL, favourable=True),
    Measure("overturn", "Holds that a reviewer overturned", of="cases that a reviewer decided"),
    Measure("degraded", "Requests in which a check failed", of=_ALL),
    Measure("toxicity", "Toxicity score", "mean", of="answers that the toxicity checker read"),
    Measure("length", "Length of the answer, in characters", "mean", of="answers in text"),
)
ODDS = (
    Measure("true_positive_rate", "True positive rate", of="rows with a positive label"),
    Measure("false_positive_rate", "False positive rate", of="rows with a negative label"),
)
_OTHERS = (
    Measure("refusal", "Refused by the model"),
    Measure("selected", "Selected", favourable=True),
    Measure("sentiment", "Sentiment score", "mean"),
    Measure("quality", "Quality score", "mean"),
)
KNOWN = {measure.name: measure for measure in (*TRAFFIC, *ODDS, *_OTHERS)}
