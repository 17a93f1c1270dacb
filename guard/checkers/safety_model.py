"""Safety language models from a local folder (Llama Guard, ShieldGemma, Granite Guardian, Qwen3Guard), in their own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from guard import models, scoring
from guard.checkers.families import Exchange, Family, Question
from guard.checkers.families.granite_guardian import GRANITE_GUARDIAN
from guard.checkers.families.llama_guard import LLAMA_GUARD_3, LLAMA_GUARD_3_1B, LLAMA_GUARD_4
from guard.checkers.families.qwen3guard import QWEN3GUARD
from guard.checkers.families.shieldgemma import SHIELDGEMMA
from guard.checkers.hazards import BY_NAME
from guard.checkers.local import LocalModel, cut, weights
from guard.checkers.text import text_of
from guard.errors import ConfigError, OperationError
from guard.models import TextModel
from guard.types import Finding, Item, Span, Stage, Text

FAMILIES = {
    family.name: family
    for family in (LLAMA_GUARD_3, LLAMA_GUARD_3_1B, LLAMA_GUARD_4, SHIELDGEMMA, GRANITE_GUARDIAN, QWEN3GUARD)
}
LISTED = 3  # how many names of a list are followed
LITTLE = 0.05  # a list that is less likely than this to go on is not followed
CONTEXT = 4  # the prompt that an answer belongs to gets one part in so many of the room


class SafetyModelChecker:
    """Reports the model's verdict and the categories that it names, with their probabilities. `model` can be handed in."""

    class Params(LocalModel):
        """What a policy may set."""

        family: Literal[
            "llama_guard_3", "llama_guard_3_1b", "llama_guard_4", "shieldgemma", "granite_guardian", "qwen3guard"
        ] = Field(description="how the model is asked, and what its answers mean")
        min_answered: float = Field(
            0.1,
            ge=0,
            le=1,
            description="the check fails where the answers that the family knows are less likely than this, taken together: "
            "the model is of another family then",
        )

    name = "safety_model"
    kinds = frozenset({"text"})
    horizon = "document"
    categories = frozenset(BY_NAME)
    gather = 0.004

    def __init__(self, params: Params, model: TextModel | None = None) -> None:
        self._params = params
        self._family: Family = FAMILIES[params.family]
        self._model = model or params.loaded(models.load_text)
        self._room = min(params.max_tokens, scoring.room(self._model) - self._overhead())
        if self._room < 16:
            raise ConfigError(
                f"{self._model.facts['model']} does not read enough tokens for {params.family} and a text"
            )
        self.version = f"1+{self._family.name}.{self._family.version}+{weights(self._model)}"

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """For each item, or window of a long one, the verdict (`unsafe`) and the categories that reach `min_score`."""
        asked: list[tuple[int, Span, Question]] = []
        for index, item in enumerate(items):
            asked += [
                (index, span, question)
                for span, exchange in self._exchanges(item)
                for question in self._family.questions(exchange)
            ]
        found: list[list[Finding]] = [[] for _ in items]
        # One shape of question after another: all that share their answers are one batch.
        for shape in dict.fromkeys(_shape(question) for _, _, question in asked):
            alike = [entry for entry in asked if _shape(entry[2]) == shape]
            for (index, span, _), scores in zip(
                alike, self._scores([question for _, _, question in alike]), strict=True
            ):
                found[index] += [
                    Finding(category, round(score, 4), span, message=BY_NAME[category].message)
                    for category, score in scores.items()
                    if score >= self._params.min_score
                ]
        return found

    def _exchanges(self, item: Item) -> list[tuple[Span, Exchange]]:
        """What is judged: an output as the answer to its prompt where that is known, everything else as a user's message."""
        text, tokenizer = text_of(item), self._model.tokenizer
        if item.stage is Stage.OUTPUT and isinstance(item.prompt, Text) and item.prompt.text.strip():
            room = self._room // CONTEXT
            before = cut(tokenizer, item.prompt.text, room)[-1]  # of a long prompt its end
            user = item.prompt.text[slice(*before)]
            return [(span, Exchange(user, text[slice(*span)])) for span in cut(tokenizer, text, self._room - room)]
        return [(span, Exchange(text[slice(*span)])) for span in cut(tokenizer, text, self._room)]

    def _scores(self, questions: Sequence[Question]) -> list[dict[str, float]]:
        """Our categories with their scores, for questions of one shape."""
        import numpy as np

        one = questions[0]
        opening = self._text(one.opening)
        rows = [scoring.encode(self._model.tokenizer, question.prompt) + opening for question in questions]
        verdicts = [self._text(verdict) for verdict in one.verdicts]
        shares, answered = scoring.choices(self._model, rows, verdicts)
        if answered.min() < self._params.min_answered:
            raise OperationError(
                f"{self._model.facts['model']} does not answer as {self._family.name} does (probability {answered.min():.3f}): "
                "check `family`"
            )
        worth = np.array(list(one.verdicts.values()))
        harm = shares @ worth
        scores = [{question.category: float(score)} for question, score in zip(questions, harm, strict=True)]
        if one.names:
            # Behind the likeliest verdict that is not harmless, for those rows where a name can reach the least score.
            rated = [index for index in range(len(rows)) if harm[index] >= self._params.min_score]
            worst = np.where(worth > 0, shares, -1).argmax(axis=1)
            listed = self._listed(one, [rows[index] + verdicts[worst[index]] for index in rated])
            for index, chances in zip(rated, listed, strict=True):
                for name, chance in zip(one.names.values(), chances, strict=True):
                    scores[index][name] = max(scores[index].get(name, 0.0), float(harm[index] * chance))
        return scores

    def _listed(self, question: Question, rows: list[scoring.Row]) -> Any:
        """Array (rows, names): how likely each name is to be in the list, given the verdict.

        The likeliest list is followed; the names that could have stood in each of its places add up.
        """
        import numpy as np

        chances = np.zeros((len(rows), len(question.names)))
        reached = np.ones(len(rows))
        taken = np.zeros(chances.shape, dtype=bool)
        going = np.arange(len(rows))
        paths = list(rows)
        options = [self._text(question.lead + name) for name in question.names]
        ends: list[scoring.Row] = []
        for _ in range(LISTED):
            if not len(going):
                break
            shares, _ = scoring.choices(self._model, [paths[index] for index in going], [*options, *ends])
            names = np.where(taken[going], 0, shares[:, : len(options)])
            chances[going] += reached[going, None] * names
            best = names.argmax(axis=1)
            reached[going] *= names[np.arange(len(going)), best]
            for index, choice in zip(going, best, strict=True):
                taken[index, choice] = True
                paths[index] = paths[index] + options[choice]
            going = np.array([index for index in going if reached[index] >= LITTLE], dtype=int)
            options = [self._text(question.comma + name) for name in question.names]
            ends = self._ends()
        return chances.clip(0, 1)

    def _ends(self) -> list[scoring.Row]:
        """What follows the last name."""
        given = self._model.model.generation_config.eos_token_id
        tokens = {*(given if isinstance(given, list) else [given]), self._model.tokenizer.eos_token_id} - {None}
        return [[token] for token in sorted(tokens)] + [self._text("\n")]

    def _text(self, text: str) -> scoring.Row:
        return scoring.encode(self._model.tokenizer, (text,))

    def _overhead(self) -> int:
        """Tokens of a prompt around the text, and of the longest answer."""
        asked = [*self._family.questions(Exchange("")), *self._family.questions(Exchange("", ""))]
        longest = max(len(scoring.encode(self._model.tokenizer, question.prompt)) for question in asked)
        return longest + 64


def _shape(question: Question) -> tuple[object, ...]:
    return tuple(question.verdicts), tuple(question.names), question.opening
