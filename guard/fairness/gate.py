"""For continuous integration: is a difference between groups larger than is tolerated, or worse than it was?

Works on reports as JSON, from the counts in them. Intervals are at a level that holds for all comparisons at once (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guard.errors import ConfigError
from guard.fairness import inference, words
from guard.fairness.analysis import SMALL_EFFECT, Options
from guard.fairness.cells import Table
from guard.fairness.measures import Measure

Key = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]  # measure, dimension, group, reference


@dataclass(frozen=True, slots=True)
class Verdict:
    """What stops a change (`worse`) and how much was looked at. `missing` are comparisons that only the baseline has."""

    worse: tuple[str, ...]
    compared: int
    missing: int = 0


@dataclass(frozen=True, slots=True)
class _Pair:
    measure: Measure
    table: Table  # the group, then the reference
    line: float

    @property
    def gap(self) -> float:
        return float(self.table.means[0] - self.table.means[1])

    def ends(self, z: float) -> tuple[float, float]:
        return inference.difference_interval(self.table, 0, 1, z)

    def size(self, z: float, sign: float) -> tuple[float, float, float]:
        """The gap and its interval, counted in one direction."""
        low, high = self.ends(z)
        return (self.gap, low, high) if sign > 0 else (-self.gap, -high, -low)


def judge(report: Mapping[str, Any], *, max_gap: float, baseline: Mapping[str, Any] | None = None) -> Verdict:
    """Without a baseline: a gap that is surely larger than tolerated. With one: a gap beyond the tolerated that surely grew.

    Raises ConfigError where the reports cannot be compared at all.
    """
    Options(max_gap=max_gap)  # refuses what is no difference of rates
    pairs = _pairs(report, max_gap)
    if not pairs:
        raise ConfigError("the report compares nothing: no two groups have enough values, so no gap can be judged")
    if baseline is None:
        z = _level(len(pairs), sides=2)
        return Verdict(tuple(filter(None, (_too_large(key, pair, z) for key, pair in pairs.items()))), len(pairs))
    before = _pairs(baseline, max_gap)
    both = [key for key in pairs if key in before]
    if not both:
        raise ConfigError("the two reports share no comparison: they need the same measures, groups and reference")
    z = _level(len(both), sides=1)
    worse = tuple(filter(None, (_grown(key, pairs[key], before[key], z) for key in both)))
    return Verdict(worse, len(both), len(before) - len(both))


def _level(comparisons: int, sides: int) -> float:
    return float(inference.special().ndtri(1 - inference.ALPHA / sides / comparisons))


def _too_large(key: Key, pair: _Pair, z: float) -> str | None:
    gap, low, high = pair.size(z, math.copysign(1, pair.gap))
    if low <= pair.line:
        return None
    return f"{_name(key, pair)} is {_tell(pair, gap, low, high)}; tolerated is {_size(pair, pair.line)}"


def _grown(key: Key, now: _Pair, before: _Pair, z: float) -> str | None:
    gap, low, _ = now.size(z, math.copysign(1, now.gap))
    old, _, old_high = before.size(z, math.copysign(1, before.gap))
    growth = gap - old
    # The square-and-add limit of a difference of two independent estimates, each with limits of its own (Newcombe's way).
    least = growth - math.hypot(gap - low, old_high - old)
    if gap <= now.line or least <= 0:
        return None
    return f"{_name(key, now)} was {_size(now, old)} and is {_size(now, gap)}, surely {_size(now, least)} more; tolerated is {_size(now, now.line)}"


def _name(key: Key, pair: _Pair) -> str:
    _, dimension, group, reference = key
    return f"{pair.measure.title}: the gap of {words.group(group)} from {words.group(reference)} ({words.dimension(dimension)})"


def _tell(pair: _Pair, gap: float, low: float, high: float) -> str:
    return f"{_size(pair, gap)} (at least {_size(pair, low)}, at most {_size(pair, high)})"


def _size(pair: _Pair, value: float) -> str:
    return words.difference(pair.measure, value).lstrip("+")


def _pairs(report: Mapping[str, Any], max_gap: float) -> dict[Key, _Pair]:
    """Every comparison in a report, with the sums behind it."""
    import numpy as np

    found = {}
    try:
        for result in report["results"]:
            measure = Measure(**result["measure"])
            figures = {tuple(it["group"]): it for it in result["figures"]}
            for comparison in result["comparisons"]:
                group, reference = tuple(comparison["group"]), tuple(result["reference"])
                sums = [[float(figures[it][name]) for it in (group, reference)] for name in ("n", "total", "squares")]
                n, total, squares = map(np.array, sums)
                dimension = tuple(result["dimension"])
                table = Table(measure, dimension, (group, reference), n, n, total, squares)
                line = max_gap if measure.kind == "rate" else SMALL_EFFECT * float(np.sqrt(table.variances.mean()))
                found[measure.name, dimension, group, reference] = _Pair(measure, table, line)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"the report is damaged ({type(error).__name__}): make it again") from None
    return found
