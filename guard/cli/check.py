"""`guard check`: decide on content that was made elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.options import (
    HomeOption,
    JsonOption,
    PolicyOption,
    PurposeOption,
    RequesterOption,
    SourceOption,
    StoreOption,
    TenantOption,
    read_bytes,
    read_text,
)
from guard.errors import ConfigError
from guard.types import Content, Outcome, State

if TYPE_CHECKING:
    from guard.flow import Deed
    from guard.pipeline import Guard
    from guard.policy.counterfactual import Explanation

BATCH = 32
_ORDER = [State.RELEASED, State.HELD, State.BLOCKED]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(
    file: Annotated[str | None, typer.Argument(help="Text or image file; `-` reads stdin.")] = None,
    jsonl: Annotated[
        str | None, typer.Option("--jsonl", help="File with one {id, text} a line; `-` reads stdin.")
    ] = None,
    policy: PolicyOption = None,
    stage: Annotated[str, typer.Option("--stage", help="input, output or tool.")] = "output",
    prompt: Annotated[str | None, typer.Option("--prompt", help="The prompt that the content answers.")] = None,
    sources: SourceOption = None,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Record it; what is not recorded is not released.")
    ] = True,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also say why, and the least that would have changed the decision.")
    ] = False,
    counterfactual: Annotated[
        bool,
        typer.Option(
            "--counterfactual", help="Swap the terms for groups of people and compare decisions; records nothing."
        ),
    ] = False,
    requester: RequesterOption = None,
    purpose: PurposeOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
    home: HomeOption = None,
) -> None:
    """Check text or an image under a policy, and record the decision.

    Exit codes as for `guard run`; with --jsonl, the gravest of all lines, or 2 when a line could not be read; with
    --counterfactual, 1 when a variant is decided otherwise.
    """
    from guard.cli import show
    from guard.media import content_of
    from guard.pipeline import Guard

    if (file is None) == (jsonl is None) or (jsonl and counterfactual):
        raise ConfigError("give one FILE, or --jsonl FILE; --counterfactual wants a FILE")
    if stage not in ("input", "output", "tool"):
        raise ConfigError(f"--stage {stage!r}: use input, output or tool")
    fields: dict[str, Any] = {
        "stage": stage,
        "prompt": prompt,
        "requester": requester,
        "purpose": purpose,
        "tenant": tenant,
        "sources": [read_text(source) for source in sources or ()],
    }
    with Guard(policy, store=store, home=home) as guard:
        if jsonl is not None:
            raise typer.Exit(_check_lines(guard, jsonl, fields, record=record, explain=explain))
        content = content_of(read_bytes(str(file)))
        if counterfactual:
            raise typer.Exit(_compare(guard, content, fields))
        deeds = guard.examine([content], **fields)
        outcomes = guard.ledger.record(deeds) if record else []
        [data] = _answers(guard, deeds, outcomes, explain=explain)
    for outcome in outcomes if not as_json else ():
        show.print_summary(outcome)
        if explain:
            show.print_explanation(_explained(guard, deeds[0]))
    if as_json or not record:
        show.print_json(data)
    raise typer.Exit(show.EXIT[State(data["state"])])


def _compare(guard: Guard, content: Content, fields: dict[str, Any]) -> int:
    from dataclasses import asdict

    from guard.cli import show
    from guard.counterfactual import compare
    from guard.types import Text

    if not isinstance(content, Text):
        raise ConfigError("--counterfactual swaps words: give it text")

    def decide(texts: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
        decisions = [deed.verdict.decision for deed in guard.examine(texts, **fields)]
        return [(decision.action.name.lower(), tuple(decision.rules)) for decision in decisions]

    tried, differences = compare(content.text, decide)
    [(action, rules)] = decide([content.text])
    found = [asdict(difference) for difference in differences]
    show.print_json({"action": action, "rules": rules, "variants": tried, "differences": found})
    return 1 if differences else 0


def _answers(
    guard: Guard, deeds: Sequence[Deed], outcomes: Sequence[Outcome], *, explain: bool
) -> list[dict[str, Any]]:
    """Each as `--json` prints it: the outcomes where they were recorded."""
    from guard.entries import preview
    from guard.envelope import outcome_data
    from guard.review import explanation_data

    answers = [outcome_data(outcome) for outcome in outcomes] or [preview(deed) for deed in deeds]
    if explain:
        for answer, deed in zip(answers, deeds, strict=True):
            answer["explanation"] = explanation_data(_explained(guard, deed))
    return answers


def _explained(guard: Guard, deed: Deed) -> Explanation:
    from guard.policy.counterfactual import explain

    return explain(guard.policy, deed.verdict.context, deed.verdict.results)


def _check_lines(guard: Guard, source: str, fields: dict[str, Any], *, record: bool, explain: bool) -> int:
    from guard.cli import show

    worst, unreadable = State.RELEASED, False
    for batch in _batches(_lines(read_bytes(source))):
        asked = [line for line in batch if "error" not in line]
        texts, ids = [line["text"] for line in asked], [line["id"] for line in asked]
        deeds = guard.examine(texts, ids=ids, **fields)
        found = iter(_answers(guard, deeds, guard.ledger.record(deeds) if record else [], explain=explain))
        for line in batch:
            if "error" in line:
                unreadable = True
                show.print_json(line, indent=None)
            else:
                data = next(found)
                worst = max(worst, State(data["state"]), key=_ORDER.index)
                show.print_json({"id": line["id"], **data}, indent=None)
    return 2 if unreadable else show.EXIT[worst]


def _lines(data: bytes) -> Iterator[dict[str, Any]]:
    """Each line as {id, text}; a line that cannot be read as {line, error}, in its place."""
    for number, raw in enumerate(data.split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            yield {"id": None, "line": number, "error": "not JSON in UTF-8"}
            continue
        if not isinstance(line, dict) or not isinstance(line.get("text"), str):
            yield {"id": None, "line": number, "error": 'not an object with a "text" that is a string'}
        elif not isinstance(line.get("id"), str | int) or isinstance(line.get("id"), bool):
            yield {"id": None, "line": number, "error": 'no "id" that is a string or a whole number'}
        else:
            yield {"id": str(line["id"]), "text": line["text"]}


def _batches(lines: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    source = iter(lines)
    while batch := list(islice(source, BATCH)):
        yield batch
