"""Sequence classifiers in the shape of Detoxify and toxic-bert, from a local folder: their labels, under our names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from guard import models, scoring
from guard.checkers.hazards import BY_NAME, vocabulary
from guard.checkers.local import LocalModel, cut, weights
from guard.checkers.text import text_of
from guard.errors import ConfigError
from guard.models import TextModel
from guard.types import Finding, Item

# What says that nothing is wrong, and the people that Detoxify's `unbiased` model finds mentioned: neither is harm.
HARMLESS = frozenset({
    "neutral", "non-toxic", "non_toxic", "nontoxic", "not_toxic", "not-toxic", "safe", "ok", "normal", "male", "female",
    "homosexual_gay_or_lesbian", "christian", "jewish", "muslim", "black", "white", "psychiatric_or_mental_illness",
})  # fmt: skip


class ClassifierChecker:
    """Reports what a classifier scores, for the text or each window of it. `model` can be handed in."""

    class Params(LocalModel):
        """What a policy may set."""

        labels: Mapping[str, str | None] = Field(
            default_factory=dict,
            description="the model's labels (config.json, id2label) with our categories; null: no harm. Detoxify's are known",
        )
        activation: Literal["sigmoid", "softmax"] | None = Field(
            None, description="how logits become scores; default: as config.json says (problem_type)"
        )

        @field_validator("labels")
        @classmethod
        def _known(cls, value: Mapping[str, str | None]) -> Mapping[str, str | None]:
            for name in value.values():
                if name is not None and name not in BY_NAME:
                    raise ValueError(f"unknown category {name!r}; known are {', '.join(BY_NAME)}")
            return value

    name = "classifier"
    kinds = frozenset({"text"})
    horizon = "document"
    categories = frozenset(BY_NAME)
    gather = 0.004

    def __init__(self, params: Params, model: TextModel | None = None) -> None:
        self._params = params
        self._model = model or params.loaded(models.load_classifier)
        self._columns = self._mapped()
        self._sigmoid = self._activation() == "sigmoid"
        specials = self._model.tokenizer.num_special_tokens_to_add()
        self._room = min(params.max_tokens, scoring.room(self._model)) - specials
        self.version = f"1+{weights(self._model)}"

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """One finding for each category and window that reaches `min_score`."""
        texts = [text_of(item) for item in items]
        places = [
            (index, span) for index, text in enumerate(texts) for span in cut(self._model.tokenizer, text, self._room)
        ]
        found: list[list[Finding]] = [[] for _ in items]
        if not places:
            return found
        rows = [self._encoded(texts[index][slice(*span)]) for index, span in places]
        for (index, span), scores in zip(places, self._scores(rows), strict=True):
            for category, columns in self._columns.items():
                score = max(scores[column] for column in columns)
                if score >= self._params.min_score:
                    found[index].append(Finding(category, round(score, 4), span, message=BY_NAME[category].message))
        return found

    def _encoded(self, text: str) -> scoring.Row:
        row: scoring.Row = self._model.tokenizer(scoring.readable(text), split_special_tokens=True)["input_ids"]
        return row

    def _scores(self, rows: Sequence[scoring.Row]) -> Any:
        import numpy as np

        logits = scoring.label_logits(self._model, rows)
        if self._sigmoid:
            return (1 / (1 + np.exp(-logits))).tolist()
        grown = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (grown / grown.sum(axis=1, keepdims=True)).tolist()

    def _activation(self) -> str:
        config = self._model.model.config
        stated = {"multi_label_classification": "sigmoid", "single_label_classification": "softmax"}
        known = self._params.activation or stated.get(config.problem_type or "")
        if known is None and config.num_labels == 1:
            known = "sigmoid"
        if known is None:
            raise ConfigError(
                f"{self._model.facts['model']} does not say how its logits become scores (problem_type in config.json): "
                "set `activation` to sigmoid (labels are independent) or softmax (exactly one holds)"
            )
        return known

    def _mapped(self) -> dict[str, list[int]]:
        """Columns of the logits by our category."""
        given = {label.lower(): category for label, category in self._params.labels.items()}
        known = {**dict.fromkeys(HARMLESS), **vocabulary("detoxify"), **given}
        columns: dict[str, list[int]] = {}
        for column, label in sorted(self._model.model.config.id2label.items()):
            if label.lower() not in known:
                raise ConfigError(
                    f"label {label!r} of {self._model.facts['model']} is not known: say in `labels` which category it means, "
                    f"or null for none; categories are {', '.join(BY_NAME)}"
                )
            category = known[label.lower()]
            if category is not None:
                columns.setdefault(category, []).append(int(column))
        if not columns:
            raise ConfigError(
                f"no label of {self._model.facts['model']} means a category: say in `labels` what they mean"
            )
        return columns
