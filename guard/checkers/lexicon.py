"""Reading the bias checker's words and rules from `data/bias.txt`, whose head explains the format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).parent / "data" / "bias.txt"
_HEAD = re.compile(r"\[> (?P<kind>\w+)(?: (?P<score>[\d.]+) (?P<category>\w+): (?P<message>.+))?\]")
_NAME = re.compile(r"<(\w+)>")
INSTEAD = "=>"


@dataclass(frozen=True, slots=True)
class Rule:
    """An expression with what a match means. `kind` is group, subject, object, exempt or term.

    `words` is the expression without what must not stand around a match: where it is not, the expression is not either.
    """

    kind: str
    expression: re.Pattern[str]
    words: str
    score: float = 0.0
    category: str = ""
    message: str = ""  # ends in what to write instead, where the lexicon has that


@dataclass(slots=True)
class Lexicon:
    """The rules by kind, and the word lists by name."""

    rules: dict[str, list[Rule]] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    alternatives: dict[str, dict[str, str]] = field(default_factory=dict)

    def stems(self, name: str) -> re.Pattern[str]:
        """Words that begin with a stem of a list."""
        return re.compile(_either(self.words[name]))

    def instead(self, name: str, word: str) -> str:
        """What to write instead of a word of a list, or nothing; the longest stem counts."""
        found = [stem for stem in self.alternatives.get(name, {}) if re.match(stem, word)]
        return self.alternatives[name][max(found, key=len)] if found else ""


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
    for name, items in words.items():
        pairs = [item.partition(INSTEAD) for item in items]
        lexicon.alternatives[name] = {item: instead for item, _, instead in pairs if instead}
        words[name] = [item for item, _, _ in pairs]
    for head, lines in heads:
        plain = [line for line in lines if INSTEAD not in line]
        for group in ([plain] if plain else []) + [[line] for line in lines if INSTEAD in line]:
            rule = _rule(head, group, words)
            lexicon.rules.setdefault(rule.kind, []).append(rule)
    return lexicon


def _rule(head: str, lines: list[str], words: Mapping[str, list[str]]) -> Rule:
    """A rule from expressions, which are either several or one with what to write instead."""
    match = _HEAD.fullmatch(head)
    if match is None:
        raise ValueError(f"bias lexicon: {head} is not the head of a rule")
    first, _, instead = lines[0].partition(INSTEAD)
    lines = [first] if instead else lines
    pattern = _NAME.sub(lambda name: _either(words[name[1]]), "|".join(lines))
    expression = re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])")
    message = (match["message"] or "") + (f"; consider: {instead}" if instead else "")
    return Rule(match["kind"], expression, pattern, float(match["score"] or 0), match["category"] or "", message)


def _either(options: list[str]) -> str:
    return "|".join(sorted(options, key=len, reverse=True))
