"""The flow of one request, without I/O: what happens in which order, for sync and async callers alike.

`generation` and `examination` are generators that yield steps and are sent their results; `drive` and `adrive` run them.
The order of the stages is the promise made to a compliance officer: it is this code, read top to bottom, not configuration.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Generator as Steps
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from guard.errors import CallerError
from guard.operators import KEYED, Cover, Redaction
from guard.policy.decide import STAMP, Context, covers, decide, redactions
from guard.redactor import Redactor
from guard.types import (
    Action,
    CheckResult,
    Content,
    Decision,
    Generated,
    Generator,
    Image,
    Item,
    Outcome,
    Policy,
    Request,
    Stage,
    Stamp,
    Status,
    Text,
)


@dataclass(frozen=True, slots=True)
class Call:
    """A step that may wait for a process, a file or a database."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Generate:
    """The step in which the model runs."""

    generator: Generator
    request: Request


Step = Call | Generate
Flow = Steps[Step, Any, Outcome]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking and deciding came to, before anything is recorded or released."""

    context: Context
    results: tuple[CheckResult, ...]
    decision: Decision
    redactions: tuple[tuple[Stage, Redaction | Cover], ...] = ()

    def cuts(self, stage: Stage) -> list[Redaction | Cover]:
        """What has to go at a stage."""
        return [cut for where, cut in self.redactions if where is stage]


@dataclass(frozen=True, slots=True)
class Deed:
    """Everything that one entry records. `stage` is where the flow stopped; `continues` the entry of a held prompt.

    `pseudonyms` are those that were given, with their values; `restored` says how many of the answer were turned back.
    """

    kind: str
    request: Request
    verdict: Verdict
    stage: Stage
    output: Content | None = None
    generated: Generated | None = None
    release: Content | None = None
    stamp: Stamp | None = None
    continues: int | None = None
    pseudonyms: Mapping[str, str] = field(default_factory=dict)
    restored: int = 0


class Services(Protocol):
    """What the flow needs done for it."""

    policy: Policy

    def earlier(self, request: Request) -> Outcome | int | None:
        """The outcome of an earlier call with this id; the entry to continue where a held prompt was approved; or None."""

    def look(self, items: Sequence[Item]) -> list[list[CheckResult]]:
        """The results of all checkers for each item; all items are of one stage."""

    def redactor(self, request: Request) -> Redactor:
        """What redacts this request's texts, with the keys that hashes, encryption and pseudonyms need."""

    def mark(self, request: Request, content: Content, generated: Generated) -> tuple[Content, Stamp]:
        """The content as it may be released, with its stamp; a mark that cannot be made is reported in the stamp."""

    def record(self, deed: Deed) -> Outcome:
        """Write the entry, durably, and only then hand out the outcome."""

    def record_failure(self, request: Request, generator: Generator, error: Exception) -> None:
        """Write that the model failed."""


def generation(services: Services, request: Request, generator: Generator) -> Flow:
    """Check input → redact → generate → check output → decide → redact → restore → stamp → record → release."""
    policy = services.policy
    earlier = yield Call(services.earlier, (request,))
    if isinstance(earlier, Outcome):
        return earlier
    approved: int | None = earlier
    kind = "generation" if approved is None else "continuation"

    # The prompt comes last: where conditions speak of the input, they mean it.
    parts = (request.image, request.prompt) if request.image else (request.prompt,)
    asked = tuple(Item(part, Stage.INPUT, sources=request.sources) for part in parts)
    looked: list[list[CheckResult]] = yield Call(services.look, (asked,))
    seen = tuple(result for results in looked for result in results)
    before = judge(policy, request, asked, seen)
    if approved is None and before.decision.action >= Action.REVIEW:
        outcome: Outcome = yield Call(services.record, (Deed(kind, request, before, Stage.INPUT),))
        return outcome

    redactor: Redactor = (yield Call(services.redactor, (request,))) if needs_keys(policy) else Redactor()
    prompt = redactor.redacted(request.prompt, before.cuts(Stage.INPUT), Stage.INPUT)
    image = redactor.covered(request.image, before.cuts(Stage.INPUT)) if request.image else None
    try:
        generated: Generated = yield Generate(generator, replace(request, prompt=prompt, image=image))
    except Exception as error:
        yield Call(services.record_failure, (request, generator, error))
        raise

    answer = Item(generated.content, Stage.OUTPUT, prompt=request.prompt, sources=request.sources)
    [checked] = yield Call(services.look, ([answer],))
    # A reviewer has ruled on the prompt, so only what the answer shows decides from here on.
    results = (*(seen if approved is None else ()), *redactor.foreign(checked, generated.content))
    after = judge(policy, request, (*asked, answer), results)
    release, stamp, restored = None, None, 0
    if after.decision.action < Action.BLOCK:
        content = redactor.redacted(generated.content, after.cuts(Stage.OUTPUT), Stage.OUTPUT)
        content, restored = redactor.restored(content)
        release, stamp = yield Call(services.mark, (request, content, generated))
        missing = missing_marks(policy, release, stamp, generated)
        if missing:
            after = judge(policy, request, (*asked, answer), (*results, missing))
            release, stamp, restored = None, None, 0
    given = redactor.pseudonyms
    deed = Deed(
        kind, request, after, Stage.OUTPUT, generated.content, generated, release, stamp, approved, given, restored
    )
    outcome = yield Call(services.record, (deed,))
    return outcome


def examination(
    policy: Policy, request: Request, item: Item, results: Sequence[CheckResult], redactor: Redactor
) -> Deed:
    """The same decision for content that was made elsewhere; nothing is generated or stamped."""
    checked = judge(policy, request, (item,), tuple(results))
    allowed = checked.decision.action < Action.BLOCK
    release = redactor.redacted(item.content, checked.cuts(item.stage), item.stage) if allowed else None
    return Deed("check", request, checked, item.stage, item.content, release=release, pseudonyms=redactor.pseudonyms)


def judge(policy: Policy, request: Request, items: tuple[Item, ...], results: tuple[CheckResult, ...]) -> Verdict:
    """Decide, and find what has to be taken out."""
    context = Context.of(request, *items)
    taken: list[tuple[Stage, Redaction | Cover]] = []
    for item in items:
        if isinstance(item.content, Text):
            cuts = redactions(policy, context, results, item.stage, item.content.text)
            taken += [(item.stage, cut) for cut in cuts]
        elif isinstance(item.content, Image):
            taken += [(item.stage, cover) for cover in covers(policy, context, results, item.stage)]
    return Verdict(context, results, decide(policy, context, results), tuple(taken))


def needs_keys(policy: Policy) -> bool:
    """Whether a rule hashes, encrypts or gives pseudonyms."""
    return any(rule.operator.name in KEYED for rule in policy.rules)


def missing_marks(policy: Policy, content: Content, stamp: Stamp, generated: Generated) -> CheckResult | None:
    """An error result naming the required marks that the content does not carry."""
    required: frozenset[str] = getattr(policy.stamp, content.kind)
    if content.kind == "text" and _tokens(generated) < policy.stamp.min_text_tokens:
        required -= {"watermark"}
    made = {layer.kind: layer for layer in stamp.layers}
    reasons = []
    for kind in sorted(required):
        layer = made.get(kind)
        if layer is None or layer.status != "applied":
            why = str(layer.detail.get("reason", layer.status)) if layer else "not made for this content"
            reasons.append(f"{kind}: {why}")
    if not reasons:
        return None
    return CheckResult(STAMP, "1", Stage.OUTPUT, Status.ERROR, error="required mark missing; " + "; ".join(reasons))


def _tokens(generated: Generated) -> int:
    """How many tokens a text has, as its generator says; else one for each three bytes, which is more than most have."""
    counted = generated.facts.get("completion_tokens")
    return counted if isinstance(counted, int) else len(generated.content.data) // 3


def drive(flow: Flow) -> Outcome:
    """Run a flow in this thread."""
    resume: Callable[[], Step] = partial(next, flow)
    try:
        while True:
            step = resume()
            try:
                value = _run(step)
            except Exception as error:  # noqa: BLE001  (the flow records it and raises it again)
                resume = partial(flow.throw, error)
            else:
                resume = partial(flow.send, value)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


async def adrive(flow: Flow, threads: Executor) -> Outcome:
    """Run a flow in an event loop. A model that blocks runs in the loop's own threads, all else that blocks in `threads`: so
    models that take minutes keep nobody's record waiting, and the guard takes no threads from the application.

    Cancelled, it stops at once; what a thread has begun by then, such as recording, it finishes. The same request id finds it.
    """
    resume: Callable[[], Step] = partial(next, flow)
    try:
        while True:
            step = resume()
            try:
                value = await _arun(step, threads)
            except Exception as error:  # noqa: BLE001  (the flow records it and raises it again)
                resume = partial(flow.throw, error)
            else:
                resume = partial(flow.send, value)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


def _run(step: Step) -> Any:
    if isinstance(step, Call):
        return step.function(*step.arguments)
    if not _is_async(step.generator):
        began = time.perf_counter()
        made = step.generator.generate(step.request)
        if not inspect.isawaitable(made):
            return _timed(made, began)
    raise CallerError("this function is asynchronous: use  await guard.agenerate(…)  or await the wrapped function")


def _is_async(generator: Generator) -> bool:
    return bool(getattr(generator, "is_async", False))


async def _arun(step: Step, threads: Executor) -> Any:
    if isinstance(step, Call):
        call = partial(copy_context().run, step.function, *step.arguments)
        try:
            done = asyncio.get_running_loop().run_in_executor(threads, call)
        except RuntimeError as error:
            raise CallerError("this Guard is closed: make a new one") from error
        return await done
    began = time.perf_counter()
    if _is_async(step.generator):
        made = step.generator.generate(step.request)
    else:
        made = await asyncio.to_thread(step.generator.generate, step.request)
    return _timed(await made if inspect.isawaitable(made) else made, began)


def _timed(made: Generated, began: float) -> Generated:
    """With the time that it took, in milliseconds, waiting included."""
    return replace(made, facts={**made.facts, "elapsed_ms": round((time.perf_counter() - began) * 1000, 3)})
