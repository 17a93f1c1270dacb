"""Intervals of shares, in closed form: the one place for them."""

from __future__ import annotations

import math
from statistics import NormalDist

LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


def wilson(hits: float, count: float, z: float = Z) -> tuple[float, float]:
    """The score interval of a share (E. B. Wilson, JASA 22, 1927): of `hits` in `count` > 0, at 95 % unless `z` says."""
    share, weight = hits / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / count + weight / (4 * count)) / (1 + weight)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return (0.0 if hits == 0 else low), (1.0 if hits == count else high)  # exact at the ends, whatever rounding does


def newcombe(hits: float, count: float, other_hits: float, other_count: float, z: float = Z) -> tuple[float, float]:
    """The interval of a difference of two shares, first minus other (R. G. Newcombe, Stat. Med. 17, 1998, method 10)."""
    share, other = hits / count, other_hits / other_count
    (low, high), (other_low, other_high) = wilson(hits, count, z), wilson(other_hits, other_count, z)
    difference = share - other
    return (
        difference - math.hypot(share - low, other_high - other),
        difference + math.hypot(high - share, other - other_low),
    )
