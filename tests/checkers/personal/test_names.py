"""Names: where they are, what hides them, what is no name, and how much of an unfinished text is held back."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.checkers.personal.names import CATEGORIES, MODEL, TAIL, Names
from guard.checkers.personal.tagger import BLOCK, Tagger
from guard.checkers.personal.wordforms import words
from guard.checkers.shadow import shadow
from guard.errors import ConfigError
from guard.types import Finding
from tests.bench.texts import prose

NAMES = Names(CATEGORIES, 0.5)


def found(text: str) -> list[tuple[str, str]]:
    return [(kind, text[slice(*span)]) for kind, _, span in NAMES.matches(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, my name is Priya Sharma and I live in Rotterdam.", [("PERSON", "Priya Sharma"), ("LOCATION", "Rotterdam")]),
        ("hi im marco rossi and my parcel never arrived", [("PERSON", "marco rossi")]),
        ("Dear Ms. Okafor,\nyour invoice is attached.\nBest regards,\nJonas Weber", [("PERSON", "Okafor"), ("PERSON", "Jonas Weber")]),
        ("She works for Siemens in Munich.", [("ORGANIZATION", "Siemens"), ("LOCATION", "Munich")]),
        ("Please send it to 12 Baker Street, London NW1 6XE.", [("ADDRESS", "12 Baker Street, London NW1 6XE")]),
        ("Address: Lindenstraße 14, 10969 Berlin", [("ADDRESS", "Lindenstraße 14, 10969 Berlin")]),
        ('{"name": "Carlos Mendoza", "city": "Rotterdam"}', [("PERSON", "Carlos Mendoza"), ("LOCATION", "Rotterdam")]),
        ("Patient: Fatima Al-Sayed, admitted on Monday", [("PERSON", "Fatima Al-Sayed")]),
    ],
)  # fmt: skip
def test_names_are_found_at_their_characters(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "hidden",
    ["Ma\u200bria Gonz\u00e1lez", "Maria\u00ad Gonz\u00e1lez", "\uff2daria Gonz\u00e1lez", "M\u0430ri\u0430 Gonz\u00e1lez", "Maria Gonza\u0301lez"],
)  # fmt: skip
def test_what_a_person_reads_is_read(hidden: str) -> None:
    assert found(f"\U0001f600 My name is {hidden}, thanks.") == [("PERSON", hidden)]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n\n", "\u200b", "...", "12 34 56", "4111 1111 1111 1111", "call (215) 204-3120", "https://example.com/Maria", "@maria_gonzalez", "maria@mail.example",
        "I would like to return my kettle.", "Please Check The Settings Page", "The meeting is on Monday in May.",
        "def main(): return None", "HELLO WHY IS MY PARCEL NOT HERE",
    ],
)  # fmt: skip
def test_what_is_no_name(text: str) -> None:
    assert found(text) == []


def test_ordinary_dialogue_stays_quiet() -> None:
    assert len(found(prose(50_000))) <= 5  # 4 in 100,000 characters when it was made


def test_only_the_wanted_kinds() -> None:
    only = Names(frozenset({"PERSON"}), 0.5)
    assert [kind for kind, *_ in only.matches("Priya Sharma lives in Rotterdam.")] == ["PERSON"]


def test_a_lower_bar_finds_no_less() -> None:
    text = "Then Tarn met Bo Lindqvist near Ost and left for the Vale with Acme."
    covered = []
    for least in (0.2, 0.5, 0.8):
        spans = [span for *_, span in Names(CATEGORIES, least).matches(text)]
        covered.append({place for start, end in spans for place in range(start, end)})
    assert covered[0] >= covered[1] >= covered[2]


def test_blocks_change_nothing() -> None:
    piece = "Priya Sharma of Rotterdam wrote to Jonas Weber about the invoice. "
    text = piece * (3 * BLOCK // len(piece.split()))
    data = shadow(text).data
    model, all_words = Tagger.load(MODEL), words(data)
    assert all_words is not None
    assert len(all_words) > 2 * BLOCK
    period = len(words(shadow(piece).data) or ())
    shares = model.probabilities(all_words)
    inner = shares[2 * period : -2 * period]
    assert np.array_equal(inner[:-period], inner[period:])  # to the last bit


PIECES = ["Ann", "ann lee", "Priya Sharma", "Dr.", "O'Brien", "Berlin", "12 Main St", "10115", "Acme Ltd", "the", " of ", "'s", "my name is ", " ",
          " ", "\n", ".", ",", "@", "x", "\u00e9", "\u0301", "\u200b", "A", "://", "www.", "\u5f20", "-"]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS)
def test_what_is_not_held_back_is_final(text: str, more: str) -> None:
    cut = len(text) - NAMES.pending(text)
    assert 0 <= cut <= len(text)
    before = {match for match in NAMES.matches(text) if match[2].start < cut}
    assert all(span.end <= len(text) for *_, span in before)
    assert {match for match in NAMES.matches(text + more) if match[2].start < cut} == before


def test_little_is_held_back() -> None:
    text = prose(4000)
    held = [NAMES.pending(text[:size]) for size in range(1000, 1400, 7)]
    assert sum(held) / len(held) < 110
    assert NAMES.pending("") == 0
    assert NAMES.pending("x" * 20_000) < 1000
    assert NAMES.pending("Ann Lee " * 5000) <= TAIL


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | TEXTS)
def test_spans_are_whole_and_apart(text: str) -> None:
    reached = 0
    for kind, score, (start, end) in NAMES.matches(text):
        assert kind in CATEGORIES
        assert 0.5 <= score <= 1
        assert reached <= start < end <= len(text)
        assert any(char.isalpha() for char in text[start:end])
        reached = end


def test_a_megabyte_and_time_grows_with_the_text() -> None:
    sentence = "Your parcel was shipped on 12 May and Priya Sharma hopes that everybody likes the kettle. "

    def cost(size: int) -> float:
        began = time.process_time()
        count = len(list(NAMES.matches((sentence * (1 + size // len(sentence)))[:size])))
        assert count >= size // len(sentence) - 1
        return time.process_time() - began

    cost(1000)
    assert cost(1_000_000) < 30 * cost(100_000)


def test_no_text_costs_more_than_its_length(attack: str) -> None:
    def cost(size: int) -> float:
        best = float("inf")
        for _ in range(2):
            began = time.process_time()
            list(NAMES.matches((attack * size)[:size]))
            best = min(best, time.process_time() - began)
        return best

    assert cost(16_000) < 48 * max(cost(1_000), 0.001)


def test_threads_share_one() -> None:
    texts = [f"{who} lives in {where}." * 20 for who in ("Ann Lee", "Priya Sharma") for where in ("Berlin", "Lagos")]
    alone = [list(NAMES.matches(text)) for text in texts]
    results: dict[int, list[object]] = {}

    def work(number: int) -> None:
        for _ in range(5):
            results[number] = list(NAMES.matches(texts[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[number] for number in range(len(texts))] == alone


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_damaged_model_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "names.bin"
    if damage != "missing":
        data = MODEL.read_bytes()
        path.write_bytes(data[:-1] if damage == "cut" else b"other" + data)
    with pytest.raises(ConfigError, match=r"reinstall genguard"):
        Tagger.load(path)


def test_the_model_is_small_and_plain() -> None:
    assert MODEL.stat().st_size < 8 << 20
    assert b"pickle" not in MODEL.read_bytes()[:2000]


def test_a_finding_can_be_made_of_each() -> None:
    for kind, score, span in NAMES.matches("Priya Sharma, 12 Baker Street, London"):
        assert Finding(kind, score, span).category in CATEGORIES
