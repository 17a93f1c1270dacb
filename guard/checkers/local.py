"""What the checkers that run a model of the user's own share: where it lies, and how a long text is cut to what it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from guard import scoring
from guard.checkers.text import windows
from guard.models import TextModel
from guard.scoring import Prompt
from guard.types import Span

Load = Callable[..., TextModel]
ANSWER = 64  # tokens


class LocalModel(BaseModel, extra="forbid", frozen=True, protected_namespaces=()):
    """Which model, and on what."""

    model: Path = Field(description="the model's folder (safetensors), or its hub id with `revision`")
    revision: str | None = Field(None, description="40-digit commit of a hub id; the hub is read from its cache only")
    device: str | None = Field(None, description="cpu, cuda, cuda:1 …; default: cuda where there is one")
    dtype: str | None = Field(None, description="float32, float16 or bfloat16; default: as saved")
    min_score: float = Field(0.5, ge=0, le=1, description="lowest score that is reported")
    max_tokens: int = Field(
        2048, ge=16, description="longer texts are judged in windows of so many tokens, or of what the model reads"
    )

    def loaded(self, load: Load) -> TextModel:
        """The model, or ConfigError or MissingExtra."""
        return load(self._where, revision=self.revision, device=self.device, dtype=self.dtype)

    @property
    def _where(self) -> Path | str:
        return str(self.model) if self.revision else self.model


class LocalTexts:
    """A language model in this process, asked with tokens (see `guard.checkers.safety_model.Texts`)."""

    exact = True

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self.name, self.version = str(model.facts["model"]), weights(model)

    def room(self, prompts: Sequence[Prompt]) -> int:
        """How many tokens of a text it reads within the longest of some prompts, with an answer behind it."""
        return scoring.room(self._model) - max(len(self._row([prompt])) for prompt in prompts) - ANSWER

    def cut(self, text: str, room: int) -> list[Span]:
        """Stretches of about `room` tokens that cover a text and overlap."""
        return cut(self._model.tokenizer, text, room)

    def answers(
        self, paths: Sequence[Sequence[Prompt]], options: Sequence[str], *, may_end: bool = False
    ) -> tuple[Any, Any]:
        """How likely each option follows each path, if one does, and how likely one does."""
        rows, ends = [self._row(path) for path in paths], self._ends() if may_end else []
        shares, answered = scoring.choices(self._model, rows, [*(self._row([(it,)]) for it in options), *ends])
        return shares[:, : len(options)], answered

    def _row(self, path: Sequence[Prompt]) -> scoring.Row:
        return [token for prompt in path for token in scoring.encode(self._model.tokenizer, prompt)]

    def _ends(self) -> list[scoring.Row]:
        """What follows the last name of a list."""
        given = self._model.model.generation_config.eos_token_id
        tokens = {*(given if isinstance(given, list) else [given]), self._model.tokenizer.eos_token_id} - {None}
        return [[token] for token in sorted(tokens)] + [self._row([("\n",)])]


def weights(model: TextModel) -> str:
    """The first digits of the weights' digest, for a checker's version."""
    return str(model.facts["weights"]).removeprefix("sha256:")[:12]


def cut(tokenizer: Any, text: str, room: int) -> list[Span]:
    """Stretches of a text, of about `room` tokens and never more, that cover all of it but the space around; they overlap."""
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    if start >= end:
        return []
    found = tokenizer(
        scoring.readable(text[start:end]),
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )["offset_mapping"]
    if len(found) <= room:
        return [Span(start, end)]
    # A stretch by itself may have some tokens more than it had within the text.
    smaller = room - room // 8
    spans = []
    for first, last in windows(len(found), smaller, smaller // 8):
        left = 0 if first == 0 else found[first][0]
        right = end - start if last == len(found) else found[last - 1][1]
        spans.append(Span(start + left, start + max(right, left + 1)))
    return spans
