"""Callables as generators, and what they may return."""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from guard.cases import blank_png
from guard.errors import CallerError, ContentError, GenerationError
from guard.generators.adapt import adapt
from guard.generators.function import FunctionGenerator, as_content
from guard.generators.scripted import ScriptedGenerator
from guard.types import Audio, Generated, Image, Request, Text


def ask(generator: Any, prompt: str = "p", **params: Any) -> Generated:
    made = generator.generate(Request(Text(prompt), params=params))
    assert isinstance(made, Generated)
    return made


def test_a_function_gets_the_prompt_and_the_parameters() -> None:
    made = ask(FunctionGenerator(lambda prompt, *, top_k: f"{prompt} {top_k}"), top_k=3)
    assert made.content == Text("p 3")
    assert made.facts["library"] == "callable"


def test_a_prompt_that_is_no_text_comes_as_content() -> None:
    picture = Image(blank_png())
    made = FunctionGenerator(lambda prompt: prompt).generate(Request(picture))
    assert isinstance(made, Generated)
    assert made.content is picture


def test_async_functions_methods_and_partials_are_recognised() -> None:
    async def answer(prompt: str, tone: str = "") -> str:
        return prompt + tone

    class Client:
        async def __call__(self, prompt: str) -> str:
            return prompt

    for thing in (answer, functools.partial(answer, tone="!"), Client()):
        assert FunctionGenerator(thing).is_async
    assert not FunctionGenerator(lambda prompt: prompt).is_async
    later = FunctionGenerator(functools.partial(answer, tone="!")).generate(Request(Text("p")))
    assert not isinstance(later, Generated)

    async def main() -> Generated:
        return await later

    assert asyncio.run(main()).content == Text("p!")


def pieces(prompt: str) -> Iterator[str]:
    yield prompt


async def later_pieces(prompt: str) -> AsyncIterator[str]:
    yield prompt


def test_what_yields_pieces_can_be_asked_for_the_whole() -> None:
    def cut(prompt: str) -> Iterator[bytes]:
        yield from (b"\xc3", f"\xa9{prompt}".encode("latin-1"))

    def garbage(prompt: str) -> Iterator[bytes]:
        yield prompt.encode() + b"\xff"

    request = Request(Text("p"))
    assert FunctionGenerator(pieces).yields
    assert FunctionGenerator(pieces).generate(request).content == Text("p")  # type: ignore[union-attr]
    assert asyncio.run(FunctionGenerator(later_pieces).generate(request)).content == Text("p")  # type: ignore[arg-type]
    assert FunctionGenerator(cut).generate(request).content == Text("\u00e9p")  # type: ignore[union-attr]
    with pytest.raises(ContentError, match="UTF-8"):
        FunctionGenerator(garbage).generate(request)


def test_what_comes_back_becomes_content() -> None:
    from PIL import Image as Pillow

    png = blank_png()
    assert as_content("a") == Text("a")
    assert as_content(b"\xc3\xa9") == Text("é")
    assert as_content(bytearray(png)) == Image(png, "image/png")
    assert as_content(b"RIFF\0\0\0\0WAVEfmt ") == Audio(b"RIFF\0\0\0\0WAVEfmt ", "audio/wav")
    assert as_content(Text("t")) == Text("t")
    drawn = as_content(Pillow.new("RGB", (3, 4), "red"))
    assert isinstance(drawn, Image)
    assert Pillow.open(io.BytesIO(drawn.data)).size == (3, 4)
    for wrong in (None, 3, ["a"], object()):
        with pytest.raises(ContentError, match="the callable returned"):
            as_content(wrong)


def test_adapt_knows_a_generator_a_function_and_nothing_else() -> None:
    scripted = ScriptedGenerator(["a"])
    assert adapt(scripted) is scripted
    named = adapt(lambda prompt: prompt, name="mine")
    assert named.name == "mine"
    with pytest.raises(CallerError, match="cannot wrap int"):
        adapt(3)


def test_a_script_runs_in_order_raises_in_turn_and_ends() -> None:
    script = ScriptedGenerator(["a", ValueError("b"), Image(blank_png())])
    assert ask(script).content == Text("a")
    with pytest.raises(ValueError, match="b"):
        ask(script)
    assert isinstance(ask(script).content, Image)
    with pytest.raises(GenerationError, match="at its end"):
        ask(script)
    assert len(script.seen) == 4
