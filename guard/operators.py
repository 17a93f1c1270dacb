"""What takes the place of a redacted stretch, without keys, files or state. Names and parameters are presidio-anonymizer's.

Nothing that is put into a text contains a quotation mark, a backslash or a control character, and no escape sequence is cut
in two: a redaction inside a JSON string leaves valid JSON. Where spans overlap, the operator that leaves least wins.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

WEAKEST_FIRST = ("mask", "pseudonym", "encrypt", "hash", "replace", "redact")
KEYED = frozenset({"hash", "encrypt", "pseudonym"})
PARAMETERS = {
    "replace": ("new_value",),
    "redact": (),
    "mask": ("masking_char", "chars_to_mask", "from_end"),
    "hash": (),
    "encrypt": (),
    "pseudonym": ("shape", "scope", "restore"),
}
UNSAFE = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_UNSAFE_LABEL = re.compile(rf"[\[\]]|{UNSAFE.pattern}")
_UNICODE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}")
_LONGEST = 12  # characters of an escape sequence: two halves of a character outside the basic plane


@dataclass(frozen=True, slots=True)
class Operator:
    """How a rule redacts. `new_value` None: `[CATEGORY]`; `chars_to_mask` None: all of them.

    A pseudonym's `shape` is "label" (`[PERSON_1]`) or "same" (letters for letters, digits for digits); its `scope`, within
    which equal values get equal pseudonyms, is "request" or "subject"; `restore` turns those of the prompt back in the answer.
    """

    name: str = "replace"
    new_value: str | None = None
    masking_char: str = "*"
    chars_to_mask: int | None = None
    from_end: bool = False
    shape: str = "label"
    scope: str = "request"
    restore: bool = False


LABEL = Operator()  # what happens where a rule names no operator


class Redaction(NamedTuple):
    """Characters to be replaced, why, and by what."""

    start: int
    end: int
    category: str
    rule: str
    operator: Operator = LABEL


class Cover(NamedTuple):
    """A part of an image (x, y, width, height in pixels) to be covered, why, and how."""

    region: tuple[int, int, int, int]
    category: str
    rule: str
    operator: Operator = LABEL


def strictest(operators: Sequence[Operator]) -> Operator:
    """The operator for a stretch that several want, each in its own way; among equals the first, restored only if all agree.

    A mask covers the whole stretch then: what one of several leaves, another may have wanted gone.
    """
    most = max(WEAKEST_FIRST.index(operator.name) for operator in operators)
    equals = [operator for operator in operators if operator.name == WEAKEST_FIRST[most]]
    return replace(equals[0], chars_to_mask=None, restore=all(operator.restore for operator in equals))


def plain(operator: Operator, category: str, value: str) -> str:
    """What `replace`, `mask` and `redact` put in the place of a value; the others need keys (`guard.redactor`)."""
    match operator.name:
        case "replace":
            return label(category) if operator.new_value is None else operator.new_value
        case "mask":
            return _masked(operator, value)
        case "redact":
            return ""
    raise ValueError(f"the operator {operator.name!r} needs keys: redact with a function that has them")


def label(category: str) -> str:
    """`[CATEGORY]`, harmless whatever a checker calls its categories."""
    return f"[{safe(category)}]"


def safe(category: str) -> str:
    """A category that may stand in a text: what would end a JSON string or the label becomes `_`."""
    return _UNSAFE_LABEL.sub("_", category)


def _masked(operator: Operator, value: str) -> str:
    count = len(value) if operator.chars_to_mask is None else min(operator.chars_to_mask, len(value))
    if operator.from_end:
        start, _ = whole(value, len(value) - count, len(value))
        return value[:start] + operator.masking_char * (len(value) - start)
    _, end = whole(value, 0, count)
    return operator.masking_char * end + value[end:]


def whole(text: str, start: int, end: int) -> tuple[int, int]:
    """The span, widened to whole escape sequences and whole letters: a combining mark belongs to what stands before it.

    `nann@…` in the raw JSON `"\\nann@…"` begins with half an escape sequence; without its backslash the rest is no JSON.
    """
    if not 0 <= start < end <= len(text):
        return start, end
    while start > 0 and _combines(text[start]):
        start -= 1
    while end < len(text) and _combines(text[end]):
        end += 1
    first, last = _escape(text, start), _escape(text, end)
    return (first[0] if first else start), (last[1] if last else end)


def _combines(char: str) -> bool:
    return not char.isascii() and unicodedata.category(char)[0] == "M"


def _escape(text: str, index: int) -> tuple[int, int] | None:
    """The escape sequence that an index would cut in two."""
    for begin in range(max(0, index - _LONGEST + 1), index):
        if text[begin] == "\\" and _active(text, begin):
            found = _UNICODE.match(text, begin)
            end = found.end() if found else begin + 2
            if index < end <= len(text):
                return begin, end
    return None


def _active(text: str, index: int) -> bool:
    """Whether a backslash begins an escape sequence: an even number of others stands before it."""
    before = index
    while before > 0 and text[before - 1] == "\\":
        before -= 1
    return (index - before) % 2 == 0
