"""Rules in gitleaks' TOML format, from a file that a policy names. Its expressions are RE2 already.

Taken: id, description, regex, secretGroup, entropy, keywords, and allow lists (regexes, stopwords; of a rule and of the file).
Rules that look at paths only are left out: there are none here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import re2  # type: ignore[import-untyped]

from guard.checkers.credentials.match import Form
from guard.checkers.credentials.rules import Rule
from guard.checkers.patterns import compiled

MAX_BYTES = 1 << 22


def load(path: Path) -> tuple[tuple[Form, ...], dict[str, str]]:
    """The recognizers of a file, and a title for each category. Raises ValueError that names the file and the rule."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path} is larger than {MAX_BYTES} bytes; is this a file of rules?")
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read the rules in {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    rules = document.get("rules")
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ValueError(f"{path} has no [[rules]]; this reads gitleaks' format")
    shared = _lists(document)
    forms, titles = [], {}
    for rule in rules:
        if "regex" in rule:
            name = str(rule.get("id", "unnamed"))
            category = re.sub(r"\W+", "_", name).upper()
            try:
                forms.append(_form(rule, category, shared))
            except (re2.error, TypeError, ValueError) as error:
                (why, *_) = error.args or ("",)
                text = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
                raise ValueError(f"{path}: rule {name!r} cannot be used: {text}") from error
            titles[category] = str(rule.get("description", name))
    return tuple(forms), titles


def _form(rule: Mapping[str, Any], category: str, shared: Sequence[Mapping[str, Any]]) -> Form:
    keywords = [str(word) for word in rule.get("keywords", ())]
    sign = "(?i)" + "|".join(map(re2.escape, keywords)) if keywords else rule["regex"]
    made = Rule(category, category, sign, rule["regex"], float(rule.get("entropy", 0)), lambda _: True, 0.9)
    return Form(made, int(rule.get("secretGroup", 0)), _allowed([*_lists(rule), *shared]))


def _lists(holder: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = [*holder.get("allowlists", ()), *([holder["allowlist"]] if "allowlist" in holder else [])]
    return [one for one in found if one.get("regexes") or one.get("stopwords")]


def _allowed(lists: Sequence[Mapping[str, Any]]) -> Callable[[str, str], bool]:
    """Whether a secret (or, where a list says so, the whole match) is one that rules are told to leave alone."""
    tests = [
        (
            [compiled(str(pattern)) for pattern in one.get("regexes", ())],
            [str(word).lower() for word in one.get("stopwords", ())],
            one.get("regexTarget") in ("match", "line"),
        )
        for one in lists
    ]

    def allowed(secret: str, match: str) -> bool:
        for patterns, words, whole in tests:
            target = (match if whole else secret).encode()
            if any(pattern.search(target) is not None for pattern in patterns):
                return True
            if any(word in secret.lower() for word in words):
                return True
        return False

    return allowed
