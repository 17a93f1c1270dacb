"""The flow of an answer that comes in pieces, and what drives it: a sync and an async iterator over the pieces that may leave.

`streaming` is a generator of steps, as in `guard.flow`; what may leave before the end is `guard.stream`'s to say. The record
gets an entry of kind `opening` before the first piece leaves, and the outcome's entry before the last one does.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from collections.abc import Generator as Steps
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from guard.errors import CallerError, GenerationError, GuardError
from guard.flow import DISCONNECTED, FILTERED, Admitted, Call, Left, Services, admission, conclusion
from guard.isolate import Reader
from guard.source import END, Source
from guard.stream import Plan, Stream
from guard.types import Action, CheckResult, Generated, Item, Outcome, Request, State, Text
from guard.types import Generator as Model

_logger = logging.getLogger(__name__)


class Gone(BaseException):
    """Thrown into a flow whose pieces nobody reads any more."""


@dataclass(frozen=True, slots=True)
class Pull:
    """The step that waits for the next piece of a source."""

    source: Source


@dataclass(frozen=True, slots=True)
class Stop:
    """The step that stops a source before its end."""

    source: Source


@dataclass(frozen=True, slots=True)
class Release:
    """The step that hands out a piece."""

    text: str


Flow = Steps[Any, Any, Outcome]  # of Call, Pull, Stop and Release


class StreamServices(Services, Protocol):
    """What the flow of a stream needs done for it, beside what every flow needs."""

    def readers(self) -> Mapping[str, Reader]:
        """The checkers of outputs, and what they are to streams."""

    def glance(self, item: Item, checkers: frozenset[str]) -> list[CheckResult]:
        """What some checkers see in an output."""

    def open_stream(self, request: Request, generator: Model) -> int:
        """Write that pieces begin to leave; the number of the entry."""


@dataclass(slots=True)
class _Course:
    """A stream on its way: what came from the model and what has left."""

    admitted: Admitted
    source: Source
    state: Stream
    left: list[str] = field(default_factory=list)
    opening: int | None = None
    generated: Generated | None = None

    def so_far(self, finish: str = "stop") -> Left:
        return Left("".join(self.left), len(self.left), self.opening, finish)


def streaming(services: StreamServices, request: Request, model: Model) -> Flow:
    """Check input → redact → generate, check and release piece by piece → check output → decide → stamp → record → release."""
    admitted = yield from admission(services, request)
    if isinstance(admitted, Outcome):
        yield from _rest(services, admitted, Left())
        return admitted
    readers = yield Call(services.readers, ())
    source = Source(model, admitted.given)
    course = _Course(admitted, source, Stream(Plan.of(services.policy, readers), request, admitted.redactor))
    try:
        left = course.so_far((yield from _course(services, course)))
    except Gone:
        if not course.state.text:  # nothing came: as for a whole answer that nobody waits for any more
            raise
        left = course.so_far(DISCONNECTED)
    except Exception as error:
        yield Stop(source)
        yield Call(services.record_failure, (request, model, error, course.so_far("error")))
        raise
    outcome = yield from conclusion(services, admitted, _generated(course), left)
    if left.awaited:
        with suppress(Gone):
            yield from _rest(services, outcome, left)
    return outcome


def _course(services: StreamServices, course: _Course) -> Steps[Any, Any, str]:
    """Pull to the end, and hand out what may leave before it; why it ended."""
    source, state = course.source, course.state
    while True:
        piece = yield Pull(source)
        text = source.text(piece)
        if isinstance(piece, Generated):
            course.generated = piece
            text += _remainder(piece, state.text + text)
        look = state.feed(text) if text else None
        if piece is END or isinstance(piece, Generated):
            return "stop"
        if look is None:
            continue
        results = yield Call(services.glance, (look.item, look.checkers))
        out = state.seen(look, results)
        if state.action is Action.BLOCK:
            yield Stop(source)
            return FILTERED
        if out:
            if course.opening is None:
                course.opening = yield Call(services.open_stream, (course.admitted.request, source.model))
            course.left.append(out)  # before it leaves: the record must not say too little
            yield Release(out)


def _remainder(generated: Generated, so_far: str) -> str:
    """What a whole answer has beyond its pieces."""
    content = generated.content
    if not isinstance(content, Text):
        return ""
    if not content.text.startswith(so_far):
        raise GenerationError("the pieces of the stream are not how its whole answer begins")
    return content.text[len(so_far) :]


def _generated(course: _Course) -> Generated:
    made = course.generated or Generated(Text(""), course.source.facts)
    return replace(made, content=Text(course.state.text)) if isinstance(made.content, Text) else made


def _rest(services: StreamServices, outcome: Outcome, left: Left) -> Steps[Release, None, None]:
    """Hand out what has not left of an outcome that is recorded; or say that it will not."""
    if outcome.state is State.RELEASED:
        rest = outcome.content.text[len(left.text) :] if isinstance(outcome.content, Text) else ""
    else:
        rest = services.policy.stream.notice
    if rest:
        yield Release(rest)


def finish(flow: Flow, busy: Future[Any] | None = None) -> Outcome | None:
    """Let a flow record that nobody reads on. `busy` is a call of its that has begun, such as recording."""
    resume: Callable[[], Any] = partial(flow.throw, Gone()) if busy is None else lambda: flow.send(busy.result())
    try:
        while True:
            step = resume()
            if isinstance(step, Pull | Release):
                resume = partial(flow.throw, Gone())
            else:
                value = step.function(*step.arguments) if isinstance(step, Call) else None
                resume = partial(flow.send, value)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    except Gone:
        return None
    finally:
        flow.close()


@dataclass(slots=True)
class _Run:
    """A flow that is driven, and how it ended. It refers to no iterator, so one that is dropped is closed at once."""

    flow: Flow
    outcome: Outcome | None = None
    source: Source | None = None
    busy: Future[Any] | None = None

    @property
    def over(self) -> bool:
        """Whether the flow has ended."""
        return inspect.getgeneratorstate(self.flow) == inspect.GEN_CLOSED

    def abandon(self) -> None:
        """Let the flow record that nobody reads on."""
        try:
            self.outcome = finish(self.flow, self.busy)
        except GuardError as error:
            _logger.error("an abandoned stream could not be recorded: %s", type(error).__name__)  # noqa: TRY400  (may quote)


class _Streamed:
    """What both kinds of streams share."""

    def __init__(self, flow: Flow) -> None:
        self._run = _Run(flow)

    @property
    def outcome(self) -> Outcome:
        """What happened, once the stream has ended."""
        if self._run.outcome is None:
            raise CallerError(
                "the stream has not ended: read it to its end, or close it, before you ask for its outcome"
            )
        return self._run.outcome

    @property
    def finish_reason(self) -> str:
        """`stop`, or `content_filter` where something was withheld: OpenAI's words."""
        return "stop" if self.outcome.state is State.RELEASED else FILTERED


class Streamed(_Streamed):
    """The pieces of an answer that may leave, as they are decided. Close it, or use it in `with`, if you may not read it all:
    the model stops, and the record says how far it got."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow)
        self._pieces = _pieces(self._run)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop the model and record what has left."""
        self._pieces.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _pieces(run: _Run) -> Generator[str]:
    """Drive a flow in this thread."""
    flow = run.flow
    resume: Callable[[], Any] = partial(next, flow)
    try:
        while True:
            step = resume()
            if isinstance(step, Release):
                yield step.text
                resume = partial(next, flow)
                continue
            try:
                value = _done(run, step)
            except Exception as error:  # noqa: BLE001  (the flow records it and raises it again)
                resume = partial(flow.throw, error)
            else:
                resume = partial(flow.send, value)
    except StopIteration as end:
        run.outcome = end.value
    except BaseException:  # closed, interrupted, or what the flow itself has recorded and raised
        if run.source is not None:
            run.source.close()
        if not run.over:
            run.abandon()
        raise


def _done(run: _Run, step: Any) -> Any:
    if isinstance(step, Call):
        return step.function(*step.arguments)
    if isinstance(step, Stop):
        return step.source.close()
    run.source = step.source
    if step.source.is_async:
        raise CallerError("this model is asynchronous: use  async for piece in guard.astream(…)")
    return step.source.pull()


class AsyncStreamed(_Streamed):
    """`Streamed` for event loops. What blocks runs in threads. Cancelled or closed, it stops at once; what has left is then
    recorded by a thread."""

    def __init__(self, flow: Flow, threads: Executor) -> None:
        super().__init__(flow)
        self._pieces = _apieces(self._run, threads)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Stop the model and record what has left."""
        await self._pieces.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _apieces(run: _Run, threads: Executor) -> AsyncGenerator[str]:
    """Drive a flow in an event loop."""
    flow = run.flow
    resume: Callable[[], Any] = partial(next, flow)
    try:
        while True:
            step = resume()
            if isinstance(step, Release):
                yield step.text
                resume = partial(next, flow)
                continue
            try:
                value = await _adone(run, step, threads)
            except Exception as error:  # noqa: BLE001  (the flow records it and raises it again)
                resume = partial(flow.throw, error)
            else:
                resume = partial(flow.send, value)
    except StopIteration as end:
        run.outcome = end.value
    except BaseException:
        if not run.over:
            threads.submit(run.abandon)
        if run.source is not None:
            await _stop(run.source)
        raise


async def _adone(run: _Run, step: Any, threads: Executor) -> Any:
    if isinstance(step, Stop):
        return await _stop(step.source)
    if isinstance(step, Call):
        try:
            run.busy = threads.submit(copy_context().run, step.function, *step.arguments)
        except RuntimeError as error:
            raise CallerError("this Guard is closed: make a new one") from error
        try:
            return await asyncio.shield(asyncio.wrap_future(run.busy))  # what has begun, such as recording, is finished
        finally:
            if run.busy.done():
                run.busy = None
    run.source = source = step.source
    if source.is_async:
        return await source.apull()
    pulled = asyncio.ensure_future(asyncio.to_thread(source.pull))
    try:
        return await asyncio.shield(pulled)
    except asyncio.CancelledError:
        pulled.add_done_callback(lambda done: (done.cancelled() or done.exception(), source.close()))
        raise


async def _stop(source: Source) -> None:
    if source.is_async:
        await source.aclose()
    else:
        source.close()
