"""Phone numbers of many regions at once are those that phonenumbers finds for each."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberMatcher

from guard.checkers.personal.regions import phone_spans

REGIONS = ("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR", "IT", "MX", "AR", "CH", "ZZ")
KNOWN = [
    "+49 30 901820",
    "020 7946 0018",
    "(212) 555-0143",
    "06 12 34 56 78",
    "011 44 20 7946 0018",
    "＋1 650 253 0000",
]


@example("+ 011 44 20 7946 0018")
@given(st.lists(st.sampled_from(KNOWN) | st.text("0123456789+()-. /x＋１", max_size=16), max_size=5).map(" ".join))
@settings(max_examples=150, deadline=None)
def test_the_spans_are_those_of_each_region(text: str) -> None:
    for leniency in (0, 1, 2):
        matches = [it for region in REGIONS for it in PhoneNumberMatcher(text, region, leniency=leniency)]
        assert phone_spans(text, REGIONS, leniency) == {(it.start, it.end) for it in matches}


def test_known_numbers_are_found() -> None:
    text = " ; ".join(KNOWN)
    assert len(phone_spans(text, REGIONS, 1)) >= len(KNOWN)
    assert phone_spans("no number here", REGIONS, 1) == set()
