"""Any sync or async function as a generator: it gets the prompt, and makes text, bytes, an image or content."""

from __future__ import annotations

import functools
import inspect
import io
from collections.abc import Awaitable, Callable
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
        if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
            raise CallerError("streams are not guarded yet: return the whole answer instead of yielding pieces")
        self.function = function
        self.name: str = name or str(getattr(target, "__qualname__", type(target).__name__))
        self.is_async = inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(type(target).__call__)

    def generate(self, request: Request) -> Generated | Awaitable[Generated]:
        """Call the function; a coroutine comes back as one."""
        prompt = request.prompt.text if isinstance(request.prompt, Text) else request.prompt
        further = {"image": request.image} if request.image else {}
        made = self.function(prompt, **further, **request.params)
        return self._later(made) if inspect.isawaitable(made) else self._generated(made)

    async def _later(self, made: Awaitable[Any]) -> Generated:
        return self._generated(await made)

    def _generated(self, made: Any) -> Generated:
        if isinstance(made, Generated):
            return made
        return Generated(as_content(made), {"model": self.name, "library": "callable"})


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
