"""The order of the stages, step by step, and where each kind of outcome leaves the flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard import Action, Audio, Guard, Image, Outcome, Request, ScriptedGenerator, State, Text
from guard.cases import blank_png
from guard.errors import CallerError, RecordError
from guard.flow import Call, Flow, Generate, generation, missing_marks
from guard.types import Content, Generated, Layer, Stamp, StampSpec

Make = Callable[..., Guard]


@pytest.fixture
def make(sample_plugin: str, tmp_path: Path) -> Iterator[Make]:
    opened: list[Guard] = []

    def build(**changes: Any) -> Guard:
        words = {"use": "sample-words", "params": {"words": ["never"]}}
        doubts = {"use": "sample-words", "params": {"words": ["doubt"]}}
        rules = [
            {"id": "stop", "checker": "stop", "action": "block"},
            {"id": "hold", "checker": "hold", "action": "review"},
        ]
        policy = {"name": "p", "version": "1", "checkers": {"stop": words, "hold": doubts}, "rules": rules, **changes}
        opened.append(Guard(policy, home=tmp_path / "home"))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


BARE: dict[str, Any] = {"checkers": {}, "rules": []}


def walk(flow: Flow) -> tuple[list[str], Outcome]:
    """Run a flow, noting each step."""
    steps: list[str] = []
    value: Any = None
    try:
        while True:
            step = flow.send(value)
            if isinstance(step, Generate):
                steps.append("generate")
                value = step.generator.generate(step.request)
            else:
                steps.append(step.function.__name__)
                value = step.function(*step.arguments)
    except StopIteration as end:
        return steps, end.value


@pytest.mark.parametrize(
    ("prompt", "answer", "steps", "state"),
    [
        ("hi", "fine", ["earlier", "look", "generate", "look", "mark", "record"], State.RELEASED),
        ("hi", "a doubt", ["earlier", "look", "generate", "look", "mark", "record"], State.HELD),
        ("hi", "never", ["earlier", "look", "generate", "look", "record"], State.BLOCKED),
        ("a doubt", "fine", ["earlier", "look", "record"], State.HELD),
        ("never", "fine", ["earlier", "look", "record"], State.BLOCKED),
    ],
)
def test_the_order_of_the_stages(make: Make, prompt: str, answer: str, steps: list[str], state: State) -> None:
    g = make()
    request = Request(Text(prompt))
    found, outcome = walk(generation(g, request, ScriptedGenerator([answer])))
    assert (found, outcome.state) == (steps, state)
    again, replayed = walk(generation(g, request, ScriptedGenerator([])))
    assert again == ["earlier"]
    assert (replayed.state, replayed.content, replayed.replayed) == (state, outcome.content, True)


def test_what_the_checkers_see(make: Make) -> None:
    flow = generation(make(**BARE), Request(Text("hi")), ScriptedGenerator(["fine"]))
    assert isinstance(next(flow), Call)
    asked = flow.send(None)
    assert isinstance(asked, Call)
    [[item]] = asked.arguments
    assert (item.content, item.stage.value, item.prompt) == (Text("hi"), "input", None)
    assert isinstance(flow.send([[]]), Generate)
    answered = flow.send(ScriptedGenerator(["fine"]).generate(Request(Text("hi"))))
    assert isinstance(answered, Call)
    [[item]] = answered.arguments
    assert (item.content, item.stage.value, item.prompt) == (Text("fine"), "output", Text("hi"))
    flow.close()


def test_a_failure_is_recorded_before_it_goes_on(make: Make) -> None:
    g = make(**BARE)
    flow = generation(g, Request(Text("hi"), id="f"), ScriptedGenerator([]))
    next(flow)
    flow.send(None)
    assert isinstance(flow.send([[]]), Generate)
    step = flow.throw(ZeroDivisionError("secret"))
    assert isinstance(step, Call)
    assert step.function == g.record_failure
    step.function(*step.arguments)
    with pytest.raises(ZeroDivisionError):
        flow.send(None)
    assert [entry.kind for entry in g.ledger.reader.history("f")] == ["failure"]


def test_a_record_that_fails_releases_nothing(make: Make) -> None:
    flow = generation(make(**BARE), Request(Text("hi")), ScriptedGenerator(["fine"]))
    step = next(flow)
    while not (isinstance(step, Call) and step.function.__name__ == "record"):
        if isinstance(step, Generate):
            step = flow.send(step.generator.generate(step.request))
        else:
            step = flow.send(step.function(*step.arguments))
    with pytest.raises(RecordError):
        flow.throw(RecordError("the disk is full"))


def test_a_call_that_is_interrupted_is_not_a_failure_of_the_model(make: Make) -> None:
    g = make(**BARE)

    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        g.wrap(interrupted)("hi", id="i")
    assert g.ledger.reader.history("i") == []
    assert g.wrap(lambda _: "fine")("hi", id="i").state is State.RELEASED


@pytest.mark.parametrize(
    ("content", "layers", "why"),
    [
        (Text("x"), [("manifest", "applied")], None),
        (Text("x"), [("manifest", "failed")], "manifest: it broke"),
        (Text("x"), [], "manifest: not made for this content"),
        (Text("x"), [("watermark", "applied")], "manifest: not made for this content"),
        (Image(b""), [("manifest", "applied")], "watermark: not made for this content"),
        (
            Image(b""),
            [("manifest", "not_applicable"), ("watermark", "failed")],
            "manifest: it broke; watermark: it broke",
        ),
        (Audio(b""), [], "manifest: not made for this content"),
        (Audio(b""), [("manifest", "applied")], None),
    ],
)
def test_marks_that_are_required_and_missing(
    make: Make, content: Content, layers: list[tuple[str, str]], why: str | None
) -> None:
    policy = make(stamp={"text": ["manifest"], "image": ["manifest", "watermark"]}, **BARE).policy
    assert policy.stamp == StampSpec(frozenset({"manifest"}), frozenset({"manifest", "watermark"}))
    made = [
        Layer(kind, status, detail={} if status == "applied" else {"reason": "it broke"}) for kind, status in layers
    ]
    result = missing_marks(policy, content, Stamp("", tuple(made)), Generated(content))
    assert (result.error if result else None) == (f"required mark missing; {why}" if why else None)


@pytest.mark.parametrize(
    ("text", "facts", "wanted"),
    [
        ("word " * 500, {"completion_tokens": 200}, True),
        ("word " * 500, {"completion_tokens": 199}, False),
        ("x" * 600, {}, True),  # nobody counted: three bytes are taken for a token
        ("x" * 599, {}, False),
    ],
)
def test_a_watermark_is_required_from_a_length_on(make: Make, text: str, facts: dict[str, Any], wanted: bool) -> None:
    policy = make(stamp={"text": ["manifest", "watermark"], "min_text_tokens": 200}, **BARE).policy
    stamp = Stamp("", (Layer("manifest", "applied"),))
    missing = missing_marks(policy, Text(text), stamp, Generated(Text(text), facts))
    assert (missing is not None) == wanted
    assert missing_marks(policy, Text("hi"), Stamp("", ()), Generated(Text("hi"), facts))  # the manifest always


def test_an_image_that_needs_a_mark_that_is_not_made_is_withheld(make: Make) -> None:
    g = make(stamp={"image": ["manifest", "watermark"]}, on_error="review", **BARE)
    outcome = g.wrap(lambda _: blank_png())("draw")
    assert (outcome.state, outcome.content, outcome.stamp) == (State.BLOCKED, None, None)
    assert "watermark" in str(outcome.results[-1].error)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"temperature": float("nan")}, "parameter 'temperature' cannot be recorded"),
        ({"callback": print}, "parameter 'callback'"),
        ({"seen": {1, 2}}, "parameter 'seen'"),
        ({"nested": {"deep": [b"bytes"]}}, "parameter 'nested'"),
        ({"id": 5}, "id must be text"),
        ({"id": "a\nb"}, "printable"),
        ({"id": "\ud800"}, "printable"),
        ({"id": "x" * 201}, "1 to 200"),
        ({"requester": 5}, "requester must be text"),
        ({"purpose": ["a"]}, "purpose must be text"),
        ({"groups": 5}, "groups must be a mapping"),
        ({"groups": {"age": 40}}, r"groups\['age'\] must be text"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_the_model_runs(
    make: Make, fields: dict[str, Any], words: str
) -> None:
    g, model = make(**BARE), ScriptedGenerator(["never said"])
    with pytest.raises(CallerError, match=words):
        g.wrap(model)("hi", **fields)
    if {"id", "requester", "purpose", "groups"} & fields.keys():
        with pytest.raises(CallerError, match=words):
            g.check("hi", **fields)
        with pytest.raises(CallerError, match=words):
            g.wrap(model)(Request(Text("hi"), **fields))
    assert model.seen == []


@pytest.mark.parametrize("prompt", [None, b"bytes", 5, ["list"]])
def test_a_prompt_is_content(make: Make, prompt: Any) -> None:
    with pytest.raises(CallerError, match=f"a prompt is a str.*not {type(prompt).__name__}"):
        make(**BARE).wrap(ScriptedGenerator(["x"]))(prompt)


def test_the_greater_of_two_stages_decides(make: Make) -> None:
    g = make(rules=[{"id": "note", "checker": "hold", "stage": "input", "action": "annotate"}])
    outcome = g.wrap(lambda _: "fine")("a doubt")
    assert (outcome.state, outcome.decision.action, outcome.decision.rules) == (
        State.RELEASED,
        Action.ANNOTATE,
        ("note",),
    )
