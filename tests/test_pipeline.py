"""The whole flow with real parts: processes, database, keys, stamps; only the model is scripted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import guard
from guard import Action, Guard, Image, Outcome, Request, ScriptedGenerator, State, Text, review
from guard.audit.erase import Why, erase_subject
from guard.audit.verify import verify
from guard.cases import blank_png
from guard.envelope import outcome_data, result_from
from guard.errors import CallerError, GenerationError, IdempotencyConflict, RecordError
from guard.policy.decide import Context, decide
from guard.policy.load import from_document
from guard.store.engine import reading
from guard.store.tables import LogBody
from tests.racing import race

POLICY: dict[str, Any] = {
    "name": "test",
    "version": "1",
    "checkers": {
        "mask": {"use": "sample-words", "params": {"words": ["4111", "Ann"], "category": "NUMBER"}},
        "hold": {"use": "sample-words", "params": {"words": ["doubt"], "score": 0.9}},
        "stop": {"use": "sample-words", "params": {"words": ["never"]}},
        "quiet": {"use": "sample-words", "params": {"words": ["maybe"]}},
    },
    "rules": [
        {"id": "mask", "checker": "mask", "action": "redact"},
        {"id": "hold", "checker": "hold", "action": "review"},
        {"id": "stop", "checker": "stop", "action": "block"},
        {"id": "quiet", "checker": "quiet", "action": "block", "mode": "shadow"},
    ],
}

Make = Callable[..., Guard]


@pytest.fixture
def make(sample_plugin: str, tmp_path: Path) -> Iterator[Make]:
    opened: list[Guard] = []

    def build(policy: dict[str, Any] | None = None, **more: Any) -> Guard:
        more.setdefault("store", f"sqlite:///{tmp_path / 'record.db'}")
        opened.append(Guard(policy or POLICY, home=tmp_path / "home", **more))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


def leaf(g: Guard, outcome: Outcome) -> dict[str, Any]:
    entry = g.ledger.reader.entry(outcome.receipt.entry)
    assert entry is not None
    return dict(entry.fields)


def sound(g: Guard) -> bool:
    return verify(g.ledger.engine, g.ledger.log.vkey, vault=g.ledger.log.vault).ok


def text_of(content: object) -> str:
    assert isinstance(content, Text)
    return content.text


def decide_case(g: Guard, case: str | None, ruling: str) -> None:
    log = g.ledger.log
    review.claim(g.ledger.engine, log, reviewer="kim", case_id=case)
    review.rule(g.ledger.engine, log, case_id=str(case), reviewer="kim", ruling=ruling, rationale="looked at it")


MOMENT = datetime(2026, 11, 24, tzinfo=UTC)
GROUNDED: dict[str, Any] = {
    "name": "grounded",
    "version": "1",
    "checkers": {"grounding": {"params": {"source": "sources"}, "stages": ["output"]}},
    "rules": [{"id": "figure", "checker": "grounding", "action": "review"}],
}


def values(data: object, path: str = "") -> dict[str, object]:
    """The plain values in nested data, by their paths."""
    if isinstance(data, dict | list):
        items = data.items() if isinstance(data, dict) else enumerate(data)
        return {place: value for name, part in items for place, value in values(part, f"{path}.{name}").items()}
    return {path: data}


def test_once_the_key_is_gone_nothing_confirms_a_guess(tmp_path: Path) -> None:
    """Not even for whoever has every other key, and has the same request guarded again to compare what is recorded."""

    def stored(name: str, words: str) -> dict[str, object]:
        store = f"sqlite:///{tmp_path / name}.db"
        with Guard("default", store=store, home=tmp_path / "home", clock=lambda: MOMENT) as g:
            g._stamper._clock = lambda: MOMENT
            answer = f"{words} wrote from {words[:4].lower()}@example.org."
            outcome = g.wrap(lambda _: answer)(f"About {words}?", id="r", requester="ann", purpose="chat")
            erased = outcome.receipt.entry
            found = values(leaf(g, outcome))
            with reading(g.ledger.engine) as connection:
                rows = connection.execute(select(LogBody).where(LogBody.seq == erased)).mappings().all()
            found |= values({str(row["role"]): dict(row) for row in rows}, "row")
            erase_subject(g.ledger.log, g.ledger.log.vault.pseudonym("ann"), Why("kim", "asked"))
        return found

    truth, again, other = stored("one", "Jane Roe"), stored("two", "Jane Roe"), stored("three", "John Doe")
    same = {path for path, value in truth.items() if again.get(path) == value}
    assert {".bodies.output.len", ".items.output.length", ".redactions.0.start", ".subject", ".request_id"} <= same
    assert {path for path in same if other.get(path) != truth[path]} == set()
    assert "row.output.lookup" in truth
    assert ".stamp.manifest_sha256" in truth


def test_sources_reach_the_checkers_and_are_sealed(make: Make) -> None:
    g = make(GROUNDED)
    told = g.wrap(lambda _: "It was 42.")
    first = told("say it", id="r", sources=["temperature 42"])
    assert first.state is State.RELEASED
    assert told("say it", id="r", sources=["temperature 42"]).replayed
    with pytest.raises(IdempotencyConflict):
        told("say it", id="r", sources=["temperature 43"])
    assert told("say it", sources="temperature 43").decision.rules == ("figure",)
    assert told("say it").decision.rules == ("on_error:grounding",)  # nothing to compare with is not clean
    assert g.check("It was 42.", sources=["42"]).state is State.RELEASED
    with pytest.raises(CallerError, match=r"sources\[0\] must be text"):
        told("say it", sources=[42])
    assert "temperature" not in json.dumps(leaf(g, first))
    sealed = g.ledger.reader.body(first.receipt.entry, "request")
    assert json.loads(text_of(sealed))["sources"] == ["temperature 42"]


def test_what_is_fine_is_released_stamped_and_recorded(make: Make) -> None:
    g = make()
    outcome = g.wrap(lambda prompt: f"you said {prompt}")(
        "hello", requester="user:1", purpose="chat", groups={"age": "40"}
    )
    assert (outcome.state, outcome.decision.action, outcome.content) == (
        State.RELEASED,
        Action.ALLOW,
        Text("you said hello"),
    )
    assert outcome.raise_for_action() is outcome
    assert outcome.stamp is not None
    made = {layer.kind: layer.status for layer in outcome.stamp.layers}
    # Nobody can mark what a function says, and so short a text has no fingerprint.
    assert made == {"manifest": "applied", "watermark": "not_applicable", "fingerprint": "not_applicable"}
    fields = leaf(g, outcome)
    assert fields["request"] == {"purpose": "chat", "groups": {"age": "40"}, "params": {}}
    assert fields["subject"] == g.ledger.log.vault.pseudonym("user:1")
    assert '"requester":"user:1"' in text_of(g.ledger.reader.body(outcome.receipt.entry, "request"))
    assert (fields["state"], fields["stage"], fields["content_kind"]) == ("released", "output", "text")
    assert sound(g)


def test_an_entry_says_where_and_for_whom_it_was_made_and_how_long_the_model_took(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARD_SYSTEM", "support-chat")
    monkeypatch.setenv("GUARD_ENVIRONMENT", "staging")
    g = make()

    def slowly(_: object) -> str:
        time.sleep(0.05)
        return "fine"

    fields = leaf(g, g.wrap(slowly)("hello", tenant="acme"))
    assert fields["deployment"] == {"system": "support-chat", "environment": "staging"}
    assert fields["request"]["tenant"] == "acme"
    assert 50 <= fields["generator"]["elapsed_ms"] < 60_000
    again = g.wrap(lambda _: "fine")
    again("hello", id="r", tenant="acme")
    with pytest.raises(CallerError, match="used before"):
        again("hello", id="r", tenant="other")
    with pytest.raises(CallerError, match="tenant must be text"):
        again("hello", tenant=3)


def test_the_prompt_is_redacted_before_the_model_sees_it_and_the_answer_after(make: Make) -> None:
    g, model = make(), ScriptedGenerator(["Ann, your number is 4111."])
    outcome = g.wrap(model)("I am Ann: 4111")
    assert model.seen[0].prompt == Text("I am [NUMBER]: [NUMBER]")
    assert outcome.content == Text("[NUMBER], your number is [NUMBER].")
    assert outcome.decision.rules == ("mask",)
    reader, seq = g.ledger.reader, outcome.receipt.entry
    assert reader.body(seq, "prompt") == Text("I am Ann: 4111")
    assert reader.body(seq, "output") == Text("Ann, your number is 4111.")
    assert reader.body(seq, "release") == outcome.content


def test_a_blocked_prompt_never_reaches_the_model(make: Make) -> None:
    g, model = make(), ScriptedGenerator(["answer"])
    outcome = g.wrap(model)("never")
    assert model.seen == []
    assert (outcome.state, outcome.content, outcome.stamp) == (State.BLOCKED, None, None)
    with pytest.raises(guard.Blocked, match="stop"):
        outcome.raise_for_action()
    assert leaf(g, outcome)["stage"] == "input"


def test_a_blocked_answer_is_recorded_and_not_released(make: Make) -> None:
    g = make()
    outcome = g.wrap(lambda _: "never ever")("hi")
    assert (outcome.state, outcome.content, outcome.decision.rules) == (State.BLOCKED, None, ("stop",))
    assert g.ledger.reader.body(outcome.receipt.entry, "output") == Text("never ever")
    assert g.ledger.reader.body(outcome.receipt.entry, "release") is None


def test_shadow_rules_are_recorded_and_change_nothing(make: Make) -> None:
    outcome = make().wrap(lambda _: "maybe")("hi")
    assert (outcome.state, outcome.decision.rules, outcome.decision.shadow) == (State.RELEASED, (), ("quiet",))


def test_a_held_answer_is_released_only_after_approval(make: Make) -> None:
    g = make()
    held = g.wrap(lambda _: "a doubt about Ann")("hi", id="r-1")
    assert (held.state, held.content, held.stamp) == (State.HELD, None, None)
    with pytest.raises(guard.HeldForReview, match="case"):
        held.raise_for_action()
    assert g.collect("r-1").state is State.HELD
    decide_case(g, held.case, "approve")
    released = g.collect("r-1")
    assert (released.state, released.content) == (State.RELEASED, Text("a doubt about [NUMBER]"))
    assert released.stamp is not None
    assert released.stamp.manifest is not None
    assert released.receipt.entry > held.receipt.entry  # the receipt of the ruling that let it out
    assert sound(g)


def test_a_rejected_answer_stays_in(make: Make) -> None:
    g = make()
    held = g.wrap(lambda _: "doubt")("hi")
    decide_case(g, held.case, "reject")
    assert (g.collect(held.request_id).state, g.collect(held.request_id).content) == (State.BLOCKED, None)


def test_a_held_prompt_goes_on_after_approval_once(make: Make) -> None:
    g, model = make(), ScriptedGenerator(["all right", "again"])
    say = g.wrap(model)
    held = say("I doubt it", id="r-2")
    assert (held.state, model.seen) == (State.HELD, [])
    decide_case(g, held.case, "approve")
    assert g.collect("r-2").content is None  # nothing was generated yet
    released = say("I doubt it", id="r-2")
    assert (released.state, released.content) == (State.RELEASED, Text("all right"))
    assert leaf(g, released)["kind"] == "continuation"
    assert leaf(g, released)["of"] == held.receipt.entry
    again = say("I doubt it", id="r-2")
    assert (again.content, again.replayed, len(model.seen)) == (Text("all right"), True, 1)


def test_an_approved_prompt_does_not_excuse_the_answer(make: Make) -> None:
    g = make()
    say = g.wrap(ScriptedGenerator(["never"]))
    decide_case(g, say("doubt", id="r").case, "approve")
    assert say("doubt", id="r").state is State.BLOCKED


def test_the_same_request_id_generates_once(make: Make) -> None:
    g, model = make(), ScriptedGenerator(["one", "two"])
    first = g.wrap(model)("hi", id="same", temperature=0.5)
    second = g.wrap(model)("hi", id="same", temperature=0.5)
    assert (second.content, second.replayed, len(model.seen)) == (Text("one"), True, 1)
    assert replace(second, replayed=False, proof=first.proof).stamp == first.stamp
    assert second.results[0].checker == first.results[0].checker
    for changed in ({"prompt": "ho"}, {"temperature": 0.6}, {"requester": "x"}):
        with pytest.raises(IdempotencyConflict):
            fields: dict[str, Any] = {"prompt": "hi", "id": "same", "temperature": 0.5, **changed}
            g.wrap(model)(fields.pop("prompt"), **fields)


def test_racing_callers_with_one_id_get_one_outcome(make: Make) -> None:
    g = make()
    outcomes = race(g)
    assert len(outcomes) == 4
    assert len({outcome.content for outcome in outcomes}) == 1
    assert [outcome.replayed for outcome in outcomes].count(False) == 1


def test_who_loses_a_race_for_an_id_gets_no_other_request_s_answer(make: Make) -> None:
    """Two callers chose one id for two requests: the second to be recorded is told, and learns nothing of the first."""
    g = make()

    def slow(prompt: str) -> str:
        assert g.wrap(lambda _: "for bob only")("what bob asked", id="one").state is State.RELEASED
        return "for ann"

    with pytest.raises(IdempotencyConflict):
        g.wrap(slow)("what ann asked", id="one")
    assert g.collect("one").content == Text("for bob only")


def test_async_functions_and_async_callers(make: Make) -> None:
    g = make(model=lambda prompt: prompt.upper())

    @g.wrap
    async def answer(prompt: str) -> str:
        await asyncio.sleep(0)
        return f"async {prompt}"

    async def main() -> list[Outcome]:
        return await asyncio.gather(*(answer(f"n{n}") for n in range(8)), g.agenerate("loud"))

    outcomes = asyncio.run(main())
    assert [outcome.content for outcome in outcomes] == [*(Text(f"async n{n}") for n in range(8)), Text("LOUD")]
    assert answer.__wrapped__.__name__ == "answer"
    with pytest.raises(CallerError, match="asynchronous"):
        make(model=answer._generator).generate("hi")


def test_models_make_text_bytes_and_images(make: Make) -> None:
    g, png = make({**POLICY, "checkers": {}, "rules": []}), blank_png()
    made = g.wrap(lambda _: png)("draw")
    assert isinstance(made.content, Image)
    assert made.content.data != png  # it carries its credential now
    assert g.wrap(lambda _: b"bytes of text")("x").content == Text("bytes of text")
    with pytest.raises(guard.GuardError, match="not UTF-8"):
        g.wrap(lambda _: b"\xff\x00")("x")
    with pytest.raises(guard.GuardError, match="returned int"):
        g.wrap(lambda _: 3)("x")
    with pytest.raises(CallerError, match="cannot wrap"):
        g.wrap(3)


def test_a_failing_model_is_recorded_and_its_error_goes_through(make: Make) -> None:
    g = make()

    def broken(prompt: str) -> str:
        raise ZeroDivisionError(f"with {prompt}")

    with pytest.raises(ZeroDivisionError):
        g.wrap(broken)("my secret", id="f")
    [entry] = g.ledger.reader.history("f")
    assert (entry.kind, entry.fields["error"]) == ("failure", "ZeroDivisionError")
    assert b"secret" not in entry.leaf
    assert g.wrap(lambda _: "fine")("my secret", id="f").content == Text("fine")  # and may be tried again


@pytest.mark.parametrize("on_error", ["review", "block", "allow"])
@pytest.mark.parametrize(
    ("use", "params", "words"),
    [
        ("sample-raise", {}, "ValueError in the checker"),
        ("sample-sleep", {}, "no answer within"),
        ("sample-exit", {}, "died"),
        ("sample-unbuildable", {}, "RuntimeError"),
        ("sample-nonsense", {"what": "nan"}, "score outside"),
        ("sample-nonsense", {"what": "span"}, "span outside"),
    ],
)
def test_a_failing_checker_leads_to_on_error(
    make: Make, use: str, params: dict[str, Any], words: str, on_error: str
) -> None:
    checker = {"use": use, "params": params, "timeout": "500ms", "stages": ["output"], "failures": 1}
    policy: dict[str, Any] = {"name": "p", "version": "1", "checkers": {"bad": checker}, "on_error": on_error}
    policy["rules"] = [{"id": "r", "checker": "bad", "stage": "output", "action": "annotate"}]
    g = make(policy)
    outcome = g.wrap(lambda _: "sleep")("hi")
    states = {"review": State.HELD, "block": State.BLOCKED, "allow": State.RELEASED}
    assert outcome.state is states[on_error]
    assert outcome.decision.degraded
    assert outcome.decision.rules == ("on_error:bad",)
    [result] = leaf(g, outcome)["results"]
    assert result["status"] == "error"
    assert words in result["error"]


def test_a_required_mark_that_cannot_be_made_withholds(make: Make) -> None:
    g = make({**POLICY, "stamp": {"text": ["manifest", "watermark"]}})
    outcome = g.wrap(lambda _: "fine")("hi")
    assert (outcome.state, outcome.content) == (State.BLOCKED, None)
    assert outcome.decision.rules == ("on_error:stamp",)
    assert "watermark" in str(outcome.results[-1].error)
    (g.keys.folder / "manifest.pem").chmod(0o644)
    fresh = make()
    outcome = fresh.wrap(lambda _: "fine")("hi")
    assert (outcome.state, outcome.content) == (State.BLOCKED, None)


def test_nothing_is_released_when_the_record_cannot_be_written(make: Make) -> None:
    g = make()
    g.wrap(lambda _: "fine")("hi")
    with g.ledger.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.exec_driver_sql("BEGIN")
    with pytest.raises(RecordError):
        g.wrap(lambda _: "x" * 200_000)("hi")


def test_checking_what_was_made_elsewhere(make: Make) -> None:
    g = make()
    fine, cut, held, stopped = g.check_many(["ok", "Ann", "doubt", "never"], prompt="why")
    assert [outcome.state.value for outcome in (fine, cut, held, stopped)] == [
        "released",
        "released",
        "held",
        "blocked",
    ]
    assert (fine.content, cut.content, held.content, stopped.content) == (Text("ok"), Text("[NUMBER]"), None, None)
    assert [outcome.receipt.entry for outcome in (fine, cut, held, stopped)] == [1, 2, 3, 4]
    decide_case(g, held.case, "approve")
    assert g.collect(held.request_id).content == Text("doubt")
    assert g.check("never", stage="input").state is State.BLOCKED
    assert sound(g)


def test_an_image_that_nobody_can_look_at_is_held(make: Make) -> None:
    outcome = make().check(Image(blank_png()))
    assert (outcome.state, outcome.decision.rules) == (State.HELD, ("unchecked:output",))


def test_the_record_replays(make: Make) -> None:
    g = make()
    say = g.wrap(lambda prompt, **_: prompt)
    outcomes = [say(text, x=1) for text in ("fine", "Ann", "doubt", "never", "maybe")] + g.check_many(["Ann", "never"])
    for outcome in outcomes:
        fields = leaf(g, outcome)
        [recorded] = [e for e in g.ledger.reader.history(fields["policy"]["digest"]) if e.kind == "policy"]
        body = g.ledger.reader.body(recorded.seq, "policy")
        assert isinstance(body, Text)
        policy = from_document(json.loads(body.text))
        assert policy.digest == fields["policy"]["digest"]
        results = [result_from(result) for result in fields["results"]]
        assert decide(policy, Context(fields["request"], fields["items"]), results) == outcome.decision


def test_no_content_in_entries_or_logs(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    g = make()
    say = g.wrap(lambda prompt, **_: f"about {prompt}")
    outcomes = [say(f"zebra {word}", system="zebra too") for word in ("", "Ann", "doubt", "never")]
    outcomes += g.check_many(["zebra Ann"])
    for entry in g.ledger.reader.latest(100):
        assert b"zebra" not in entry.leaf
    assert "zebra" not in caplog.text
    stored = Path(str(g.ledger.engine.url.database)).read_bytes()
    assert b"zebra" not in stored


def test_long_results_move_into_the_sealed_body(make: Make) -> None:
    g = make()
    outcome = g.check("Ann " * 5000)
    assert outcome.state is State.RELEASED
    assert leaf(g, outcome)["shortened"]
    again = g.collect(outcome.request_id)
    assert len(again.results[0].findings) == 5000
    assert again.content == Text("[NUMBER] " * 5000)
    assert sound(g)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00\x01",
        "\ud800 lone",
        "e\u0301Ann\u200d\U0001f468\u200d\U0001f469",
        "\u202eAnn\u202c",
        "Ann" * 50_000,
    ],
)
def test_adversarial_text_goes_through_whole(make: Make, text: str) -> None:
    g = make()
    outcome = g.wrap(lambda prompt: prompt)(text)
    assert outcome.state is State.RELEASED
    prompt = g.ledger.reader.body(outcome.receipt.entry, "prompt")
    assert prompt == Text(text)
    assert outcome.content == Text(text.replace("Ann", "[NUMBER]"))
    json.dumps(outcome_data(outcome))
    assert sound(g)


def test_two_guards_share_a_record(make: Make) -> None:
    first, second = make(), make()
    say, tell = first.wrap(lambda _: "one"), second.wrap(lambda _: "two")
    entries = [call("hi").receipt.entry for call in (say, tell, say, tell)]
    assert entries == [1, 2, 3, 4]  # entry 0 is the policy, recorded once
    assert sound(first)


def test_fields_of_a_request(make: Make) -> None:
    g = make(model=lambda prompt, **params: json.dumps(params))
    assert g.generate("x", top_k=3, system="s").content == Text('{"top_k": 3, "system": "s"}')
    assert g.generate(Request(Text("x"), id="mine")).request_id == "mine"
    with pytest.raises(CallerError, match="Request itself"):
        g.generate(Request(Text("x")), top_k=3)
    with pytest.raises(CallerError, match="no model"):
        make().generate("x")
    with pytest.raises(CallerError, match="no outcome"):
        g.collect("unknown")


def test_a_script_at_its_end_says_so(make: Make) -> None:
    with pytest.raises(GenerationError, match="end"):
        make().wrap(ScriptedGenerator([]))("x")
