"""Intervals of shares against independent implementations and hand-worked examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest  # type: ignore[import-untyped]
from statsmodels.stats.proportion import confint_proportions_2indep  # type: ignore[import-untyped]

from guard.intervals import newcombe, wilson

COUNTS = st.integers(1, 400).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count)))


@given(COUNTS)
def test_wilson_is_scipys(cell: tuple[int, int]) -> None:
    hits, count = cell
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson(hits, count) == pytest.approx(expected, abs=1e-12)


def test_wilson_by_hand() -> None:
    # 5 of 10 with z = 2: middle (0.5 + 0.2) / 1.4, half 2 * sqrt(0.025 + 0.01) / 1.4
    assert wilson(5, 10, z=2) == pytest.approx((0.5 - 0.2672612, 0.5 + 0.2672612), abs=1e-6)


@given(COUNTS, COUNTS)
def test_newcombe_is_statsmodels(first: tuple[int, int], second: tuple[int, int]) -> None:
    expected = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff")
    assert newcombe(*first, *second) == pytest.approx(expected, abs=1e-9)


def test_newcombe_by_his_own_example() -> None:
    # Newcombe 1998, table II, column (a): 56/70 against 48/80 gives 0.0524 to 0.3339.
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("right", "of", "low", "high"), [(50, 100, 0.404, 0.596), (100, 100, 0.963, 1), (0, 10_000, 0, 3.84e-4)]
)
def test_wilson_at_its_ends(right: int, of: int, low: float, high: float) -> None:
    """With none of n its upper end is z²/(n + z²), with all the lower one n/(n + z²)."""
    assert wilson(right, of) == pytest.approx((low, high), abs=5e-4)
