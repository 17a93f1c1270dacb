"""Streams through a Guard: iterators, event loops, the record, and what happens when somebody goes away."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard import Guard, ScriptedGenerator, State, Text, review
from guard.audit.verify import verify
from guard.errors import CallerError, GenerationError
from guard.review.history import history

TEXT = "Write to ann.lee@mail.example or call, she said. Then we spoke of other things, at length."
RELEASED = TEXT.replace("ann.lee@mail.example", "[EMAIL_ADDRESS]")
PII = {"use": "pii", "params": {"engine": "native"}}
MAIL = {"id": "mail", "checker": "pii", "stage": "output", "category": "EMAIL_ADDRESS", "action": "redact"}
CARD = {"id": "card", "checker": "pii", "stage": "output", "category": "CREDIT_CARD", "action": "block"}
IBAN = {"id": "iban", "checker": "pii", "stage": "output", "category": "IBAN_CODE", "action": "review"}
STOPS: dict[str, Any] = {"rules": [MAIL, CARD, IBAN], "stream": {"release": "optimistic", "notice": "[withheld]"}}
BAD = "Write to ann.lee@mail.example now. The card is 4111 1111 1111 1111, he said. And more follows, never read."
Make = Callable[..., Guard]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    opened: dict[str, Guard] = {}

    def build(**changes: Any) -> Guard:
        key = repr(changes)
        if key not in opened:
            policy = {"name": "p", "version": "1", "checkers": {"pii": PII}, "rules": [MAIL], **changes}
            opened[key] = Guard(policy, home=tmp_path_factory.mktemp("home"))
        return opened[key]

    yield build
    for one in opened.values():
        one.close()


def words(text: str) -> Iterator[str]:
    for word in text.split(" "):
        yield f"{word} " if word != text.rsplit(" ", 1)[-1] else word


def kinds(g: Guard, request_id: str) -> list[str]:
    return [entry.kind for entry in sorted(g.ledger.reader.history(request_id), key=lambda it: it.seq)]


def closing(g: Guard, request_id: str) -> Any:
    return max(g.ledger.reader.history(request_id), key=lambda it: it.seq)


def test_a_generator_function_is_wrapped_into_a_stream(make: Make) -> None:
    g = make()

    @g.wrap
    def answer(prompt: str) -> Iterator[str]:
        assert prompt == "hi"
        yield from words(TEXT)

    stream = answer("hi", id="plain")
    with pytest.raises(CallerError, match="not ended"):
        _ = stream.outcome
    pieces = list(stream)
    assert "".join(pieces) == RELEASED
    assert len(pieces) > 5
    assert stream.outcome.content == Text(RELEASED)
    assert stream.finish_reason == "stop"
    assert kinds(g, "plain") == ["opening", "generation"]
    entry = closing(g, "plain")
    assert entry.fields["stream"]["opening"] == entry.seq - 1
    assert entry.fields["stream"]["pieces"] == len(pieces) - 1  # the last leaves after the entry
    assert entry.fields["stream"]["finish"] == "stop"
    assert list(answer("hi", id="plain")) == [RELEASED]  # the same request, from the record
    assert verify(g.ledger.engine, g.ledger.log.vkey, vault=g.ledger.log.vault).ok


def test_bytes_however_they_are_cut(make: Make) -> None:
    data = f"\u00e9\U0001f469 {TEXT}".encode()

    def answer(prompt: str) -> Iterator[bytes]:
        for at in range(len(data)):
            yield data[at : at + 1]

    assert "".join(make().wrap(answer)("hi")) == f"\u00e9\U0001f469 {RELEASED}"


def test_models_that_answer_at_once_can_be_streamed(make: Make) -> None:
    g = make()
    assert list(g.wrap(ScriptedGenerator([TEXT])).stream("hi")) == [RELEASED]
    assert "".join(g.wrap(lambda _: words(TEXT)).stream("hi")) == RELEASED
    assert g.wrap(lambda _: words(TEXT))("hi").content == Text(RELEASED)
    with pytest.raises(CallerError, match="no model"):
        g.stream("hi")


@pytest.mark.parametrize("text", [BAD, BAD.replace("4111 1111 1111 1111", "DE89370400440532013000")])
def test_strict_lets_nothing_go_where_something_may_still_stop_it(make: Make, text: str) -> None:
    g = make(rules=[MAIL, CARD, IBAN])
    stream = g.wrap(lambda _: words(text)).stream("hi")
    assert list(stream) == []
    assert stream.outcome.state is (State.BLOCKED if "4111" in text else State.HELD)
    assert stream.finish_reason == "content_filter"
    fine = g.wrap(lambda _: words(TEXT)).stream("hi")
    assert list(fine) == [RELEASED]


def test_a_block_stops_the_model_at_once(make: Make) -> None:
    g, given = make(**STOPS), []

    def answer(prompt: str) -> Iterator[str]:
        for word in words(BAD):
            given.append(word)
            yield word

    stream = g.wrap(answer).stream("hi", id="blocked")
    pieces = list(stream)
    assert pieces[-1] == "[withheld]"
    assert "".join(pieces[:-1]).startswith("Write to [EMAIL_ADDRESS] now.")
    assert "4111" not in "".join(pieces)
    assert "never" not in "".join(given)
    assert stream.outcome.state is State.BLOCKED
    assert stream.finish_reason == "content_filter"
    entry = closing(g, "blocked")
    assert entry.fields["stream"]["finish"] == "content_filter"
    left = g.ledger.reader.body(entry.seq, "left")
    assert left == Text("".join(pieces[:-1]))


def test_a_review_holds_the_rest_and_opens_a_case(make: Make) -> None:
    g = make(**STOPS)
    text = BAD.replace("4111 1111 1111 1111", "DE89370400440532013000")
    stream = g.wrap(lambda _: words(text)).stream("hi", id="held")
    pieces = list(stream)
    assert pieces[-1] == "[withheld]"
    assert "DE89" not in "".join(pieces)
    assert stream.outcome.state is State.HELD
    assert stream.outcome.case is not None
    assert closing(g, "held").fields["stream"]["left"] == len("".join(pieces[:-1]))  # of its body `release`
    case, (engine, log) = stream.outcome.case, (g.ledger.engine, g.ledger.log)
    review.claim(engine, log, reviewer="rita", case_id=case)
    review.rule(engine, log, case_id=case, reviewer="rita", ruling="approve", rationale="an example")
    assert g.collect("held").content == Text(text.replace("ann.lee@mail.example", "[EMAIL_ADDRESS]"))


def test_a_model_that_fails_in_midstream(make: Make) -> None:
    def answer(prompt: str) -> Iterator[str]:
        yield from words(TEXT)
        raise TimeoutError("upstream")

    g = make()
    stream = g.wrap(answer).stream("hi", id="failed")
    pieces = []
    with pytest.raises(TimeoutError, match="upstream"):
        for piece in stream:
            pieces.append(piece)
    assert RELEASED.startswith("".join(pieces))
    assert kinds(g, "failed") == ["opening", "failure"]
    entry = closing(g, "failed")
    assert entry.fields["stream"]["finish"] == "error"
    assert entry.fields["error"] == "TimeoutError"
    assert g.ledger.reader.body(entry.seq, "left") == Text("".join(pieces))
    with pytest.raises(CallerError, match="under way, or broke off"):
        list(g.wrap(lambda _: words(TEXT)).stream("hi", id="failed"))


@pytest.mark.parametrize("wrong", [b"abc \xff", 7])
def test_garbage_is_a_failure(make: Make, wrong: Any) -> None:
    def answer(prompt: str) -> Iterator[Any]:
        yield wrong

    with pytest.raises((GenerationError, CallerError), match="UTF-8"):
        list(make().wrap(answer)("hi"))


@pytest.mark.parametrize("how", ["close", "collected", "with"])
def test_who_goes_away_is_on_record(make: Make, how: str) -> None:
    g, ended = make(), []

    def answer(prompt: str) -> Iterator[str]:
        try:
            yield from words(TEXT)
        finally:
            ended.append(True)

    request_id = f"gone-{how}"
    stream = g.wrap(answer).stream("hi", id=request_id)
    first = next(stream)
    if how == "close":
        stream.close()
    elif how == "with":
        with stream:
            pass
    else:
        del stream
        gc.collect()
    assert ended == [True]
    entry = closing(g, request_id)
    assert entry.fields["stream"] == {
        "opening": entry.seq - 1,
        "pieces": 1,
        "left": len(first),
        "finish": "disconnected",
    }
    assert g.ledger.collect(request_id).content == Text(first)


def test_a_stream_that_broke_off_shows(make: Make) -> None:
    """A process that died in midstream leaves an opening without an end."""
    g = make()
    stream = g.wrap(lambda _: words(TEXT)).stream("hi", id="crash")
    next(stream)
    [step] = history(g.ledger.reader.history("crash"))
    assert "not on record" in step.title
    stream.close()
    assert all("not on record" not in step.title for step in history(g.ledger.reader.history("crash")))


def test_event_loops(make: Make) -> None:
    g = make()

    async def answer(prompt: str) -> AsyncIterator[str]:
        for word in words(TEXT):
            await asyncio.sleep(0)
            yield word

    async def whole() -> list[str]:
        return [piece async for piece in g.wrap(answer)("hi", id="loop")]

    assert "".join(asyncio.run(whole())) == RELEASED

    async def blocking() -> list[str]:
        stream = g.astream_of(g.wrap(lambda _: words(TEXT))._generator, "hi", {})
        async with stream:
            return [piece async for piece in stream]

    assert "".join(asyncio.run(blocking())) == RELEASED
    with pytest.raises(CallerError, match="astream"):
        list(g.stream_of(g.wrap(answer)._generator, "hi", {}))


@pytest.mark.parametrize("how", ["cancel", "aclose"])
def test_cancelling_stops_at_once_and_is_on_record(make: Make, how: str) -> None:
    g, ended = make(), []

    async def answer(prompt: str) -> AsyncIterator[str]:
        try:
            for word in words(TEXT):
                yield word
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    async def main() -> str:
        stream = g.wrap(answer)("hi", id=how)
        got = [await anext(stream)]
        if how == "aclose":
            await stream.aclose()
            return str(got[0])

        async def read() -> None:
            async for piece in stream:
                got.append(piece)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(), 2)
        return "".join(got)

    left = asyncio.run(main())
    assert ended == [True]
    for _ in range(200):
        if kinds(g, how)[-1] == "generation":
            break
        asyncio.run(asyncio.sleep(0.05))
    entry = closing(g, how)
    assert entry.fields["stream"]["finish"] == "disconnected"
    assert entry.fields["stream"]["left"] == len(left)
    assert RELEASED.startswith(left)
    assert entry.fields["state"] == "released"


def test_the_documentation_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    document = (Path(__file__).parent.parent / "guard" / "STREAM.md").read_text("utf-8")
    program, printed = document.split("```python\n")[1].split("```")[0], document.split("```\n")[2].split("```")[0]
    monkeypatch.setenv("GUARD_HOME", str(tmp_path))
    exec(program, {})
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("place", ["start", "end"])
def test_a_stream_carries_the_label_that_its_whole_answer_would(make: Make, place: str) -> None:
    g = make(stamp={"label": {"text": place}})
    stream = g.wrap(lambda _: words(TEXT)).stream("hi")
    pieces = list(stream)
    whole = g.wrap(lambda _: TEXT)("hi").content
    assert isinstance(whole, Text)
    assert whole.text != RELEASED
    assert "".join(pieces) == whole.text
    assert stream.outcome.content == whole
    assert (len(pieces) == 1) is (place == "start")
