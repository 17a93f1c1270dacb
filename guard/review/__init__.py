"""Review: people decide what the policy would not decide alone.

A held outcome opens a case. A reviewer claims it (one holder at a time, for a limited time), and approves or rejects it with
a reason. Each of these is an entry in the record, committed together with the row of the queue, so the queue is a view that
`rebuild` can make again from the record alone. Approving makes nothing new: what is released was sealed when it was held.
"""

from guard.review.cases import LEASE, approved, claim, open_case, renew, rule, ruling, unclaim
from guard.review.explain import (
    Flag,
    Reason,
    category_words,
    descriptions,
    flags,
    full,
    kind_words,
    reasons,
    replaced,
    reviewed,
    rule_words,
)
from guard.review.history import Standing, Step, history, standing, title
from guard.review.model import Case, Filter, Ruling
from guard.review.queue import Counts, Page, Row, counts, get, queue
from guard.review.rebuild import rebuild, replay
from guard.review.stats import CheckerHealth, Overview, overview
from guard.review.whatif import change_words, edits_words, evidence_words, explained, explanation_data

__all__ = [
    "LEASE",
    "Case",
    "CheckerHealth",
    "Counts",
    "Filter",
    "Flag",
    "Overview",
    "Page",
    "Reason",
    "Row",
    "Ruling",
    "Standing",
    "Step",
    "approved",
    "category_words",
    "change_words",
    "claim",
    "counts",
    "descriptions",
    "edits_words",
    "evidence_words",
    "explained",
    "explanation_data",
    "flags",
    "full",
    "get",
    "history",
    "kind_words",
    "open_case",
    "overview",
    "queue",
    "reasons",
    "rebuild",
    "renew",
    "replaced",
    "replay",
    "reviewed",
    "rule",
    "rule_words",
    "ruling",
    "standing",
    "title",
    "unclaim",
]
