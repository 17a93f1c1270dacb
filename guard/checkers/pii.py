"""Personal data: e-mail addresses, phone numbers, cards, accounts and identity numbers, all offline.

The native engine finds them by form, check digits and the words nearby, disguised ones included; presidio's patterns may be
asked beside it. Names of people need a model and are not looked for.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from guard.checkers.patterns import surest
from guard.checkers.personal import native
from guard.checkers.personal.custom import Custom, Recognizer
from guard.checkers.personal.emails import EMAIL
from guard.checkers.personal.phones import PHONE
from guard.checkers.personal.presidio import RECOGNIZERS, Pattern, Presidio, installed, patterns
from guard.checkers.text import text_of
from guard.types import Finding, Item, Span

KNOWN = native.CATEGORIES | frozenset(RECOGNIZERS)
MESSAGE = {
    EMAIL: "an e-mail address",
    PHONE: "a phone number",
    "CREDIT_CARD": "a payment card number with a valid check digit",
    "IBAN_CODE": "a bank account number with valid check digits",
    "IP_ADDRESS": "an IP address",
    "DATE_OF_BIRTH": "a date of birth",
    "URL_CREDENTIALS": "an address that carries a name and a password",
}
OTHER = "a number or code that identifies a person or an account"
CUSTOM = "what a recognizer of the policy looks for"


class PiiChecker:
    """Finds personal data. Categories are presidio's names of entities, and ours in the same manner."""

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        engine: Literal["native", "presidio", "both"] | None = Field(
            None, description="who looks; default: both where presidio is installed, else native"
        )
        entities: frozenset[str] = Field(KNOWN, description="categories to look for; default: all")
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

        @field_validator("entities")
        @classmethod
        def _known(cls, value: frozenset[str]) -> frozenset[str]:
            unknown = sorted(value - KNOWN)
            if unknown:
                raise ValueError(f"unknown entity {unknown[0]!r}; known are {', '.join(sorted(KNOWN))}")
            return value

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
            beyond = sorted(self.entities - frozenset(RECOGNIZERS))
            if self.engine == "presidio" and "entities" in self.model_fields_set and beyond:
                raise ValueError(f"the presidio engine does not look for {beyond[0]}; use engine: both")
            return self

    name = "pii"
    kinds = frozenset({"text"})
    horizon = "span"

    def __init__(self, params: Params, load: Callable[[frozenset[str]], Sequence[Pattern]] = patterns) -> None:
        self._params = params
        engine = params.engine or ("both" if installed() else "native")
        self._native = native.Native(
            params.entities if engine != "presidio" else frozenset(), params.regions, params.context_window
        )
        self._others: list[Presidio | Custom] = []
        if engine != "native" and (loaded := load(params.entities & frozenset(RECOGNIZERS))):
            self._others.append(Presidio(loaded, params.context_window, params.pattern_timeout))
        if params.recognizers:
            self._others.append(Custom(params.recognizers, params.context_window))
        self._own = frozenset(recognizer.category for recognizer in params.recognizers)
        self._allow = frozenset(text.casefold() for text in params.allow)
        used = ["phonenumbers", "google-re2"] + ["presidio-analyzer"] * (engine != "native")
        self.version = "+".join(["3", engine, *(f"{name}-{importlib.metadata.version(name)}" for name in used)])

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """The personal data in each text; where kinds overlap, the surest one is named."""
        return [self._findings(text_of(item)) for item in items]

    def pending(self, text: str) -> int:
        """How many of the last characters of a text the native engine cannot be sure of before it has seen more.

        Recognizers of the policy hold back as much as they may match, whatever stands there; presidio's hold a little more
        than its longest pattern.
        """
        return max(self._native.pending(text), *(min(len(text), other.longest) for other in self._others), 0)

    def _findings(self, text: str) -> list[Finding]:
        found = []
        for start, end, category, score in surest(self._matches(text)):
            if not self._allow or text[start:end].casefold() not in self._allow:
                message = CUSTOM if category in self._own else MESSAGE.get(category, OTHER)
                found.append(Finding(category, score, Span(start, end), message=message))
        return found

    def _matches(self, text: str) -> Iterator[tuple[int, int, str, float]]:
        for engine in (self._native, *self._others):
            for category, score, span in engine.matches(text):
                if score >= self._params.min_score:
                    yield *span, category, score
