"""Where the pieces of an answer come from: a model that yields them, or one that gives its whole answer at once."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

from guard.digest import JSON
from guard.errors import ContentError, GenerationError
from guard.types import Generated, Generator, Request

END: Final = object()


class Source:
    """One answer of a model. Its `stream(request)` gives an iterator or async iterator of `str`, or of `bytes` of UTF-8 however
    they are cut, and perhaps at last `Generated`: the whole answer with its facts. Without `stream`, all comes at once."""

    def __init__(self, model: Generator, request: Request) -> None:
        self.model, self.request = model, request
        self._iterator: Any = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    @property
    def facts(self) -> Mapping[str, JSON]:
        """What the record says where the model says nothing."""
        return {"model": self.model.name, "library": "stream"}

    @property
    def iterator(self) -> Any:
        """The iterator; nothing runs before it is first pulled."""
        if self._iterator is None:
            made = getattr(self.model, "stream", None)
            self._iterator = made(self.request) if made else _whole(self.model, self.request)
        return self._iterator

    @property
    def is_async(self) -> bool:
        """Whether only an event loop can pull it."""
        return hasattr(self.iterator, "__anext__")

    def pull(self) -> Any:
        """The next piece, or END."""
        return next(self.iterator, END)

    async def apull(self) -> Any:
        """`pull` for an async iterator."""
        return await anext(self.iterator, END)

    def text(self, piece: Any) -> str:
        """A piece as text. Raises GenerationError for bytes that are no UTF-8, ContentError for what is no piece."""
        if isinstance(piece, str):
            return piece
        last = piece is END or isinstance(piece, Generated)
        if not last and not isinstance(piece, bytes | bytearray | memoryview):
            raise ContentError(f"a stream yielded {type(piece).__name__}; yield str, or bytes of UTF-8")
        try:
            return self._decoder.decode(b"" if last else bytes(piece), final=last)
        except UnicodeDecodeError as error:
            raise GenerationError("the stream is not valid UTF-8") from error

    def close(self) -> None:
        """Stop a model that yields in this thread. One that runs in another thread just now is closed when that returns."""
        with suppress(ValueError):
            getattr(self._iterator, "close", lambda: None)()

    async def aclose(self) -> None:
        """`close` for an async iterator."""
        if hasattr(self._iterator, "aclose"):
            await self._iterator.aclose()


def _whole(model: Generator, request: Request) -> Any:
    made: Any = model.generate
    if not getattr(model, "is_async", False):
        return (made(request) for _ in range(1))

    async def later() -> AsyncIterator[Generated]:
        yield await made(request)

    return later()
