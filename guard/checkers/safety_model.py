"""Safety language models (Llama Guard, ShieldGemma, Granite Guardian, Qwen3Guard), here or served, in their own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from pydantic import Field

from guard import models
from guard.checkers.endpoint import Client, Endpoint
from guard.checkers.families import Exchange, Family, Question
from guard.checkers.families.granite_guardian import GRANITE_GUARDIAN
from guard.checkers.families.llama_guard import LLAMA_GUARD_3, LLAMA_GUARD_3_1B, LLAMA_GUARD_4
from guard.checkers.families.qwen3guard import QWEN3GUARD
from guard.checkers.families.shieldgemma import SHIELDGEMMA
from guard.checkers.hazards import BY_NAME
from guard.checkers.local import LocalModel, LocalTexts
from guard.checkers.served import ServedTexts
from guard.checkers.text import text_of
from guard.errors import ConfigError, OperationError
from guard.models import TextModel
from guard.scoring import Prompt
from guard.types import Finding, Item, Span, Stage, Text

FAMILIES = {
    family.name: family
    for family in (LLAMA_GUARD_3, LLAMA_GUARD_3_1B, LLAMA_GUARD_4, SHIELDGEMMA, GRANITE_GUARDIAN, QWEN3GUARD)
}
LISTED = 3  # how many names of a list are followed
LITTLE = 0.05  # a list that is less likely than this to go on is not followed
CONTEXT = 4  # the prompt that an answer belongs to gets one part in so many of the room


class Texts(Protocol):
    """A language model, wherever it runs. `exact`: it is handed tokens, so no text can hold a control token."""

    name: str
    version: str
    exact: bool

    def room(self, prompts: Sequence[Prompt]) -> int:
        """How many tokens of a text it reads within the longest of some prompts."""

    def cut(self, text: str, room: int) -> list[Span]:
        """Stretches of about `room` tokens that cover a text and overlap."""

    def answers(
        self, paths: Sequence[Sequence[Prompt]], options: Sequence[str], *, may_end: bool = False
    ) -> tuple[Any, Any]:
        """How likely each option follows each path, if one does: array (paths, options); and how likely one does: (paths,).

        A path is a prompt with what the model has said by then. With `may_end` it may as well say no more.
        """


class SafetyModelChecker:
    """Reports the model's verdict and the categories that it names, with their probabilities. `model` can be handed in."""

    class Params(LocalModel):
        """What a policy may set."""

        endpoint: Endpoint | None = Field(
            None,
            description="where the model is served, if not here: an OpenAI-compatible /v1/completions, such as vLLM's; `model` "
            "is then its name there",
        )
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
        self._texts: Texts = (
            ServedTexts(Client(params.endpoint), str(params.model))
            if params.endpoint
            else LocalTexts(model or params.loaded(models.load_text))
        )
        asked = [*self._questions(Exchange("")), *self._questions(Exchange("", ""))]
        self._room = min(params.max_tokens, self._texts.room([question.prompt for question in asked]))
        if self._room < 16:
            raise ConfigError(f"{self._texts.name} does not read enough tokens for {params.family} and a text")
        self.version = f"1+{self._family.name}.{self._family.version}+{self._texts.version}"

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """For each item, or window of a long one, the verdict (`unsafe`) and the categories that reach `min_score`."""
        asked: list[tuple[int, Span, Question]] = []
        for index, item in enumerate(items):
            asked += [
                (index, span, question)
                for span, exchange in self._exchanges(item)
                for question in self._questions(exchange)
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
        text, cut = text_of(item), self._texts.cut
        if item.stage is Stage.OUTPUT and isinstance(item.prompt, Text) and item.prompt.text.strip():
            room = self._room // CONTEXT
            before = cut(item.prompt.text, room)[-1]  # of a long prompt its end
            user = item.prompt.text[slice(*before)]
            return [(span, Exchange(user, text[slice(*span)])) for span in cut(text, self._room - room)]
        return [(span, Exchange(text[slice(*span)])) for span in cut(text, self._room)]

    def _questions(self, exchange: Exchange) -> tuple[Question, ...]:
        return self._family.questions(exchange, tags_of_its_own_only=self._texts.exact)

    def _scores(self, questions: Sequence[Question]) -> list[dict[str, float]]:
        """Our categories with their scores, for questions of one shape."""
        import numpy as np

        one = questions[0]
        paths = [(question.prompt, (question.opening,)) for question in questions]
        verdicts = list(one.verdicts)
        shares, answered = self._texts.answers(paths, verdicts)
        if answered.min() < self._params.min_answered:
            raise OperationError(
                f"{self._texts.name} does not answer as {self._family.name} does (probability {answered.min():.3f}): "
                "check `family`"
            )
        worth = np.array(list(one.verdicts.values()))
        harm = shares @ worth
        scores = [{question.category: float(score)} for question, score in zip(questions, harm, strict=True)]
        if one.names:
            # Behind the likeliest verdict that is not harmless, for those rows where a name can reach the least score.
            rated = [index for index in range(len(paths)) if harm[index] >= self._params.min_score]
            worst = np.where(worth > 0, shares, -1).argmax(axis=1)
            listed = self._listed(one, [(*paths[index], (verdicts[worst[index]],)) for index in rated])
            for index, chances in zip(rated, listed, strict=True):
                for name, chance in zip(one.names.values(), chances, strict=True):
                    scores[index][name] = max(scores[index].get(name, 0.0), float(harm[index] * chance))
        return scores

    def _listed(self, question: Question, paths: list[tuple[Prompt, ...]]) -> Any:
        """Array (paths, names): how likely each name is to be in the list, given the verdict.

        The likeliest list is followed; the names that could have stood in each of its places add up.
        """
        import numpy as np

        chances = np.zeros((len(paths), len(question.names)))
        reached = np.ones(len(paths))
        taken = np.zeros(chances.shape, dtype=bool)
        going = np.arange(len(paths))
        for place in range(LISTED):
            if not len(going):
                break
            options = [(question.comma if place else question.lead) + name for name in question.names]
            shares, _ = self._texts.answers([paths[index] for index in going], options, may_end=place > 0)
            names = np.where(taken[going], 0, shares)
            chances[going] += reached[going, None] * names
            best = names.argmax(axis=1)
            reached[going] *= names[np.arange(len(going)), best]
            for index, choice in zip(going, best, strict=True):
                taken[index, choice] = True
                paths[index] = (*paths[index], (options[choice],))
            going = np.array([index for index in going if reached[index] >= LITTLE], dtype=int)
        return chances.clip(0, 1)


def _shape(question: Question) -> tuple[object, ...]:
    return tuple(question.verdicts), tuple(question.names), question.opening
