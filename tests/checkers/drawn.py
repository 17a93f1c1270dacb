"""Strings that an expression matches, drawn at random: secrets for tests are made when they run, and stand in no file."""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

sre, parser = import_module("re._constants"), import_module("re._parser")


def draw(form: str, chance: random.Random) -> str:
    """A text that the whole of an expression matches; repeats are mostly at their least."""
    return "".join(_one(operation, value, chance) for operation, value in parser.parse(form.replace(r"\z", "")))


def _one(operation: Any, value: Any, chance: random.Random) -> str:
    if operation is sre.LITERAL:
        return chr(value)
    if operation is sre.ANY:
        return "."
    if operation is sre.IN:
        return _from_class(value, chance)
    if operation is sre.SUBPATTERN:
        return "".join(_one(item[0], item[1], chance) for item in value[-1])
    if operation is sre.BRANCH:
        return "".join(_one(item[0], item[1], chance) for item in chance.choice(value[1]))
    if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        least, most, inner = value
        count = chance.randint(least, min(int(most), least + 2))
        return "".join(_one(item[0], item[1], chance) for _ in range(count) for item in inner)
    if operation is sre.AT:
        return ""
    raise NotImplementedError(operation)


def _from_class(items: Any, chance: random.Random) -> str:
    if items[0][0] is sre.NEGATE:
        return chance.choice("Kq7Zr2Wx9")
    options: list[str] = []
    for operation, value in items:
        if operation is sre.LITERAL:
            options.append(chr(value))
        elif operation is sre.RANGE:
            options += [chr(code) for code in range(value[0], value[1] + 1)]
        elif value is sre.CATEGORY_DIGIT:
            options += "0123456789"
        elif value is sre.CATEGORY_SPACE:
            options.append(" ")
    return chance.choice(options)
