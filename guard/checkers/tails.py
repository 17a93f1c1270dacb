"""From an expression to the expression of its beginnings: what the end of a text may look like while a match is under way."""

from __future__ import annotations

import re

_REPEAT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}|[?*+]")
_GROUP = re.compile(r"\((?:\?(?:P?<\w+>|[a-zA-Z-]*:))?")
_FLAGS = re.compile(r"\(\?([a-zA-Z-]+)\)")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|[pP]\{\^?\w+\}|[pP]\w|.)", re.DOTALL)
_EMPTY = ("^", "$", r"\b", r"\B", r"\A", r"\z")


def prefixes(pattern: str) -> str:
    """An expression for the non-empty beginnings of what `pattern` matches, itself included; it asks for no places (`^`).

    Takes the syntax that RE2 reads. It is exact for sequences, choices and repeats of single characters; for a repeated group
    it lets every repeat be the last.
    """
    made, rest = _choice(pattern, 0)
    if rest != len(pattern):
        raise ValueError("an expression that closes more than it opens")
    return made


def _choice(pattern: str, at: int) -> tuple[str, int]:
    options: list[str] = []
    flags = ""
    while True:
        option, at, flags = _sequence(pattern, at, flags)
        options.append(option)
        if at >= len(pattern) or pattern[at] == ")":
            kept = [option for option in options if option]
            return ("|".join(kept) if len(kept) < 2 else f"(?:{'|'.join(kept)})"), at
        at += 1


def _sequence(pattern: str, at: int, flags: str) -> tuple[str, int, str]:
    """a b c: a, or a b, or a b c, each with the beginnings of its last part. Flags hold to the end of the group."""
    parts: list[tuple[str, str]] = []  # the part itself, and its beginnings
    while at < len(pattern) and pattern[at] not in "|)":
        if found := _FLAGS.match(pattern, at):
            flags, at = f"{found[1]}{flags}", found.end()
            continue
        whole, start, at = _part(pattern, at)
        parts.append((f"(?{flags}:{whole})", f"(?{flags}:{start})") if flags and start else (whole, start))
    made = ""
    for whole, start in reversed(parts):
        if start:
            made = f"(?:{start}|{whole}{made})" if made else start
    return made, at, flags


def _part(pattern: str, at: int) -> tuple[str, str, int]:
    begin = at
    if group := _GROUP.match(pattern, at):
        start, at = _choice(pattern, group.end())
        at += 1
        opening = group.group()
        if opening.startswith("(?") and opening.endswith(":"):
            start = start and f"{opening}{start})"
    elif pattern[at] in "^$":
        return "", "", at + 1
    else:
        found = _CLASS.match(pattern, at) if pattern[at] == "[" else _ESCAPE.match(pattern, at)
        at = found.end() if found else at + 1
        start = pattern[begin:at]
        if start in _EMPTY:
            return "", "", at
    unit = pattern[begin:at]
    repeat = _REPEAT.match(pattern, at)
    if repeat is None:
        return unit, start, at
    at = repeat.end()
    if pattern[at : at + 1] == "?":  # lazy or not, the beginnings are the same
        at += 1
    most = {"?": "1", "*": "", "+": ""}.get(repeat.group(), repeat[3] if repeat[2] else repeat[1])
    fewer = f"{{0,{int(most) - 1}}}" if most else "*"
    if most == "0":
        return "", "", at
    return pattern[begin : repeat.end()], start if most == "1" else f"{unit}{fewer}{start}", at
