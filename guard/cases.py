"""Tests of a policy, kept beside it: prompts, scripted answers, and the decision that they must lead to.

They run through the whole flow, checkers and stamps included, against a record that is thrown away.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from guard.errors import ConfigError, GenerationError, PolicyError
from guard.generators.scripted import ScriptedGenerator
from guard.media import content_of
from guard.pipeline import Guard
from guard.policy.load import load_model, read, resolve, validate
from guard.policy.schema import ActionName, document
from guard.types import Content, Image, Outcome

FILE_NAME = "cases.yaml"
BLANK = "blank"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpectModel(_Strict):
    """What must come out. `rules` are exactly the enforced rules that fired; fields left out are not compared."""

    action: ActionName
    rules: list[str] | None = None
    shadow: list[str] | None = None
    state: str | None = Field(None, pattern="^(released|held|blocked)$")
    content: str | None = Field(None, description="the released text")


class CaseModel(_Strict):
    """One case. `output` is the scripted answer; `image` a file beside the cases, or `blank`."""

    id: str
    prompt: str
    output: str | None = None
    image: str | None = None
    request: dict[str, Any] = Field(default_factory=dict)
    expect: ExpectModel

    @model_validator(mode="after")
    def _one_answer(self) -> CaseModel:
        if self.output is not None and self.image is not None:
            raise ValueError("give `output` or `image`, not both")
        return self


class CasesModel(_Strict):
    """A file of cases."""

    cases: list[CaseModel] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went; `problems` is empty when it passed."""

    case: CaseModel
    outcome: Outcome | None
    problems: tuple[str, ...]


def load_cases(file: Path) -> list[CaseModel]:
    """The cases of a file. Raises PolicyError (`file:line: …`)."""
    found = read(file)
    cases = validate(CasesModel, found).cases
    seen: set[str] = set()
    for index, case in enumerate(cases):
        if case.id in seen:
            raise PolicyError(f"{found.place(('cases', index))}: case {case.id!r} stands twice; rename one")
        seen.add(case.id)
    return cases


def run_cases(reference: str | Path) -> Iterator[CaseResult]:
    """Run the cases beside a policy, in order."""
    policy_file = resolve(reference)
    file = policy_file.parent / FILE_NAME
    if not file.is_file():
        raise ConfigError(f"there is no {FILE_NAME} beside {policy_file}; write one to test the policy")
    cases = load_cases(file)
    effective = document(load_model(policy_file))
    with tempfile.TemporaryDirectory(prefix="guard-cases-") as scratch:
        home = Path(scratch)
        with Guard(effective, store=f"sqlite:///{home / 'record.db'}", home=home) as guard:
            for case in cases:
                yield _run(guard, case, file.parent)


def _run(guard: Guard, case: CaseModel, folder: Path) -> CaseResult:
    model = guard.wrap(ScriptedGenerator(_script(case, folder)))
    try:
        outcome: Outcome = model(case.prompt, **case.request)
    except GenerationError:
        return CaseResult(case, None, ("the prompt reached the model, and the case has no scripted answer",))
    return CaseResult(case, outcome, tuple(_differences(case.expect, outcome)))


def _script(case: CaseModel, folder: Path) -> list[Content | str | Exception]:
    if case.image is not None:
        try:
            data = blank_png() if case.image == BLANK else (folder / case.image).read_bytes()
        except OSError as error:
            raise ConfigError(f"case {case.id!r}: cannot read {folder / case.image}: {error.strerror}") from error
        content = content_of(data)
        if not isinstance(content, Image):
            raise ConfigError(f"case {case.id!r}: {case.image} is no image")
        return [content]
    return [case.output] if case.output is not None else []


def _differences(expect: ExpectModel, outcome: Outcome) -> Iterator[str]:
    decision = outcome.decision
    released = getattr(outcome.content, "text", None)
    pairs = [
        ("action", expect.action, decision.action.label),
        ("rules", sorted(expect.rules) if expect.rules is not None else None, sorted(decision.rules)),
        ("shadow", sorted(expect.shadow) if expect.shadow is not None else None, sorted(decision.shadow)),
        ("state", expect.state, outcome.state.value),
        ("content", expect.content, released),
    ]
    for name, wanted, found in pairs:
        if wanted is not None and wanted != found:
            yield f"{name}: expected {wanted}, got {found}"


def blank_png(size: int = 16) -> bytes:
    """A white square, without an imaging library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff" * 3 * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
