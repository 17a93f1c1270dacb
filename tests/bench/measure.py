"""Measuring side by side: rounds alternate between the two sides, so that a machine that slows down slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: what ours and the yardstick took, in pairs; `unit` turns seconds into what the table shows."""

    what: str
    yardstick: str
    pairs: list[tuple[float, float]]
    target: str = ""
    scale: float = 1e6

    def row(self) -> tuple[str, ...]:
        """Medians, the median ratio with its range, and what it should be."""
        ours, theirs = (statistics.median(pair[side] for pair in self.pairs) * self.scale for side in (0, 1))
        ratios = sorted(left / right for left, right in self.pairs)
        spread = f"{ratios[0]:.2f}–{ratios[-1]:.2f}"
        middle = f"{statistics.median(ratios):.2f}"
        return self.what, f"{ours:,.1f}", self.yardstick, f"{theirs:,.1f}", middle, spread, self.target


def quantile(times: Sequence[float], share: float) -> float:
    """What a share of the times does not exceed, such as 0.99."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def timed(action: Callable[[], object], times: int = 1) -> float:
    """Seconds for one of `times` calls."""
    began = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - began) / times


def paired(
    what: str,
    ours: Callable[[], object],
    yardstick: str,
    theirs: Callable[[], object],
    times: int = 1,
    *,
    rounds: int = ROUNDS,
    target: str = "",
) -> Line:
    """Alternate between the two sides, after one round that does not count."""
    pairs = [(timed(ours, times), timed(theirs, times)) for _ in range(rounds + 1)]
    return Line(what, yardstick, pairs[1:], target)
