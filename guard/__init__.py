"""genguard: check, decide, stamp and record every generation.

The public names are imported when they are first used, so that `import guard` costs almost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guard.version import VERSION

if TYPE_CHECKING:
    from guard.errors import Blocked, GuardError, HeldForReview
    from guard.generators.scripted import ScriptedGenerator
    from guard.pipeline import Guard
    from guard.provenance.inspector import Inspector, inspect
    from guard.provenance.verdict import Inspection, Verdict
    from guard.types import (
        Action,
        Audio,
        Checker,
        CheckResult,
        Content,
        Decision,
        Document,
        Finding,
        Generated,
        Generator,
        Image,
        Item,
        Outcome,
        Receipt,
        Region,
        Request,
        Span,
        Stage,
        Stamp,
        State,
        Status,
        Text,
        Video,
    )

__version__ = VERSION

_HOMES = {
    "Action": "types",
    "Audio": "types",
    "Blocked": "errors",
    "CheckResult": "types",
    "Checker": "types",
    "Content": "types",
    "Decision": "types",
    "Document": "types",
    "Finding": "types",
    "Generated": "types",
    "Generator": "types",
    "Guard": "pipeline",
    "GuardError": "errors",
    "HeldForReview": "errors",
    "Image": "types",
    "Inspection": "provenance.verdict",
    "Inspector": "provenance.inspector",
    "Item": "types",
    "Outcome": "types",
    "Receipt": "types",
    "Region": "types",
    "Request": "types",
    "ScriptedGenerator": "generators.scripted",
    "Span": "types",
    "Stage": "types",
    "Stamp": "types",
    "State": "types",
    "Status": "types",
    "Text": "types",
    "Verdict": "provenance.verdict",
    "Video": "types",
    "inspect": "provenance.inspector",
}

__all__ = [
    "Action",
    "Audio",
    "Blocked",
    "CheckResult",
    "Checker",
    "Content",
    "Decision",
    "Document",
    "Finding",
    "Generated",
    "Generator",
    "Guard",
    "GuardError",
    "HeldForReview",
    "Image",
    "Inspection",
    "Inspector",
    "Item",
    "Outcome",
    "Receipt",
    "Region",
    "Request",
    "ScriptedGenerator",
    "Span",
    "Stage",
    "Stamp",
    "State",
    "Status",
    "Text",
    "Verdict",
    "Video",
    "__version__",
    "inspect",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'guard' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"guard.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
