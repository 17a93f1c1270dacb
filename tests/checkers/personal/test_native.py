"""The native engine: disguises are seen through, prose is left alone, and the end of a text is held back exactly."""

from __future__ import annotations

import base64
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.checkers.patterns import WINDOW, surest
from guard.checkers.personal.native import CATEGORIES, LONGEST, Native
from tests.bench.texts import dense, prose

ENGINE = Native(CATEGORIES, ("US", "GB", "DE", "FR"), 64)


def found(text: str, least: float = 0.5) -> list[tuple[str, str]]:
    matches = ((*span, category, score) for category, score, span in ENGINE.matches(text) if score >= least)
    return [(category, text[start:end]) for start, end, category, _ in surest(matches)]


CARD, MAIL = "CREDIT_CARD", "EMAIL_ADDRESS"
DISGUISED = [
    ("full width", "pay {} now", CARD, "\uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11"),
    ("mathematical", "pay {} now", CARD, "\U0001d7d2\U0001d7cf\U0001d7cf\U0001d7cf 1111 1111 1111"),
    ("circled", "pay {} now", CARD, "\u2463\u2460\u2460\u2460 1111 1111 1111"),
    ("Devanagari", "pay {} now", CARD, "\u096a\u0967\u0967\u0967 \u0967\u0967\u0967\u0967 1111 1111"),
    ("keycaps", "pay {} now", CARD, "4\ufe0f\u20e31\ufe0f\u20e31\ufe0f\u20e31\ufe0f\u20e3 1111 1111 1111"),
    ("struck through", "pay {} now", CARD, "4\u03361\u03361\u03361\u0336 1111 1111 1111\u0336"),
    ("zero width", "pay {} now", CARD, "4\u200b111\u200c1111\u200d1111\ufeff1111"),
    ("soft hyphens", "pay {} now", CARD, "4111\u00ad1111\u00ad1111\u00ad1111"),
    ("line break", "pay {} now", CARD, "4111 1111\n1111 1111"),
    ("line break inside", "pay {} now", CARD, "41111111\r\n11111111"),
    ("dots", "pay {} now", CARD, "4111.1111.1111.1111"),
    ("underscores", "pay {} now", CARD, "4111_1111_1111_1111"),
    ("commas", "pay {} now", CARD, "4111, 1111, 1111, 1111"),
    ("bullets", "pay {} now", CARD, "4111\u20221111\u20221111\u20221111"),
    ("between underscores", "a_{}_b", CARD, "4111111111111111"),
    ("beside ideographs", "\u5361\u53f7{}\u8c22\u8c22", CARD, "4111111111111111"),
    ("references", "pay {} now", CARD, "4111&nbsp;1111&#32;1111&#x20;1111"),
    ("digits as references", "pay {} now", CARD, "&#52;111111111111111"),
    ("percent codes", "?n={}&x", CARD, "4111%201111%201111%201111"),
    ("Base64", "data {} end", CARD, base64.b64encode(b"card 4111111111111111").decode()),
    ("Base64 for URLs", "data {} end", MAIL, base64.urlsafe_b64encode(b"mail ann.lee@shop.example??>>").decode().rstrip("=")),
    ("spelled out", "write to {} please", MAIL, "john dot doe at example dot com"),
    ("in brackets", "write to {} please", MAIL, "john [dot] doe [at] example [dot] com"),
    ("half spelled out", "write to {} please", MAIL, "john.doe (at) example.com"),
    ("at in words", "write to {} please", MAIL, "john.doe at example.com"),
    ("upper case", "write to {} please", MAIL, "JOHN AT EXAMPLE DOT COM"),
    ("letter by letter", "write to {}, please", MAIL, "j o h n @ e x a m p l e . c o m"),
    ("spaces around", "write to {} please", MAIL, "john.doe @ example . com"),
    ("look-alike letters", "write to {} please", MAIL, "j\u043ehn@\u0435x\u0430mple.com"),
    ("full-width address", "write to {} please", MAIL, "\uff4a\uff4f\uff48\uff4e\uff20\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0e\uff43\uff4f\uff4d"),
    ("percent at", "write to {} please", MAIL, "john%40example.com"),
    ("at as a reference", "write to {} please", MAIL, "john&#64;example&period;com"),
    ("look-alike country", "pay {} now", "IBAN_CODE", "D\u041589 3704 0044 0532 0130 00"),
    ("account over two lines", "pay {} now", "IBAN_CODE", "DE89 3704 0044\n0532 0130 00"),
    ("invisible in a number", "ssn {} ok", "US_SSN", "536\u200b-\u200b22-8145"),
    ("other hyphens", "ssn {} ok", "US_SSN", "536\u201122\u20138145"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "category", "written"), [row[1:] for row in DISGUISED], ids=[row[0] for row in DISGUISED]
)
def test_disguises_are_seen_through_at_the_original_characters(frame: str, category: str, written: str) -> None:
    for ahead in ("", "\U0001f600\U0001f469\u200d\U0001f4bb e\u0301 "):
        assert found(ahead + frame.format(written)) == [(category, written)]


ORDINARY = [
    "Meet me at example.com tomorrow.", "Look at this. It is in the main hall.", "We met at noon dot on time at home.",
    "The ratio is 10 : 20 : 30 @ 40. Then we go on.", "See chapters 1.2.3.4 and 2.3.4.5 of release 10.0.0.1.",
    "std::vector<int> a; face::cafe; foo::bar(1)", "at 10:30:45 and 12:00:01 on 2024-05-12", "state-of-the-art-word-processing-software",
    "It costs $1,234,567.89 or 1.234.567,89 euros; 4 x 1111 = 4444.", "lat 52.5200, long 13.4050; 1.61803398875 is the golden ratio",
    "id 550e8400-e29b-41d4-a716-446655440000", "sha 9fceb02d0ae598e95dc970b74767f19372d61af8", "He was born in 1984 and moved in May 2003.",
    "Visit https://www.example.com/path/12345678?id=87654321", "call 911 or dial 0 for help; rooms 101-104", "ISBN 978-3-16-148410-0, EAN 4006381333931",
    "Monday 12 May 1984 was sunny. The train 4711 left at 08:15.", "2 4 6 8 10 12 14 16 18 20 22 24 26 28 30", "A1, B2, C3 and H1 are cells.",
]  # fmt: skip


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_prose_is_left_alone() -> None:
    assert found(prose(200_000)) == []


NEW = [
    ("born on 12 May 1984 in Ulm", "DATE_OF_BIRTH", "12 May 1984"),
    ("DOB: 05/23/1984", "DATE_OF_BIRTH", "05/23/1984"),
    ("n\u00e9e le 23.05.1984", "DATE_OF_BIRTH", "23.05.1984"),
    ("date of birth is 1984-05-23", "DATE_OF_BIRTH", "1984-05-23"),
    ("to 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2 now", "CRYPTO", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
    ("to bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq now", "CRYPTO", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
    ("to 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed now", "CRYPTO", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
    ("at ftp://ann:pa5s@host.example:21/x", "URL_CREDENTIALS", "ftp://ann:pa5s@host.example:21"),
    ("host 2001:db8:0:1:1:1:1:1 up", "IP_ADDRESS", "2001:db8:0:1:1:1:1:1"),
    ("DEA AB1234563", "MEDICAL_LICENSE", "AB1234563"),
    ("routing number 021000021", "ABA_ROUTING_NUMBER", "021000021"),
    ("driver's license F2550921", "US_DRIVER_LICENSE", "F2550921"),
    ("Steuer-ID 86 095 742 719", "DE_TAX_ID", "86 095 742 719"),
    ("emšo: 0101006500006", "SI_EMSO", "0101006500006"),
]


@pytest.mark.parametrize(("text", "category", "where"), NEW)
def test_found(text: str, category: str, where: str) -> None:
    assert found(text) == [(category, where)]


PIECES = [
    "4111 1111 1111 1111", "a.b@mail.example", "+1 415-555-0134", "536-22-8145", "DE89370400440532013000", "10.0.0.1", "card ", "tel ", "ssn ",
    "john dot doe at example dot com", "john%40example.com", "&#52;111111111111111", "NDExMTExMTExMTExMTExMQ==", "born on 12 May 1984", "fe80::1",
    "130692544", "SIN ", "12345678Z", "dni", " ", "\n", ".", "-", "\u200b", "\u0301", "\u00e9", "\u5361", "x", "7", ", and then ", "passport 031195855",
    "j o h n @ e x a m p l e . c o m", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "%", "&", "ftp://u:p@h.example ",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)


def raw(text: str) -> set[tuple[int, int, str, float]]:
    return {(*span, category, score) for category, score, span in ENGINE.matches(text)}


@settings(max_examples=400)
@given(TEXTS, TEXTS)
def test_what_is_not_held_back_is_final(text: str, more: str) -> None:
    cut = len(text) - ENGINE.pending(text)
    assert 0 <= cut <= len(text)
    before = {match for match in raw(text) if match[0] < cut}
    assert all(match[1] <= len(text) for match in before)
    assert {match for match in raw(text + more) if match[0] < cut} == before


def test_little_is_held_back_in_prose() -> None:
    text = prose(4000)
    held = [ENGINE.pending(text[:size]) for size in range(1000, 1400)]
    assert sum(held) / len(held) < 40
    assert ENGINE.pending("") == 0
    assert ENGINE.pending("All is said.\n\n") <= 3
    assert ENGINE.pending("A" * 20_000) <= LONGEST + 16


@pytest.mark.parametrize("shift", [0, 1, WINDOW - 30, WINDOW - 10, WINDOW - 1, WINDOW])
def test_windows_change_nothing(shift: int) -> None:
    text = dense(3000)
    alone = sorted(raw(text))
    moved = sorted(raw("." * shift + "\n\n" + text))
    assert [(start - shift - 2, end - shift - 2, category, score) for start, end, category, score in moved] == alone


def test_threads_share_one_engine() -> None:
    texts = [dense(2000, seed) for seed in range(8)]
    alone = [sorted(raw(text)) for text in texts]
    results: dict[int, list[tuple[int, int, str, float]]] = {}

    def work(number: int) -> None:
        for _ in range(5):
            results[number] = sorted(raw(texts[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[number] for number in range(8)] == alone
