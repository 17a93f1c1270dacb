"""Whether an expression of the `regex` module can match a text at all, answered for many expressions by one RE2 pass.

Each expression is widened to one that RE2 takes and that matches wherever the original does: look-arounds and boundaries are
left out, back-references become anything, and classes take in all of Unicode. So what did not fire cannot match, and what
fired is tried for itself. An expression that cannot be widened always fires.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MEMORY = 256 << 20  # bytes for RE2's automaton: with too little it gives up, and Python would not be told
_CANARY = "\x00genguard canary\x00"
_LOOK = ("(?=", "(?!", "(?<=", "(?<!")
_CLASSES = {
    "d": r"\p{Nd}",
    "w": r"\pL\pM\p{Nd}\p{Nl}\p{No}\p{Pc}\x{200c}\x{200d}",
    "s": r"\s\pZ\x0b\x1c-\x1f\x85",
}
_ASCII_CLASSES = {"d": r"\d", "w": r"\w", "s": r"\s\x0b\x1c-\x1f"}
_ANYTHING = r"(?s:.*)"
_EVERY = r"[\x00-\x{10ffff}]"
_QUANTIFIER = re.compile(r"\{\d+(?:,\d*)?\}")
_UNREADABLE = "0CEGKLMNPQXgkmp"  # escapes that mean something else to RE2, or nothing
_FOLDED_OTHERWISE = re.compile("[\u0130\u0131]")  # dotless and dotted i: only one of the two takes them for an i
_SURROGATE = re.compile("[\ud800-\udfff]")


class Gate:
    """Says which of some expressions might match. Build once; safe to share between threads.

    `expressions` are pairs: the expression, and whether it ignores case. Raises ImportError without google-re2.
    """

    def __init__(self, expressions: Sequence[tuple[str, bool]]) -> None:
        self.always: set[int] = set()
        self._ascii, self._any, self._all = _Set(), _Set(), set(range(len(expressions)))
        for number, (expression, ignore_case) in enumerate(expressions):
            if ignore_case and _FOLDED_OTHERWISE.search(
                expression
            ):  # they match an I in a text, which RE2 would not see
                self.always.add(number)
                continue
            for chosen, wide in ((self._ascii, False), (self._any, True)):
                try:
                    chosen.add(number, widen(expression, wide=wide), ignore_case=ignore_case)
                except (ValueError, IndexError):
                    self.always.add(number)
        self._ascii.compile()
        self._any.compile()

    def fired(self, text: str) -> set[int]:
        """The numbers of the expressions that might match somewhere in the text."""
        if text.isascii():
            return self._ascii.match(text) | self.always
        if _FOLDED_OTHERWISE.search(text):
            return self._all
        # RE2 takes UTF-8, which has no lone surrogates: a private character is in the same widened classes.
        return self._any.match(_SURROGATE.sub("\ue000", text)) | self.always


class _Set:
    def __init__(self) -> None:
        import re2  # type: ignore[import-untyped]

        self._options = re2.Options()
        self._options.log_errors = False
        self._options.max_mem = _MEMORY
        self._set = re2.Set.SearchSet(self._options)
        self._numbers: list[int] = []

    def add(self, number: int, expression: str, *, ignore_case: bool) -> None:
        """Raises ValueError for an expression that RE2 does not take."""
        import re2

        flagged = f"(?{'i' if ignore_case else ''}ms){expression}"
        try:
            re2.compile(flagged, self._options)
            self._set.Add(flagged)
        except re2.error as error:
            raise ValueError(str(error)) from error
        self._numbers.append(number)

    def compile(self) -> None:
        import re2

        self._set.Add(re2.escape(_CANARY))
        self._numbers.append(-1)
        self._set.Compile()
        if -1 not in self.match(_CANARY):
            raise MemoryError("RE2 has too little memory for these expressions")

    def match(self, text: str) -> set[int]:
        return {self._numbers[index] for index in self._set.Match(text) or ()}


def widen(expression: str, *, wide: bool) -> str:
    """An expression for RE2 that matches wherever this one does; `wide` for texts that are not ASCII.

    Raises ValueError or IndexError for what it cannot read.
    """
    out: list[str] = []
    at = 0
    while at < len(expression):
        char = expression[at]
        if char == "\\":
            piece, at = _escape(expression, at, wide=wide)
        elif char == "[":
            end = _class_end(expression, at)
            piece, at = _class(expression[at:end], wide=wide), end
        elif char == "{":
            quantifier = _QUANTIFIER.match(expression, at)
            if quantifier is None:  # {,3} and the fuzzy {e<=1} would be plain text to RE2
                raise ValueError("an unusual quantifier")
            piece, at = quantifier.group(), quantifier.end()
        elif expression.startswith(_LOOK, at):
            piece, at = "(?:)", _group_end(expression, at)
        else:
            piece, at = char, at + 1
        out.append(piece)
    return "".join(out)


def _escape(expression: str, at: int, *, wide: bool) -> tuple[str, int]:
    char = expression[at + 1]
    if char in "123456789":
        end = at + 2
        while expression[end : end + 1].isdigit():
            end += 1
        return _ANYTHING, end
    if char in _UNREADABLE:
        raise ValueError(f"\\{char}")
    if char in "bBAZ":
        return r"\b" if char == "b" and not wide else "(?:)", at + 2
    if char in _CLASSES:
        return f"[{(_CLASSES if wide else _ASCII_CLASSES)[char]}]", at + 2
    if char.lower() in _CLASSES:
        return _EVERY if wide else f"\\{char}", at + 2
    return expression[at : at + 2], at + 2


def _class(text: str, *, wide: bool) -> str:
    if "[" in text[1:] or any(operator in text for operator in ("&&", "||", "--", "~~")):
        raise ValueError("nested or combined classes")
    negated = text.startswith("[^")
    if wide and negated:  # what widens a class narrows its complement
        return _EVERY
    classes = _CLASSES if wide else _ASCII_CLASSES
    out, at = [], 0
    while at < len(text):
        if text[at] != "\\":
            out.append(text[at])
            at += 1
            continue
        name = text[at + 1]
        if name in _UNREADABLE or name.isdigit():
            raise ValueError(f"\\{name}")
        if wide and name in "DWS":
            return _EVERY
        out.append(text[at : at + 2] if negated else classes.get(name, text[at : at + 2]))
        at += 2
    return "".join(out)


def _class_end(expression: str, at: int) -> int:
    end = at + 1
    if expression[end] == "^":
        end += 1
    if expression[end] == "]":
        end += 1
    while expression[end] != "]":
        end += 2 if expression[end] == "\\" else 1
    return end + 1


def _group_end(expression: str, at: int) -> int:
    depth, end = 0, at
    while True:
        char = expression[end]
        if char == "\\":
            end += 2
            continue
        if char == "[":
            end = _class_end(expression, end)
            continue
        depth += (char == "(") - (char == ")")
        end += 1
        if depth == 0:
            return end
