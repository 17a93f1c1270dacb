"""Personal data: what is found, what is not, where exactly, and what happens when a pattern runs out of time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from guard.checkers.personal import presidio
from guard.checkers.personal.context import Words
from guard.checkers.pii import PiiChecker
from guard.errors import MissingExtra
from guard.operators import Operator
from guard.policy.decide import Context, redact, redactions
from guard.types import (
    Action,
    Checker,
    CheckerSpec,
    CheckResult,
    Finding,
    Item,
    Policy,
    Request,
    Rule,
    Stage,
    Status,
    Text,
)

Ask = Callable[[Checker, str], list[Finding]]
Seen = Callable[[Checker, str], dict[str, str]]

FOUND = [
    ("Mail first.last42@mail.example now.", "EMAIL_ADDRESS", "first.last42@mail.example"),
    ("<x.y+z@sub.domain.co.uk>", "EMAIL_ADDRESS", "x.y+z@sub.domain.co.uk"),
    ("an M\u00fcller@b\u00fccher.example", "EMAIL_ADDRESS", "M\u00fcller@b\u00fccher.example"),
    ("Call +1 415-555-0134 today", "PHONE_NUMBER", "+1 415-555-0134"),
    ("+44 20 7946 0958, please", "PHONE_NUMBER", "+44 20 7946 0958"),
    ("(415) 555-0134", "PHONE_NUMBER", "(415) 555-0134"),
    ("tel 0049 30 901820 or so", "PHONE_NUMBER", "0049 30 901820"),
    ("my mobile is 07700 900123", "PHONE_NUMBER", "07700 900123"),
    ("telefon: 030 901820", "PHONE_NUMBER", "030 901820"),
    ("Card 4111 1111 1111 1111 12/27 123", "CREDIT_CARD", "4111 1111 1111 1111"),
    ("CC4111111111111111", "CREDIT_CARD", "4111111111111111"),
    ("2221-0000-0000-0009", "CREDIT_CARD", "2221-0000-0000-0009"),
    ("3782 822463 10005", "CREDIT_CARD", "3782 822463 10005"),
    ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "CREDIT_CARD", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("IBAN DE89 3704 0044 0532 0130 00 2 days", "IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
    ("gb29nwbk60161331926819", "IBAN_CODE", "gb29nwbk60161331926819"),
    ("SSN 536-22-8145", "US_SSN", "536-22-8145"),
    ("my social security number: 536228145", "US_SSN", "536228145"),
    ("NHS number 943 476 5919", "UK_NHS", "943 476 5919"),
    ("BSN 111222333", "NL_BSN", "111222333"),
    ("NI number AB123456C", "UK_NINO", "AB123456C"),
    ("AHV 756.9217.0769.85", "CH_AHV", "756.9217.0769.85"),
    ("CPF 390.533.447-05", "BR_CPF", "390.533.447-05"),
    ("from 192.168.10.4 at noon", "IP_ADDRESS", "192.168.10.4"),
    ("host fe80::1ff:fe23:4567:890a", "IP_ADDRESS", "fe80::1ff:fe23:4567:890a"),
    ("mac 00:1A:2B:3C:4D:5E", "MAC_ADDRESS", "00:1A:2B:3C:4D:5E"),
    ("US passport 031195855", "US_PASSPORT", "031195855"),
]
NOT_FOUND = [
    "Order 123456789 left on 2026-11-20, tracking 4155550134, invoice 2024112310.",
    "The number 4111 1111 1111 1112 is not valid.",
    "Version 1.2.3, build 20261123.4, 1,234,567.89 units, ISBN 978-3-16-148410-0.",
    "Room 1234 5678, article 987654321, EAN 4006381333931.",
    "It costs 1 299 euros, 30 % less than on 01.02.2024 at 10:30.",
    "The SSN field must not be empty; 000-12-3456 and 666-12-3456 are refused.",
    "Follow @handle, or see foo@bar, or https://mail.example/path.",
    "Scores: 10 20 30 40 50 60 70 80 90 100.",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "Since 2020 our customers have ordered 536228145 items.",
    "In 2024 we sold 943 476 5919 cups.",
]


@pytest.mark.parametrize(("text", "category", "where"), FOUND)
def test_found_with_its_exact_place(pii: PiiChecker, seen: Seen, text: str, category: str, where: str) -> None:
    assert seen(pii, text) == {category: where}


@pytest.mark.parametrize("text", NOT_FOUND)
def test_ordinary_numbers_are_left_alone(pii: PiiChecker, ask: Ask, text: str) -> None:
    assert ask(pii, text) == []


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("pay \uff14\uff11\uff11\uff11 1111 1111 1111 now", "\uff14\uff11\uff11\uff11 1111 1111 1111"),
        ("pay 4111\u200b1111\u200d1111\u20601111 now", "4111\u200b1111\u200d1111\u20601111"),
        ("pay 4111\u20111111\u20131111\u22121111 now", "4111\u20111111\u20131111\u22121111"),
        ("pay 4111\u00a01111\u20091111\u202f1111 now", "4111\u00a01111\u20091111\u202f1111"),
        (
            "\U0001f600 \u0664\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 1111 1111",
            "\u0664\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 1111 1111",
        ),
    ],
)
def test_disguised_digits(pii: PiiChecker, seen: Seen, text: str, hidden: str) -> None:
    assert seen(pii, text) == {"CREDIT_CARD": hidden}


def test_weak_numbers_need_a_word_nearby(pii: PiiChecker, ask: Ask) -> None:
    number = "111222333"
    assert not ask(pii, f"We counted {number} stars.")
    assert ask(pii, f"My bsn: {number}.")
    assert not ask(
        pii,
        "My bsn is secret. " + "We like long walks on the beach and other things. " * 3 + f"There are {number} stars.",
    )


def test_a_word_inside_another_word_is_no_context(pii: PiiChecker, ask: Ask) -> None:
    assert not ask(pii, "Since then 130692544 visitors came.")
    assert ask(pii, "SIN 130692544")


def test_only_the_wanted_entities_without_loading_presidio() -> None:
    program = (
        "import sys\nfrom guard.checkers.pii import PiiChecker\nfrom guard.types import Item, Stage, Text\n"
        "checker = PiiChecker(PiiChecker.Params(entities=['CREDIT_CARD', 'EMAIL_ADDRESS']))\n"
        "(found,) = checker.check([Item(Text('a.b@mail.example 4111111111111111 536-22-8145'), Stage.OUTPUT)])\n"
        "print(sorted(f.category for f in found), 'presidio_analyzer' in sys.modules, 'spacy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['CREDIT_CARD', 'EMAIL_ADDRESS'] False False"


def test_all_of_presidio_without_torch_and_without_a_socket() -> None:
    """A process of its own, as in production: nothing heavy is imported, and any attempt to connect ends it."""
    program = (
        "import json, socket, sys\n"
        "def refuse(*_): raise SystemExit('tried to connect')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from guard.checkers.pii import PiiChecker\nfrom guard.types import Item, Stage, Text\n"
        "checker = PiiChecker(PiiChecker.Params())\n"
        "(found,) = checker.check([Item(Text('a.b@mail.example from 10.0.0.1, passport 031195855'), Stage.OUTPUT)])\n"
        "import torch\n"
        "print(json.dumps([sorted(f.category for f in found), 'transformers' in sys.modules, torch.__version__ > '1']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [["EMAIL_ADDRESS", "IP_ADDRESS", "US_PASSPORT"], False, True]


def test_a_pattern_that_runs_out_of_time_is_an_error_and_not_a_pass() -> None:
    import regex  # type: ignore[import-untyped]

    slow = presidio.Pattern(
        "IP_ADDRESS", regex.compile(r"(?:(?:1|11)+)+[a-x]"), 0.9, Words(()), lambda _: None, lambda _: None
    )
    checker = PiiChecker(
        PiiChecker.Params(entities=frozenset({"IP_ADDRESS"}), pattern_timeout=0.05), load=lambda _: (slow,)
    )
    with pytest.raises(TimeoutError):
        checker.check([Item(Text("1" * 60 + " y"), Stage.OUTPUT)])


def test_allow_list(ask: Ask) -> None:
    checker = PiiChecker(PiiChecker.Params(entities=frozenset({"EMAIL_ADDRESS"}), allow=("help@shop.example",)))
    assert [finding.category for finding in ask(checker, "Help@shop.example or me@shop.example")] == ["EMAIL_ADDRESS"]


def test_unknown_entity_is_refused() -> None:
    with pytest.raises(ValidationError, match="unknown entity 'EMAIL'"):
        PiiChecker.Params(entities=frozenset({"EMAIL"}))


def test_no_noise_by_default(pii: PiiChecker, ask: Ask) -> None:
    text = "On 12 May 2024 Ann Lee of Siemens saw https://www.example.com/a in Berlin."
    assert ask(pii, text) == []
    assert ask(PiiChecker(PiiChecker.Params(engine="presidio")), text) == []
    assert not PiiChecker.Params().entities & {"URL", "DATE_TIME", "UUID"}


@pytest.mark.parametrize("engine", ["native", "both", "presidio"])
def test_names_where_the_policy_asks_for_them(seen: Seen, engine: str) -> None:
    checker = PiiChecker(PiiChecker.Params.model_validate({"engine": engine, "names": True}))
    text = "Hello, my name is Priya Sharma, I live in Rotterdam and my card is 4111 1111 1111 1111."
    assert seen(checker, text) == {
        "PERSON": "Priya Sharma", "LOCATION": "Rotterdam", "CREDIT_CARD": "4111 1111 1111 1111",
    }  # fmt: skip
    assert "names-" in checker.version
    only = PiiChecker(PiiChecker.Params.model_validate({"engine": engine, "names": True, "entities": ["PERSON"]}))
    assert seen(only, text) == {"PERSON": "Priya Sharma"}


def test_the_whole_of_presidio_finds_what_its_analyzer_finds(seen: Seen) -> None:
    checker = PiiChecker(
        PiiChecker.Params(engine="presidio", entities=frozenset({"DATE_TIME", "URL", "US_SSN", "EMAIL_ADDRESS"}))
    )
    text = "Seen on 05/17/2024 at https://www.example.com/a by jane.doe@example.com, ssn 536-22-8145"
    found = seen(checker, text)
    assert found["DATE_TIME"] == "05/17/2024"
    assert found["EMAIL_ADDRESS"] == "jane.doe@example.com"
    assert found["US_SSN"] == "536-22-8145"
    assert "URL" in found


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"entities": ["PERSON"]}, "nobody looks for PERSON: set names: true"),
        ({"entities": ["URL"]}, "only the presidio engine"),
        ({"entities": ["PL_PESEL", "MX_CURP"], "engine": "presidio"}, "use engine: both"),
    ],
)
def test_an_entity_that_nobody_would_look_for_is_refused(params: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        PiiChecker.Params.model_validate(params)


def test_redaction_and_pseudonyms_of_names() -> None:
    policy = Policy("p", "1", "d", (CheckerSpec("pii", "pii"),), (
        Rule("who", "pii", Action.REDACT, categories=frozenset({"PERSON"}), operator=Operator("replace")),
    ))  # fmt: skip
    checker = PiiChecker(PiiChecker.Params(names=True))
    text = "\U0001f600 Dear Mar\u00eda Gonz\u00e1lez, Priya Sharma called."
    (findings,) = checker.check([Item(Text(text), Stage.OUTPUT)])
    result = CheckResult("pii", checker.version, Stage.OUTPUT, Status.OK, tuple(findings))
    found = redactions(policy, Context.of(Request(Text(""))), [result], Stage.OUTPUT, text)
    assert redact(text, found) == "\U0001f600 Dear [PERSON], [PERSON] called."


def test_missing_presidio_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"genguard\[pii\]"):
        PiiChecker(PiiChecker.Params(engine="both"))
    assert "presidio" not in PiiChecker(PiiChecker.Params()).version


def test_one_finding_for_one_stretch(pii: PiiChecker, ask: Ask) -> None:
    text = "Reach me: tel +49 30 901820, card 4111 1111 1111 1111, account 4111111111111111."
    found = ask(pii, text)
    spans = [finding.span for finding in found]
    assert len(set(spans)) == len(spans)
    assert [finding.category for finding in found] == ["PHONE_NUMBER", "CREDIT_CARD", "CREDIT_CARD"]
