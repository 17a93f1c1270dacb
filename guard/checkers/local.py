"""What the checkers that run a model of the user's own share: where it lies, and how a long text is cut to what it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from guard import scoring
from guard.checkers.text import windows
from guard.models import TextModel
from guard.types import Span

Load = Callable[..., TextModel]


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
