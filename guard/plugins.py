"""From a checker's name to its class: a literal table for what ships, entry points (`guard.checkers`) for outsiders.

Nothing is imported before a policy names it, and nothing registers itself by being imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from guard.digest import JSON
from guard.errors import ConfigError
from guard.types import Checker

GROUP = "guard.checkers"

BUILT_IN = {
    "bias": "guard.checkers.bias:BiasChecker",
    "blocklist": "guard.checkers.blocklist:BlocklistChecker",
    "classifier": "guard.checkers.classifier:ClassifierChecker",
    "copyright": "guard.checkers.copyright:CopyrightChecker",
    "grounding": "guard.checkers.grounding:GroundingChecker",
    "image_text": "guard.checkers.image_text:ImageTextChecker",
    "injection": "guard.checkers.injection:InjectionChecker",
    "moderation": "guard.checkers.moderation:ModerationChecker",
    "nudity": "guard.checkers.nudity:NudityChecker",
    "pii": "guard.checkers.pii:PiiChecker",
    "provenance": "guard.checkers.provenance:ProvenanceChecker",
    "safety_model": "guard.checkers.safety_model:SafetyModelChecker",
    "secrets": "guard.checkers.secrets:SecretsChecker",
    "toxicity": "guard.checkers.toxicity:ToxicityChecker",
}


def checker_names() -> tuple[str, ...]:
    """Every name that a policy may use, sorted."""
    return tuple(sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))}))


def checker_class(use: str) -> type[Any]:
    """The class behind a name. Raises ConfigError when the name is unknown, ambiguous or its module does not import."""
    outsiders = [entry for entry in entry_points(group=GROUP) if entry.name == use]
    if len(outsiders) + (use in BUILT_IN) > 1:
        owners = ", ".join(sorted(entry.value for entry in outsiders))
        raise ConfigError(f"checker {use!r} is offered more than once ({owners}): uninstall all but one")
    try:
        if use in BUILT_IN:
            module, _, name = BUILT_IN[use].partition(":")
            found: object = getattr(importlib.import_module(module), name)
        elif outsiders:
            found = outsiders[0].load()
        else:
            known = ", ".join(checker_names())
            raise ConfigError(f"checker {use!r} is not known; known are {known}. Is its plug-in installed?")
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"checker {use!r} cannot be imported: {error}") from error
    if not isinstance(found, type):
        raise ConfigError(f"checker {use!r} is not a class")
    return found


def params_model(use: str) -> type[BaseModel] | None:
    """The model of a checker's parameters, or None where it takes none."""
    model = getattr(checker_class(use), "Params", None)
    if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ConfigError(f"checker {use!r}: its Params is not a pydantic model")
    return model


def categories(use: str) -> frozenset[str] | None:
    """What a checker may report, or None where it does not say."""
    found: frozenset[str] | None = getattr(checker_class(use), "categories", None)
    return found


def build_checker(use: str, params: Mapping[str, JSON]) -> Checker:
    """Make a checker. Whatever its constructor raises goes through."""
    model = params_model(use)
    checker: Checker = checker_class(use)(model(**params)) if model else checker_class(use)()
    return checker
