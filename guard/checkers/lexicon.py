"""Reading the bias checker's words and rules from `data/bias.txt`, whose head explains the format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).parent / "data" / "bias.txt"
_HEAD = re.compile(r"\[> (?P<kind>\w+)(?: (?P<score>[\d.]+) (?P<category>\w+): (?P<message>.+))?\]")
_NAME = re.compile(r"<(\w+)>")


@dataclass(frozen=True, slots=True)
class Rule:
    """An expression with what a match means. `kind` is group, subject, object, exempt or term."""

    kind: str
    expression: re.Pattern[str]
    score: float = 0.0
    category: str = ""
    message: str = ""


@dataclass(slots=True)
class Lexicon:
    """The rules by kind, and the word lists by name."""

    rules: dict[str, list[Rule]] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)

    def stems(self, name: str) -> re.Pattern[str]:
        """Words that begin with a stem of a list."""
        return re.compile(_either(self.words[name]))


def load(more_groups: tuple[str, ...] = (), source: Path = SOURCE) -> Lexicon:
    """The lexicon, with further terms for groups of people."""
    words: dict[str, list[str]] = {}
    heads: list[tuple[str, list[str]]] = []
    target: list[str] = []
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.startswith("[>"):
            heads.append((line, target := []))
        elif line.startswith("["):
            target = words.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            target += [line] if heads else line.split("|")
    words["groups"] += [re.escape(name.lower()) for name in more_groups]
    lexicon = Lexicon(words=words)
    for head, lines in heads:
        rule = _rule(head, lines, words)
        lexicon.rules.setdefault(rule.kind, []).append(rule)
    return lexicon


def _rule(head: str, lines: list[str], words: Mapping[str, list[str]]) -> Rule:
    match = _HEAD.fullmatch(head)
    if match is None:
        raise ValueError(f"bias lexicon: {head} is not the head of a rule")
    pattern = _NAME.sub(lambda name: _either(words[name[1]]), "|".join(lines))
    expression = re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])")
    return Rule(match["kind"], expression, float(match["score"] or 0), match["category"] or "", match["message"] or "")


def _either(options: list[str]) -> str:
    return "|".join(sorted(options, key=len, reverse=True))
