"""Secrets: keys and tokens of some eighty vendors, private keys, connection strings, passwords beside their names.

Findings say what kind of secret it is and where, never what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator

from guard.checkers.credentials import gitleaks
from guard.checkers.credentials.match import LONGEST, Form, PrivateKeys
from guard.checkers.credentials.rules import RULES
from guard.checkers.patterns import Scanner, surest
from guard.checkers.shadow import Shadow, tokens
from guard.checkers.text import text_of
from guard.digest import file_label
from guard.types import Finding, Item

TITLES = {rule.category: rule.title for rule in RULES} | {PrivateKeys.category: PrivateKeys.title}
OTHER = "a secret"


class SecretsChecker:
    """Finds secrets. Categories are the vendor and the kind, such as GITHUB_TOKEN."""

    class Params(BaseModel, extra="forbid", frozen=True):
        """What a policy may set."""

        leave_out: frozenset[str] = Field(frozenset(), description="categories of ours not to look for")
        min_score: float = Field(0.5, ge=0, le=1, description="lowest score that is reported")
        allow: tuple[str, ...] = Field((), description="literal texts that are never reported, such as keys for tests")
        rules: tuple[Path, ...] = Field((), description="files with more rules, in gitleaks' TOML format")

        @field_validator("leave_out")
        @classmethod
        def _known(cls, value: frozenset[str]) -> frozenset[str]:
            unknown = sorted(value - TITLES.keys())
            if unknown:
                raise ValueError(f"unknown category {unknown[0]!r}; known are {', '.join(sorted(TITLES))}")
            return value

        @field_validator("rules")
        @classmethod
        def _readable(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
            for path in value:
                gitleaks.load(path)
            return value

    name = "secrets"
    kinds = frozenset({"text"})
    horizon = "span"

    def __init__(self, params: Params) -> None:
        self._params = params
        self._titles = dict(TITLES)
        finders: list[Any] = [Form(rule) for rule in RULES if rule.category not in params.leave_out]
        if PrivateKeys.category not in params.leave_out:
            finders.append(PrivateKeys())
        for path in params.rules:
            forms, titles = gitleaks.load(path)
            finders += forms
            self._titles = {**titles, **self._titles}
        self._scanner: Scanner[Shadow] = Scanner(finders)
        self._allow = frozenset(params.allow)
        self.version = "+".join(["2", *map(file_label, params.rules)])

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """The secrets in each text."""
        return [self._findings(text_of(item)) for item in items]

    def pending(self, text: str) -> int:
        """How many of the last characters more text could make, or change, a secret of; at most LONGEST."""
        view = tokens(text)
        held = self._scanner.pending(view.data, LONGEST)
        return len(text) - view.span(len(view.data) - held, len(view.data)).start if held else 0

    def _findings(self, text: str) -> list[Finding]:
        view = tokens(text)
        found = []
        for start, end, category, score in surest(self._scanner.scan(view)):
            span = view.span(start, end)
            if score >= self._params.min_score and text[slice(*span)] not in self._allow:
                found.append(Finding(category, score, span, message=self._titles.get(category, OTHER)))
        return found
