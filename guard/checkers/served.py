"""A language model behind an OpenAI-compatible `/v1/completions` (vLLM, SGLang), asked for the likeliest next tokens.

The prompt is ours, as a text, because a chat endpoint would make its own of the messages and let nobody see the verdict's
alternatives. The server reads control tokens wherever they stand, so texts come here with every tag broken up.
"""

from __future__ import annotations

import math
import os.path
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from guard.checkers.endpoint import Client
from guard.checkers.text import windows
from guard.scoring import Prompt, readable
from guard.types import Span

TOP = 20  # next tokens that are asked for; what vLLM gives by default at most
PROMPTS = 32  # in one request
CHARS = 3  # characters counted for a token, since tokens are counted elsewhere


class _Branch(NamedTuple):
    """Options that begin alike, for one path: how likely it is that they do, and what they begin with."""

    path: int
    begun: str
    members: tuple[int, ...]
    chance: float


class ServedTexts:
    """See `guard.checkers.safety_model.Texts`. The server says itself when a prompt is too long for its model."""

    exact = False

    def __init__(self, client: Client, model: str) -> None:
        self._client, self._model = client, model
        self.name = self.version = model

    def room(self, prompts: Sequence[Prompt]) -> int:  # noqa: ARG002
        """More than any policy asks for: only the server knows."""
        return 1 << 20

    def cut(self, text: str, room: int) -> list[Span]:
        """Stretches of about `room` tokens that cover a text and overlap."""
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        if start >= end:
            return []
        size = room * CHARS
        return [Span(start + left, start + right) for left, right in windows(end - start, size, size // 8)]

    def answers(
        self, paths: Sequence[Sequence[Prompt]], options: Sequence[str], *, may_end: bool = False
    ) -> tuple[Any, Any]:
        """How likely each option follows each path, if one does, and how likely one does.

        Tokens beyond the likeliest count as impossible. A token that is all the rest of an option ends it.
        """
        import numpy as np

        shares, answered = np.zeros((len(paths), len(options))), np.zeros(len(paths))
        texts = ["".join(piece for prompt in path for piece in prompt) for path in paths]
        # What all options begin with is given, without the space at its end, which belongs to the next token.
        begun = "" if may_end else os.path.commonprefix(list(options)).rstrip(" ")  # noqa: RUF071  (of characters)
        branches = [_Branch(path, begun, tuple(range(len(options))), 1.0) for path in range(len(paths))]
        first = True
        while branches:
            tops = self._next_tokens([texts[branch.path] + branch.begun for branch in branches])
            further: list[_Branch] = []
            for branch, top in zip(branches, tops, strict=True):
                fitting = list(_fitting(branch, options, top))
                total = sum(chance for _, _, chance in fitting)
                if first:
                    answered[branch.path] = min(total, 1.0)
                whole = 1.0 if first and may_end else total  # the rest is the chance that nothing follows
                for begun, members, chance in fitting:
                    reached = branch.chance * chance / max(whole, total)
                    ended = [member for member in members if options[member] == begun]
                    if ended or len(members) == 1:
                        shares[branch.path, (ended or members)[0]] += reached
                    else:
                        further.append(_Branch(branch.path, begun, members, reached))
            branches, first = further, False
        return shares, answered

    def _next_tokens(self, prompts: Sequence[str]) -> list[Mapping[str, float]]:
        """For each prompt the likeliest next tokens with their probabilities."""
        found: list[Mapping[str, float]] = []
        for start in range(0, len(prompts), PROMPTS):
            batch = [readable(prompt) for prompt in prompts[start : start + PROMPTS]]
            body = {"model": self._model, "prompt": batch, "max_tokens": 1, "temperature": 0, "logprobs": TOP}
            # The prompts begin with the model's first token, if it has one.
            answer = self._client.post("/completions", {**body, "add_special_tokens": False})
            found += self._read(answer, len(batch))
        return found

    def _read(self, answer: Any, count: int) -> list[Mapping[str, float]]:
        given = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(given, list) or len(given) != count:
            raise self._client.nonsense(f"not one choice for each of {count} prompts")
        by_index = {choice.get("index"): choice for choice in given if isinstance(choice, dict)}
        found: list[Mapping[str, float]] = []
        for index in range(count):
            try:
                [top] = by_index[index]["logprobs"]["top_logprobs"]
                chances = {str(token): math.exp(float(chance)) for token, chance in top.items()}
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                raise self._client.nonsense("a choice without the log-probabilities of one next token") from None
            if not all(0 <= chance <= 1.001 for chance in chances.values()):
                raise self._client.nonsense("log-probabilities that are none")
            found.append(chances)
        return found


def _fitting(
    branch: _Branch, options: Sequence[str], top: Mapping[str, float]
) -> Iterator[tuple[str, tuple[int, ...], float]]:
    """The tokens with which an option goes on: what it begins with then, which options those are, how likely it is."""
    for token, chance in top.items():
        begun = branch.begun + token
        members = tuple(member for member in branch.members if options[member].startswith(begun))
        if token and members:
            yield begun, members, chance
