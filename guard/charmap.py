"""Characters to what they become, for `str.translate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

_MOST = 1 << 16  # characters that are remembered


class Table(dict[int, str]):
    """What a character becomes, worked out by `plain` when it is first met. Threads may share one."""

    def __init__(self, plain: Callable[[str], str], known: Mapping[int, str] = {}) -> None:
        super().__init__(known)
        self._plain = plain

    def __missing__(self, code: int) -> str:
        plain = self._plain(chr(code))
        if len(self) < _MOST:
            self[code] = plain
        return plain
