"""Streams without processes: the state machine, real checkers in this process, and the whole-answer path beside it.

The properties of `tests/test_stream.py` and of the bench's part `stream` are the same, over the same policies and texts.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from guard.answers import settled, validated
from guard.audit.vault import Vault
from guard.checkers.bias import BiasChecker
from guard.checkers.pii import PiiChecker
from guard.checkers.secrets import SecretsChecker
from guard.checkers.toxicity import ToxicityChecker
from guard.flow import Verdict, judge
from guard.isolate import Reader
from guard.keys import KeyRing
from guard.policy.decide import matches, redact
from guard.policy.load import load_model
from guard.policy.schema import to_policy
from guard.redactor import Keys, Redactor
from guard.source import END, Source
from guard.stream import Plan, Stream
from guard.types import Action, CheckResult, Generated, Item, Policy, Request, Stage, Status, Text
from guard.worker import look, streams
from tests.checkers.personal.test_native import PIECES as PERSONAL
from tests.checkers.test_secrets import PIECES as SECRETS

OWN: Any = (
    {"category": "EMPLOYEE", "pattern": r"E-\d{4,6}"},
    {"category": "PAIR", "pattern": r"\d\d", "score": 0.6},  # a chain: where a pair begins depends on those before it
    {"category": "PROJECT", "words": ("blue harvest", "O'Neil")},
)
MAKERS: Mapping[str, Any] = {
    "pii": lambda: PiiChecker(PiiChecker.Params(engine="native")),
    "own": lambda: PiiChecker(PiiChecker.Params(engine="native", entities=frozenset({"IBAN_CODE"}), recognizers=OWN)),
    "both": lambda: PiiChecker(PiiChecker.Params(engine="both")),
    "names": lambda: PiiChecker(PiiChecker.Params(engine="native", names=True)),
    "secrets": lambda: SecretsChecker(SecretsChecker.Params()),
    "toxicity": lambda: ToxicityChecker(ToxicityChecker.Params()),
    "bias": lambda: BiasChecker(BiasChecker.Params()),
}
PROMPT = "Ann Lee writes from 4155550134 to bob@mail.example, see E-4711."
OPERATORS: Sequence[Any] = (
    "replace", "redact", "mask", {"name": "mask", "chars_to_mask": 4, "from_end": True}, "hash", "encrypt", "pseudonym",
    {"name": "replace", "new_value": "[1]"}, {"name": "replace", "new_value": "PERSON"},
)  # fmt: skip
WHENS = ("finding.score > 0.7", 'finding.category != "PAIR"', "item.length < 60", 'request.purpose == "x"')
OTHER = [
    "I will kill you. ", "You are a stupid idiot! ", "What a nice day. ", "E-47111", "E-4", "711", "blue ", "harvest", "O'Neil",
    '"', "{", "}", "[", "]", "\\u00e9", "\\", "\\n", "\\ud83d\\ude00", ":", "\U0001f469\u200d\U0001f467", "\u0308", "\u202e",
    "[EMAIL_ADDRESS_1]", "PHONE_NUMBER_1", "[PHONE_NUMBER", "_1]", "EMPLOYEE_1", "2", "Ann Lee", "Dr. Ann", " Lee",
    "\u0664\u0661", "12", "34 56", "sk-", "!?", "\u2026", "AKIA", "=", "a@b",
]  # fmt: skip
TEXTS = st.lists(st.one_of(*map(st.sampled_from, (PERSONAL, SECRETS, OTHER))), max_size=9).map("".join)


@functools.cache
def checker(name: str) -> Any:
    """A real checker, made once."""
    return MAKERS[name]()


@functools.cache
def keys() -> KeyRing:
    """Keys in a folder of their own."""
    return KeyRing(Path(tempfile.mkdtemp(prefix="guard-streams-")))


@st.composite
def policies(draw: st.DrawFn, names: Sequence[str] = tuple(MAKERS)) -> tuple[list[str], list[dict[str, Any]], str]:
    """What `policy` takes: policies over the real checkers, with rules of every kind."""
    used = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    rules: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 3))):
        action = draw(st.sampled_from(["redact", "redact", "redact", "annotate", "block", "review"]))
        rule: dict[str, Any] = {"id": f"r{number}", "checker": draw(st.sampled_from(used)), "action": action}
        rule |= {"stage": "output", "mode": draw(st.sampled_from(["enforce"] * 5 + ["shadow"]))}
        if action == "redact":
            rule["operator"] = draw(st.sampled_from(OPERATORS))
        if draw(st.integers(0, 4)) == 4:
            rule["when"] = draw(st.sampled_from(WHENS))
        rules.append(rule)
    if draw(st.booleans()) and (who := [name for name in used if name in ("pii", "own", "both")]):
        shape = draw(st.sampled_from(["label", "same"]))
        operator = {"name": "pseudonym", "restore": True, "shape": shape}
        rules.append({"id": "in", "checker": who[0], "stage": "input", "action": "redact", "operator": operator})
    release = draw(st.sampled_from(["strict", "optimistic"]))
    return used, rules, release


def policy(used: Sequence[str], rules: Sequence[Mapping[str, Any]], release: str = "strict") -> Policy:
    """A policy from a few words."""
    data = {"name": "p", "version": "1", "checkers": {name: {} for name in used}, "rules": list(rules)}
    for name in used:
        data["checkers"][name] = {"use": "pii"} if name in ("own", "both", "names") else {}  # type: ignore[index]
    return to_policy(load_model({**data, "stream": {"release": release}}))


def results(policy: Policy, item: Item, only: frozenset[str] | None = None) -> list[CheckResult]:
    """What the checkers of a policy say, as workers would."""
    found = []
    for spec in policy.checkers:
        if only is None or spec.name in only:
            [answer] = look(checker(spec.name), [item])
            sure = None
            if item.unfinished:
                sure, answer = settled(item, answer)
            findings = validated(item, answer)
            found.append(CheckResult(spec.name, "1", item.stage, Status.OK, findings, settled=sure))
    return found


class Told:
    """A model that yields what it is told."""

    name = "told"

    def __init__(self, pieces: Sequence[Any]) -> None:
        self._pieces = pieces

    def stream(self, request: Request) -> Iterator[Any]:
        """The pieces."""
        return iter(self._pieces)

    def generate(self, request: Request) -> Generated:
        """Never asked."""
        raise NotImplementedError(request)


@dataclass
class Run:
    """How a stream went: what left before the end, after each piece; the text it came to; the longest that was held."""

    pieces: list[str]
    text: str
    held: list[int]
    looks: int
    state: Stream


def start(policy: Policy) -> tuple[Request, Redactor]:
    """A request, and the redactor that its prompt has gone through."""
    request = Request(Text(PROMPT), id="r")
    redactor = Redactor(Keys(keys(), Vault(keys()), "r", None), request.prompt)
    asked = Item(request.prompt, Stage.INPUT)
    redactor.redacted(
        request.prompt, judge(policy, request, (asked,), tuple(results(policy, asked))).cuts(Stage.INPUT), Stage.INPUT
    )
    return request, redactor


def run(policy: Policy, pieces: Sequence[Any]) -> Run:
    """Feed pieces to a stream, as `guard.streaming` does."""
    request, redactor = start(policy)
    readers = {spec.name: Reader(text=True, streams=streams(checker(spec.name))) for spec in policy.checkers}
    state = Stream(Plan.of(policy, readers), request, redactor)
    source = Source(Told(pieces), request)
    left: list[str] = []
    held: list[int] = []
    looks = 0
    while True:
        piece = source.pull()
        text = source.text(piece)
        wanted = state.feed(text) if text else None
        if piece is END:
            break
        if wanted is not None:
            looks += 1
            left.append(state.seen(wanted, results(policy, wanted.item, wanted.checkers)))
        held.append(state.held)
        if state.action is Action.BLOCK:
            break
    return Run(left, state.text, held, looks, state)


def whole(policy: Policy, text: str) -> tuple[Verdict, str, Redactor]:
    """The whole-answer path: the verdict, and what it would release (were it not withheld)."""
    request, redactor = start(policy)
    answer = Item(Text(text), Stage.OUTPUT)
    seen = redactor.foreign(results(policy, answer), answer.content)
    verdict = judge(policy, request, (answer,), tuple(seen))
    content, _ = redactor.restored(redactor.redacted(answer.content, verdict.cuts(Stage.OUTPUT), Stage.OUTPUT))
    assert isinstance(content, Text)
    return verdict, content.text, redactor


def chunks(text: str, sizes: Sequence[int], *, encode: bool) -> list[Any]:
    """A text in pieces of the given sizes, over and over; as bytes of UTF-8, cut anywhere, or as characters."""
    data: Any = text.encode() if encode else text
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def hold(policy: Policy, pieces: Sequence[Any], text: str) -> Run:
    """The property: what left is how the whole answer's release begins, and nothing else has left."""
    done = run(policy, pieces)
    verdict, release, redactor = whole(policy, done.text)
    left = "".join(done.pieces)
    stopped = done.state.action is Action.BLOCK
    assert text == done.text or (stopped and text.startswith(done.text))
    if stopped:
        assert verdict.decision.action is Action.BLOCK
    assert verdict.decision.action >= done.state.action or policy.stream.optimistic
    if verdict.decision.action >= Action.REVIEW and not policy.stream.optimistic:
        assert left == "", "strict, and something left of an answer that is withheld"
    assert release.startswith(left), (left, release)
    # No character inside a finding that withholds has left, where the checker can be asked in midstream.
    stops = [
        match.finding.span.start
        for match in matches(policy, verdict.context, verdict.results)
        if match.action >= Action.REVIEW and match.finding.span and streams(checker(match.result.checker))
        and match.rule in Plan.of(policy, {match.result.checker: Reader(text=True, streams=True)}).policy.rules
    ]  # fmt: skip
    if stops and not redactor.returning:
        cuts = [cut for cut in verdict.cuts(Stage.OUTPUT) if cut.end <= min(stops)]  # type: ignore[union-attr]
        before = Text(done.text[: min(stops)])
        put = redactor.redacted(before, cuts, Stage.OUTPUT)
        assert isinstance(put, Text)
        assert put.text.startswith(left), (left, put.text)
    return done


__all__ = ["MAKERS", "TEXTS", "chunks", "hold", "policies", "policy", "redact", "run", "whole"]
