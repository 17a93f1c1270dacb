"""Conditions in CEL (Common Expression Language): no loops, no side effects, regular expressions in linear time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from guard.errors import ConfigError

VARIABLES = ("request", "item", "finding")


@lru_cache(maxsize=1024)
def compile_condition(expression: str) -> Any:
    """A compiled condition. Raises ConfigError when it does not parse or names a variable that does not exist."""
    import cel

    try:
        program = cel.compile(expression)
    except ValueError as error:
        reason = str(error).split("ERROR:")[-1].splitlines()[0].strip()
        raise ConfigError(f"the condition does not parse: {reason}") from error
    unknown = sorted(set(program.variables()) - set(VARIABLES))
    if unknown:
        raise ConfigError(f"the condition names {unknown[0]!r}; it may use {', '.join(VARIABLES)}")
    return program


def holds(expression: str, variables: Mapping[str, Any]) -> bool | None:
    """Whether a condition holds; None when it cannot be evaluated (a missing field, a wrong type)."""
    try:
        value = compile_condition(expression).execute(dict(variables))
    except (ValueError, KeyError, TypeError, RuntimeError, OverflowError):
        return None
    return value if isinstance(value, bool) else None
