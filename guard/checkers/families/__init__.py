"""Safety language models by family: how each is asked, in the words that it was trained with, and what its answers mean.

Nothing here runs a model. A question is a prompt with the answers that the family knows; `guard.scoring` reads from the
model's probabilities how likely each is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from guard.scoring import Control

_TAG = re.compile(r"</?[^<>\n]{1,60}>")


class Exchange(NamedTuple):
    """What is judged: `agent`, as the answer to `user`; or `user` itself where `agent` is None."""

    user: str
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt. `verdicts` are the answers with what each is worth as a score for `category` (0: harmless, 1: harmful).

    The model's answer begins with `opening`, whatever the verdict. Where that is harmful it goes on to list names: `lead`, a
    name, then `comma` and a name, and so on. `names` are those that it knows, with our categories.
    """

    prompt: tuple[str, ...]
    verdicts: Mapping[str, float]
    category: str = "unsafe"
    opening: str = ""
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    lead: str = ""
    comma: str = ","


Ask = Callable[[Exchange], tuple[Question, ...]]


@dataclass(frozen=True, slots=True)
class Family:
    """How to ask a family of models. `version` changes when what is asked changes."""

    name: str
    version: str
    ask: Ask

    def questions(self, exchange: Exchange, *, tags_of_its_own_only: bool = True) -> tuple[Question, ...]:
        """The questions about an exchange, whose texts cannot end the part of the prompt that they stand in.

        Tags that the prompts use, such as <END CONVERSATION>, get a space inside. Other control tokens need no such thing where
        texts are encoded as text; where the whole prompt is handed over as a text (`tags_of_its_own_only=False`), all tags do.
        """
        known = _tags(self.ask) if tags_of_its_own_only else None

        def defused(text: str) -> str:
            return _TAG.sub(lambda tag: f"< {tag[0][1:]}" if known is None or tag[0].lower() in known else tag[0], text)

        user, agent = exchange
        return self.ask(Exchange(defused(user), None if agent is None else defused(agent)))


@functools.cache
def _tags(ask: Ask) -> frozenset[str]:
    asked = [*ask(Exchange("")), *ask(Exchange("", ""))]
    return frozenset(tag.lower() for question in asked for tag in _TAG.findall("".join(question.prompt)))


def pieces(template: str, controls: tuple[str, ...], **texts: str) -> tuple[str, ...]:
    """A template cut at its control tokens, with `{name}` replaced by the text of that name, in which nothing is cut."""
    places = {f"{{{name}}}": text for name, text in texts.items()}
    cut = re.split("(" + "|".join(map(re.escape, (*controls, *places))) + ")", template)
    found = [Control(part) if part in controls else places.get(part, part) for part in cut]
    return tuple(part for part in found if part)


YES_OR_NO = MappingProxyType({"Yes": 1.0, "No": 0.0})
