"""A third-party package of checkers: one that is useful, and one for each way to misbehave."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from guard.types import Finding, Item, Span, Text


class Base:
    """A checker that finds nothing."""

    name = "sample"
    version = "1.0"
    kinds = frozenset({"text"})
    horizon = "span"

    def check(self, items: Sequence[Item]) -> Any:
        return [self.one(item) for item in items]

    def one(self, item: Item) -> Any:
        return []


class Words(Base):
    """Finds given words."""

    class Params(BaseModel):
        model_config = ConfigDict(extra="forbid")
        words: list[str]
        score: float = 1.0
        category: str = "word"

    def __init__(self, params: Words.Params) -> None:
        self.params = params

    def one(self, item: Item) -> list[Finding]:
        assert isinstance(item.content, Text)
        return [
            Finding(self.params.category, self.params.score, Span(*match.span()), message="a listed word")
            for word in self.params.words
            for match in re.finditer(re.escape(word), item.content.text)
        ]


class Sleep(Base):
    """Hangs when the text says so."""

    def one(self, item: Item) -> list[Finding]:
        if isinstance(item.content, Text) and "sleep" in item.content.text:
            time.sleep(600)
        return []


class Lock(Base):
    """Holds the interpreter lock in a regular expression that takes for ever."""

    def one(self, item: Item) -> list[Finding]:
        if isinstance(item.content, Text) and "lock" in item.content.text:
            re.match(r"(a+)+$", "a" * 60 + "b")
        return []


class Together(Base):
    """Says how many items it saw at once, in the score; waits a little, so that calls come together; may refuse texts."""

    gather = 0.05

    def check(self, items: Sequence[Item]) -> Any:
        texts = [item.content.text for item in items if isinstance(item.content, Text)]
        time.sleep(0.05)
        if any("bad" in text for text in texts):
            raise ValueError("refused")
        if any("die" in text for text in texts):
            os._exit(7)
        return [[Finding(f"of-{len(items)}", 1.0, message=text)] for text in texts]


class Raise(Base):
    """Raises, quoting the content."""

    def one(self, item: Item) -> list[Finding]:
        raise ValueError(f"cannot read {item.content}")


class Exit(Base):
    """Ends its process."""

    def one(self, item: Item) -> list[Finding]:
        os._exit(7)


class Segfault(Base):
    """Crashes its interpreter."""

    def one(self, item: Item) -> list[Finding]:
        ctypes.string_at(0)
        return []


class Unbuildable(Base):
    """Cannot be constructed."""

    def __init__(self) -> None:
        raise RuntimeError("no model here")


class Nonsense(Base):
    """Answers what makes no sense, in a way chosen by its parameter."""

    class Params(BaseModel):
        what: str

    def __init__(self, params: Nonsense.Params) -> None:
        self.what = params.what

    def check(self, items: Sequence[Item]) -> Any:
        answers: dict[str, Any] = {
            "nan": [[Finding("x", float("nan"))]],
            "score": [[Finding("x", 1.5)]],
            "bool": [[Finding("x", True)]],
            "span": [[Finding("x", 1.0, Span(0, 10_000))]],
            "empty-span": [[Finding("x", 1.0, Span(1, 1))]],
            "negative-span": [[Finding("x", 1.0, Span(-2, 1))]],
            "float-span": [[Finding("x", 1.0, Span(0.0, 1.0))]],  # type: ignore[arg-type]
            "category": [[Finding("", 1.0)]],
            "count": [[], []],
            "none": None,
            "text": ["findings"],
            "tuple": [[("x", 1.0)]],
            "pickle": [[lambda: None]],
        }
        return answers[self.what]


class Noisy(Base):
    """Prints and logs what it sees."""

    def one(self, item: Item) -> list[Finding]:
        print(item.content)
        sys.stderr.write(repr(item.content))
        return []
