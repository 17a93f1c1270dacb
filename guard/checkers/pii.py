"""Personal data: e-mail addresses, phone numbers, cards, accounts and identity numbers, all offline.

The native engine finds them by form, check digits and the words nearby, disguised ones included; presidio's patterns may be
asked beside it. Names and postal addresses are found by a small network that ships, where the policy asks for them.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, Field, field_validator, model_validator

from guard.checkers.patterns import surest
from guard.checkers.personal import names, native
from guard.checkers.personal.custom import Custom, Recognizer
from guard.checkers.personal.emails import EMAIL
from guard.checkers.personal.ner import Ner, NerModel
from guard.checkers.personal.phones import PHONE
from guard.checkers.personal.presidio import RECOGNIZERS, Pattern, Presidio, installed, patterns
from guard.checkers.personal.whole import ANALYZED, NOISY, Whole
from guard.checkers.text import text_of
from guard.types import Finding, Item, Span

KNOWN = native.CATEGORIES | names.CATEGORIES | frozenset(ANALYZED)
MESSAGE = {
    EMAIL: "an e-mail address",
    PHONE: "a phone number",
    "CREDIT_CARD": "a payment card number with a valid check digit",
    "IBAN_CODE": "a bank account number with valid check digits",
    "IP_ADDRESS": "an IP address",
    "DATE_OF_BIRTH": "a date of birth",
    "URL_CREDENTIALS": "an address that carries a name and a password",
    "PERSON": "the name of a person",
    "LOCATION": "the name of a place",
    "ORGANIZATION": "the name of an organisation",
    "ADDRESS": "a postal address",
}
OTHER = "a number or code that identifies a person or an account"
CUSTOM = "what a recognizer of the policy looks for"


class Engine(Protocol):
    """What finds kinds of personal data in a text."""

    def matches(self, text: str) -> Iterator[tuple[str, float, Span]]:
        """Category, score and place of every match."""
        ...

    def pending(self, text: str) -> int:
        """How many of the last characters more text could make, or change, a match of."""
        ...


class PiiChecker:
    """Finds personal data. Categories are presidio's names of entities, and ours in the same manner."""

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        engine: Literal["native", "presidio", "both"] | None = Field(
            None,
            description="who looks: native, presidio's whole analyzer, or native with presidio's patterns beside it (both); "
            "default: both where presidio is installed, else native",
        )
        names: bool | NerModel = Field(
            False,
            description="also look for names of people, places and organisations, and for postal addresses: true for the "
            "recognizer that ships, or a model of your own",
        )
        entities: frozenset[str] = Field(
            KNOWN - NOISY,
            description="categories to look for; default: all that the engine has, but for dates and links",
        )
        min_score: float = Field(0.5, ge=0, le=1, description="lowest score that is reported")
        allow: tuple[str, ...] = Field(
            (), description="literal texts that are never reported, such as your own phone number"
        )
        recognizers: tuple[Recognizer, ...] = Field(
            (), description="categories of your own, by pattern or by a list of words"
        )
        regions: tuple[str, ...] = Field(
            ("US", "GB", "DE", "FR"), description="whose national phone numbers to look for"
        )
        context_window: int = Field(
            64, ge=0, le=512, description="characters before a match that are searched for context"
        )
        pattern_timeout: float = Field(
            1.0, gt=0, le=60, description="seconds for one presidio pattern; then the check fails"
        )

        @field_validator("regions")
        @classmethod
        def _regions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
            from phonenumbers import SUPPORTED_REGIONS

            for region in value:
                if region not in SUPPORTED_REGIONS:
                    raise ValueError(
                        f"no phone numbers are known for region {region!r}; use ISO 3166 codes such as US or DE"
                    )
            return value

        @model_validator(mode="after")
        def _reached(self) -> PiiChecker.Params:
            if "entities" not in self.model_fields_set:
                return self
            named = self.named
            for entity in sorted(self.entities - named):
                if entity in names.CATEGORIES:
                    raise ValueError(f"nobody looks for {entity}: set names: true, or map a label of your model to it")
                if entity not in KNOWN | named:
                    raise ValueError(f"unknown entity {entity!r}; known are {', '.join(sorted(KNOWN | named))}")
                if self.engine == "presidio" and entity not in ANALYZED:
                    raise ValueError(f"the presidio engine does not look for {entity}; use engine: both")
                if self.engine != "presidio" and entity in NOISY:
                    raise ValueError(f"only the presidio engine looks for {entity}; use engine: presidio")
            return self

        @property
        def named(self) -> frozenset[str]:
            """The categories that the recognizer of names may find."""
            every = self.names.categories if isinstance(self.names, NerModel) else names.CATEGORIES
            if not self.names:
                return frozenset()
            return every & self.entities if "entities" in self.model_fields_set else every

    name = "pii"
    kinds = frozenset({"text"})
    horizon = "span"

    def __init__(self, params: Params, load: Callable[[frozenset[str]], Sequence[Pattern]] = patterns) -> None:
        self._params = params
        engine = params.engine or ("both" if installed() else "native")
        self._engines: list[Engine] = []
        used = ["phonenumbers", "google-re2"] + ["presidio-analyzer"] * (engine != "native")
        parts = ["4", engine, *(f"{name}-{importlib.metadata.version(name)}" for name in used)]
        finder: names.Names | Ner | None = None
        if params.named:
            if isinstance(params.names, NerModel):
                finder = Ner(params.names, params.named, strict="entities" in params.model_fields_set)
            else:
                finder = names.Names(params.named, params.min_score)
            parts.append(f"names-{finder.version}")
        if engine == "presidio":
            heavy = isinstance(params.names, NerModel)
            whole = Whole(
                params.entities, params.regions, params.pattern_timeout, finder=finder, named=params.named, heavy=heavy
            )
            self._engines.append(whole)
        else:
            self._engines.append(native.Native(params.entities, params.regions, params.context_window))
            if engine == "both" and (loaded := load(params.entities & frozenset(RECOGNIZERS))):
                self._engines.append(Presidio(loaded, params.context_window, params.pattern_timeout))
            if finder is not None:
                self._engines.append(finder)
        if engine == "presidio" or isinstance(finder, Ner):
            self.horizon = "document"
        if params.recognizers:
            self._engines.append(Custom(params.recognizers, params.context_window))
        self._own = frozenset(recognizer.category for recognizer in params.recognizers)
        self._allow = frozenset(text.casefold() for text in params.allow)
        self.version = "+".join(parts)

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """The personal data in each text; where kinds overlap, the surest one is named."""
        return [self._findings(text_of(item)) for item in items]

    def pending(self, text: str) -> int:
        """How many of the last characters of a text cannot be judged before more of it has been seen."""
        return max((engine.pending(text) for engine in self._engines), default=0)

    def _findings(self, text: str) -> list[Finding]:
        found = []
        for start, end, category, score in surest(self._matches(text)):
            if not self._allow or text[start:end].casefold() not in self._allow:
                message = CUSTOM if category in self._own else MESSAGE.get(category, OTHER)
                found.append(Finding(category, score, Span(start, end), message=message))
        return found

    def _matches(self, text: str) -> Iterator[tuple[int, int, str, float]]:
        for engine in self._engines:
            for category, score, span in engine.matches(text):
                if score >= self._params.min_score:
                    yield *span, category, score
