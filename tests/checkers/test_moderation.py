"""A moderation endpoint: a real server on this machine that answers well, late, wrongly or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from guard.checkers import endpoint
from guard.checkers.moderation import ModerationChecker
from guard.errors import ConfigError, MissingExtra, OperationError
from guard.isolate import Workers
from guard.types import CheckerSpec, Finding, Item, Stage, Status, Text
from tests.serving import Server, serving

SECRET = "my secret text"
PARAMS = ModerationChecker.Params


def moderated(text: str) -> dict[str, Any]:
    """A small moderation model: the share of a text that is a rude word."""
    score = min(1.0, text.count("rude") / 2)
    scores = {
        "harassment": score,
        "hate/threatening": score / 2,
        "sexual/minors": 0.001,
        "illicit": None,
        "brand-new": 0.0,
    }
    return {"flagged": score > 0.4, "categories": {}, "category_scores": scores}


def good(body: Any) -> tuple[int, dict[str, str], Any]:
    return 200, {}, {"id": "m", "model": "tiny", "results": [moderated(text) for text in body["input"]]}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(good) as made:
        yield made


def checker(server: Server, **params: Any) -> ModerationChecker:
    return ModerationChecker(PARAMS(base_url=server.url, **params))


def ask(made: ModerationChecker, *texts: str) -> list[list[Finding]]:
    return made.check([Item(Text(text), Stage.OUTPUT) for text in texts])


def test_scores_come_back_under_our_names(server: Server) -> None:
    made = checker(server, model="omni", min_score=0.5)
    nothing, empty, rude = ask(made, "Good morning!", "  ", "rude rude")
    assert nothing == empty == []
    assert {it.category: it.score for it in rude} == {"harassment": 1.0, "threat": 0.5, "unsafe": 1.0}
    assert all(it.span == (0, 9) and it.message for it in rude)
    [(path, _, body)] = server.asked  # several texts, one request
    assert (path, body) == ("/v1/moderations", {"model": "omni", "input": ["Good morning!", "rude rude"]})
    assert made.version == "1+omni"


def test_what_the_endpoint_flags_is_reported_however_low_its_score(server: Server) -> None:
    [found] = ask(checker(server, min_score=0.9), "rude")
    assert [(it.category, it.score) for it in found] == [("unsafe", 0.5)]


def test_a_category_that_is_new_there_is_unsafe(server: Server) -> None:
    server.reply = lambda body: (200, {}, {"results": [{"flagged": False, "category_scores": {"brand-new": 0.7}}]})
    assert [(it.category, it.score) for it in ask(checker(server), "x")[0]] == [("unsafe", 0.7)]


def test_the_key_comes_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"the environment variable MY_KEY \(api_key_env\) is not set"):
        checker(server, api_key_env="MY_KEY")
    monkeypatch.setenv("MY_KEY", "sk-123\n")
    ask(checker(server, api_key_env="MY_KEY"), "x")
    assert server.asked[0][1]["Authorization"] == "Bearer sk-123"
    ask(checker(server), "x")
    assert "Authorization" not in server.asked[1][1]


def test_long_texts_go_in_windows(server: Server) -> None:
    text = "kettle " * 400 + "rude rude" + " kettle" * 400
    [found] = ask(checker(server, max_chars=1000), text)
    place = text.index("rude rude")
    assert {it.category for it in found} == {"harassment", "threat", "unsafe"}
    assert all(it.span and it.span.start <= place and it.span.end >= place + 9 for it in found)
    assert all(len(sent) <= 1000 for _, _, body in server.asked for sent in body["input"])
    assert server.asked[-1][2]["input"][-1].endswith("kettle")


def test_many_texts_go_in_several_requests_in_order(server: Server) -> None:
    results = ask(checker(server), *["rude rude" if number % 3 == 0 else "fine" for number in range(70)])
    assert [bool(found) for found in results] == [number % 3 == 0 for number in range(70)]
    assert [len(body["input"]) for _, _, body in server.asked] == [32, 32, 6]


def test_any_string_can_be_sent(server: Server) -> None:
    assert ask(checker(server), "a\ud800\x00b") == [[]]


def test_a_busy_endpoint_is_asked_again(server: Server) -> None:
    answers: Iterator[tuple[int, dict[str, str], Any]] = iter([(503, {}, {}), (429, {"Retry-After": "0"}, {})])
    server.reply = lambda body: next(answers, None) or good(body)
    assert ask(checker(server), "rude rude")[0]
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "asked", "words"),
    [
        (500, 3, "answered 500"),
        (401, 1, "answered 401: check the key"),
        (404, 1, "answered 404: check base_url and model"),
        (400, 1, "answered 400"),
        (302, 1, "answered 302"),
    ],
)
def test_a_refusal_is_an_error(server: Server, status: int, asked: int, words: str) -> None:
    server.reply = lambda body: (status, {"Location": f"{server.url}/elsewhere"}, {"error": {"message": SECRET}})
    with pytest.raises(OperationError) as raised:
        ask(checker(server), SECRET)
    assert str(raised.value) == f"the endpoint at 127.0.0.1 {words}"
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        ([], "not one result for each of 1 texts"),
        ({"results": []}, "not one result for each of 1 texts"),
        ({"results": [{}]}, "without category_scores or flagged"),
        ({"results": [{"flagged": False, "category_scores": {}}]}, "without category_scores or flagged"),
        ({"results": [{"category_scores": {"hate": 0.1}}]}, "without category_scores or flagged"),
        ({"results": [{"flagged": False, "category_scores": {"hate": "high"}}]}, "a score that is no number"),
        ({"results": [{"flagged": False, "category_scores": {"hate": True}}]}, "a score that is no number"),
        (b'{"results": [{"flagged": false, "category_scores": {"hate": NaN}}]}', "a score that is no number"),
        ({"results": [{"flagged": False, "category_scores": {"hate": 1.5}}]}, "a score outside 0 to 1"),
        ({"results": [{"flagged": False, "category_scores": {"hate": None}}]}, "without a score"),
        (b" " * (endpoint.LARGEST + 1), "more than 4194304 bytes"),
    ],
)
def test_nonsense_is_an_error(server: Server, answer: Any, words: str) -> None:
    server.reply = lambda body: (200, {}, answer)
    with pytest.raises(OperationError, match=words) as raised:
        ask(checker(server), SECRET)
    assert SECRET not in str(raised.value)


def test_an_endpoint_that_is_slow_or_away_is_an_error_in_time(server: Server) -> None:
    release = threading.Event()

    def late(body: Any) -> tuple[int, dict[str, str], Any]:
        release.wait(20)
        return good(body)

    server.reply = late
    began = time.monotonic()
    with pytest.raises(OperationError, match="did not answer in time"):
        ask(checker(server, request_timeout=0.3), SECRET)
    assert time.monotonic() - began < 5
    release.set()
    with pytest.raises(OperationError, match=r"cannot be asked \(ConnectError\)"):
        ask(ModerationChecker(PARAMS(base_url="http://127.0.0.1:9/v1", request_timeout=0.5)), SECRET)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/v1", "must begin with http"),
        ("https:///v1", "must begin with http"),
        ("https://user:password@host/v1", "policies are recorded"),
        ("https://host/v1?key=1", "policies are recorded"),
    ],
)
def test_addresses_that_are_refused(url: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PARAMS(base_url=url)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'genguard\[endpoints\]'"):
        ModerationChecker(PARAMS(base_url="http://127.0.0.1/v1"))


def test_a_failed_request_is_no_pass(server: Server, tmp_path: Path) -> None:
    workers = Workers([CheckerSpec("m", "moderation", {"base_url": server.url})], home=tmp_path)
    try:
        [[fine]] = workers.check(Stage.INPUT, [Item(Text("rude rude"), Stage.INPUT)])
        server.reply = lambda body: (500, {}, {})
        [[failed]] = workers.check(Stage.INPUT, [Item(Text(SECRET), Stage.INPUT)])
    finally:
        workers.close()
    assert (fine.status, len(fine.findings)) == (Status.OK, 3)
    assert (failed.status, failed.error) == (Status.ERROR, "the endpoint at 127.0.0.1 answered 500")
