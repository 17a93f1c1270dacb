"""Any sync or async function as a generator: it gets the prompt, and makes text, bytes, an image or content."""

from __future__ import annotations

import functools
import inspect
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from guard import media
from guard.errors import CallerError, ContentError
from guard.types import Content, Generated, Image, Request, Text


class FunctionGenerator:
    """Calls `function(prompt, **request.params)`, with `image=` where the request starts from one (a `guard.Image`).

    The prompt is `str` for text, else the content object.
    """

    def __init__(self, function: Callable[..., Any], *, name: str | None = None) -> None:
        target = function.func if isinstance(function, functools.partial) else function
        self.function = function
        self.name: str = name or str(getattr(target, "__qualname__", type(target).__name__))
        self.yields = inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)
        coroutine = inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(type(target).__call__)
        self.is_async = coroutine or inspect.isasyncgenfunction(target)

    def generate(self, request: Request) -> Generated | Awaitable[Generated]:
        """Call the function; a coroutine comes back as one. What it yields is joined."""
        made = self._called(request)
        if isinstance(made, AsyncIterator):
            return self._gathered(made)
        return self._later(made) if inspect.isawaitable(made) else self._generated(made)

    def stream(self, request: Request) -> Iterator[Any] | AsyncIterator[Any]:
        """The pieces that the function yields, or that what it returns does; else its whole answer. Starts when it is read."""
        return self._alater(request) if self.is_async else self._pieces(request)

    def _called(self, request: Request) -> Any:
        prompt = request.prompt.text if isinstance(request.prompt, Text) else request.prompt
        further = {"image": request.image} if request.image else {}
        return self.function(prompt, **further, **request.params)

    def _pieces(self, request: Request) -> Iterator[Any]:
        made = self._called(request)
        if not isinstance(made, Iterator):
            if inspect.isawaitable(made) or isinstance(made, AsyncIterator):
                raise CallerError("this function is asynchronous: declare it with  async def")
            yield self._generated(made)
            return
        try:
            yield from made
        finally:
            getattr(made, "close", lambda: None)()  # an HTTP response, for one

    async def _alater(self, request: Request) -> AsyncIterator[Any]:
        made = self._called(request)
        if inspect.isawaitable(made):
            made = await made
        if not isinstance(made, AsyncIterator):
            yield self._generated(made)
            return
        try:
            async for piece in made:
                yield piece
        finally:
            if hasattr(made, "aclose"):
                await made.aclose()

    async def _later(self, made: Awaitable[Any]) -> Generated:
        return self._generated(await made)

    async def _gathered(self, made: AsyncIterator[Any]) -> Generated:
        return self._generated(iter([piece async for piece in made]))

    def _generated(self, made: Any) -> Generated:
        if isinstance(made, Iterator):
            made = _joined(list(made))
        if isinstance(made, Generated):
            return made
        return Generated(as_content(made), {"model": self.name, "library": "callable"})


def _joined(pieces: Sequence[Any]) -> Any:
    """The whole answer of what was yielded."""
    if pieces and isinstance(pieces[-1], Generated):
        return pieces[-1]
    try:
        return b"".join(pieces).decode() if pieces and not isinstance(pieces[0], str) else "".join(pieces)
    except (TypeError, UnicodeDecodeError) as error:
        raise ContentError("a stream yields str, or bytes of UTF-8") from error


def as_content(made: Any) -> Content:
    """Text, bytes, a PIL image or content as content. Raises ContentError for anything else."""
    if isinstance(made, Content):
        return made
    if isinstance(made, str):
        return Text(made)
    if isinstance(made, bytes | bytearray | memoryview):
        return media.content_of(bytes(made))
    if type(made).__module__.startswith("PIL."):
        buffer = io.BytesIO()
        made.save(buffer, "PNG")
        return Image(buffer.getvalue(), "image/png")
    raise ContentError(f"the callable returned {type(made).__name__}; return str, bytes, a PIL image, or guard content")
