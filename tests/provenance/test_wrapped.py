"""Texts that carry their credential themselves: bare, HTML and SVG, told from changed ones here and by a second verifier."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest

from guard.errors import StampError
from guard.keys import KeyRing
from guard.provenance.certs import Identity
from guard.provenance.claim import Claim
from guard.provenance.credentials import State
from guard.provenance.inspect import inspect
from guard.provenance.stamp import Stamper
from guard.provenance.verdict import Verdict
from guard.provenance.wrapped import media_type, read, sign
from guard.types import PolicyRef, StampSpec, Text
from tests.provenance.test_formats import second_opinion

TEXTS = {
    "text/plain": "An answer, caf\u00e9 \U0001f600.\n",
    "text/html": "<!doctype html>\n<html><head><title>x</title></head>\n<body>Hello, answer</body></html>\n",
    "image/svg+xml": '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><text>answer</text></svg>',
}


@pytest.mark.parametrize("kind", TEXTS)
def test_round_trip_and_a_second_opinion(kind: str, claim: Claim, identity: Identity, anchor: str) -> None:
    assert media_type(TEXTS[kind]) == kind
    signed, written = sign(Text(TEXTS[kind]), claim, identity)
    assert written.state is State.VALID
    found = read(signed, [anchor])
    assert (found.state, found.problems) == (State.TRUSTED, ())
    assert found.generation["request_id"] == "request-1"
    assert found.ai_generated
    theirs = second_opinion(signed.data, kind, anchor)
    assert (theirs["integrity"], theirs["signature"], theirs["hard_binding"]) == ("valid", "valid", "match")


@pytest.mark.parametrize("kind", TEXTS)
def test_what_was_changed_is_seen_by_both(kind: str, claim: Claim, identity: Identity, anchor: str) -> None:
    text = sign(Text(TEXTS[kind]), claim, identity)[0].text
    for changed in (text.replace("answer", "Answer"), text.replace("answer", "answer, more"), text + "\n"):
        assert read(Text(changed), [anchor]).problems == ("assertion.dataHash.mismatch",)
        assert second_opinion(changed.encode(), kind, anchor)["integrity"] == "invalid"


def test_transports_of_bare_text(claim: Claim, identity: Identity, anchor: str) -> None:
    text = sign(Text(TEXTS["text/plain"]), claim, identity)[0].text
    assert read(Text(unicodedata.normalize("NFC", text)), [anchor]).state is State.TRUSTED
    assert read(Text(text.encode("ascii", "ignore").decode())).state is State.NONE
    assert read(Text(text[:-1])).problems == ("manifest.text.corruptedWrapper",)
    assert read(Text(text + text)).problems == ("manifest.text.multipleWrappers",)
    moved = "Another answer.\n" + text[text.index("\ufeff") :]
    assert read(Text(moved), [anchor]).problems == ("assertion.dataHash.mismatch",)


def test_what_a_credential_leaves_out_of_its_hash_cannot_hide_words(claim: Claim, identity: Identity) -> None:
    """A carrier is as long as the credential says: what stands in it instead is no carrier."""
    text = sign(Text(TEXTS["text/plain"]), claim, identity)[0].text
    start = text.index("\ufeff")
    hidden = text[:start] + "x" + text[start:-1]
    assert read(Text(hidden)).state is State.INVALID


def test_texts_that_cannot_carry_one(claim: Claim, identity: Identity) -> None:
    signed, _ = sign(Text("once"), claim, identity)
    for text, words in (
        (signed, "carries a credential already"),
        (Text("half \ud800"), "not valid Unicode"),
        (Text("<html><body>x</body></html>"), "give it a <head>"),
        (Text("<svg><unclosed></svg>"), "not well-formed"),
    ):
        with pytest.raises(StampError, match=words):
            sign(text, claim, identity)


def test_hostile_texts_take_no_longer_than_they_are_long(claim: Claim, identity: Identity) -> None:
    marks = "e" + "\u0301\u0316" * 100_000
    with pytest.raises(StampError, match="combining marks"):
        sign(Text(marks), claim, identity)
    carrier = sign(Text("x"), claim, identity)[0].text[1:]
    assert read(Text(marks + carrier)).state is State.INVALID
    hostile = ["\ufeff" * 200_000, ("\ufeff" + "\ufe00" * 12) * 50_000, "<html>" + "<script" * 50_000]
    for text in (*hostile, "<html><!--" * 50_000, "<html>" + "<link " * 50_000):
        assert read(Text(text)).state in (State.NONE, State.INVALID)


def test_only_what_leaves_as_a_file_carries_it_and_only_where_the_policy_says_so(
    keys: KeyRing, policy: PolicyRef
) -> None:
    text = Text("An answer.")
    for spec, export, inside in (
        (StampSpec(), False, False),
        (StampSpec(), True, True),
        (StampSpec(exports="beside"), True, False),
    ):
        same, stamp = Stamper(keys, spec).stamp(
            text, request_id="r", policy=policy, generator={"model": "m"}, export=export
        )
        assert stamp.layers[0].status == "applied"
        assert (same == text, stamp.manifest is None) == (not inside, inside)
        assert (stamp.layers[0].algorithm == "c2pa-text") is inside
        assert (inspect(same.data, keys=keys).verdict is Verdict.TRUSTED) is inside
        assert inspect(same.data + b"!", keys=keys).verdict is (Verdict.CONTRADICTED if inside else Verdict.NO_EVIDENCE)


def test_without_the_extra_nothing_is_exported(keys: KeyRing) -> None:
    code = """
import sys; sys.modules["c2pa_text"] = None
from pathlib import Path
from guard.keys import KeyRing
from guard.provenance.inspect import inspect
from guard.provenance.verdict import Verdict
from guard.provenance.stamp import Stamper
from guard.types import PolicyRef, Text
same, made = Stamper(KeyRing(Path(sys.argv[1]))).stamp(
    Text("x"), request_id="r", policy=PolicyRef("p", "1", "d"), generator={}, export=True)
print(same.text, made.layers[0].status, made.layers[0].detail["reason"])
"""
    command = [sys.executable, "-c", code, str(keys.folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["x", "failed", "missing_extra"]
    assert "genguard[exports]" in answer.stderr
