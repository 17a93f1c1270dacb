"""Intervals and tests against scipy, statsmodels and examples worked by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]
from statsmodels.stats.oneway import anova_oneway  # type: ignore[import-untyped]
from statsmodels.stats.power import NormalIndPower  # type: ignore[import-untyped]
from statsmodels.stats.proportion import confint_proportions_2indep  # type: ignore[import-untyped]

from guard.fairness import inference
from guard.fairness.cells import Table
from guard.fairness.measures import Measure

RATE, MEAN = Measure("rate", "Rate"), Measure("mean", "Mean", "mean")


def rates(*cells: tuple[int, int]) -> Table:
    hits, n = (np.array(column, float) for column in zip(*cells, strict=True))
    return Table(RATE, ("g",), tuple((str(at),) for at in range(len(n))), n, n, hits, hits)


def means(*samples: list[float]) -> Table:
    n, total, squares = (
        np.array([f(np.array(it)) for it in samples], float) for f in (len, np.sum, lambda it: (it**2).sum())
    )
    return Table(MEAN, ("g",), tuple((str(at),) for at in range(len(n))), n, n, total, squares)


def samples(k: int, n: int, seed: int = 0) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(at * 0.3, 1 + at, n + 5 * at).tolist() for at in range(k)]


def test_intervals_of_means_are_scipys() -> None:
    a, b = samples(2, 20)
    table = means(a, b)
    expected = stats.t.interval(0.95, len(a) - 1, np.mean(a), stats.sem(a))
    assert inference.group_interval(table, 0) == pytest.approx(expected, abs=1e-10)
    welch = stats.ttest_ind(a, b, equal_var=False)
    expected = welch.confidence_interval(0.95)
    assert inference.difference_interval(table, 0, 1) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert inference.difference_test(table, 0, 1) == pytest.approx(welch.pvalue, abs=1e-12)


CELL = st.integers(2, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(CELL, CELL)
@settings(max_examples=60)
def test_the_interval_of_a_ratio_is_koopmans(one: tuple[int, int], other: tuple[int, int]) -> None:
    if 0 in (one[0], other[0]) or one[0] == one[1] or other[0] == other[1]:
        return  # statsmodels gives no interval at the edges; ours is tested by hand below
    low, high = inference.ratio_interval(*one, *other)
    expected = confint_proportions_2indep(*one, *other, method="score", compare="ratio", correction=False)
    assert (math.log(low), math.log(high)) == pytest.approx(np.log(expected), abs=2e-3)


def test_a_ratio_without_hits_has_an_honest_end() -> None:
    assert inference.ratio_interval(0, 20, 0, 20) == (0.0, math.inf)
    low, high = inference.ratio_interval(0, 20, 10, 20)
    assert low == 0
    assert 0.1 < high < 0.4
    assert inference.ratio_interval(10, 20, 0, 20)[1] == math.inf
    # Koopman's own example: 36/40 against 16/80 is 4.5 with 2.94 to 7.15.
    assert inference.ratio_interval(36, 40, 16, 80) == pytest.approx((2.94, 7.15), abs=0.005)


@given(CELL, CELL)
@settings(max_examples=60)
def test_the_permutation_test_is_exact(one: tuple[int, int], other: tuple[int, int]) -> None:
    (hits, n), (more, m) = one, other
    law = stats.hypergeom(n + m, hits + more, n)
    support = np.arange(max(0, hits + more - m), min(n, hits + more) + 1)
    far = np.abs(support / n - (hits + more - support) / m) >= abs(hits / n - more / m) - 1e-12
    expected = law.pmf(support[far]).sum()
    assert inference.permutation_test(hits, n, more, m) == pytest.approx(min(1.0, expected), rel=1e-6, abs=1e-12)


def test_the_permutation_test_by_hand() -> None:
    # The lady tasting tea: 4 cups of each kind. All right: 2 of 70 tables are as far; three right: 34 of 70.
    assert inference.permutation_test(4, 4, 0, 4) == pytest.approx(2 / 70)
    assert inference.permutation_test(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert inference.permutation_test(0, 5, 0, 7) == 1.0
    assert inference.permutation_test(500_000, 1_000_000, 510_000, 1_000_000) < 1e-40


def test_many_groups_are_tested_at_once() -> None:
    rng = np.random.default_rng(1)
    table = rates((12, 40), (20, 45), (9, 50))
    chi = stats.chi2_contingency([[12, 20, 9], [28, 25, 41]], correction=False).pvalue
    assert inference.any_difference(table, 20_000, rng) == pytest.approx(chi, abs=0.01)
    assert inference.any_difference(rates((0, 9), (0, 9), (0, 9)), 99, rng) == 1.0
    three = samples(3, 25)
    welch = anova_oneway(three, use_var="unequal").pvalue
    assert inference.any_difference(means(*three), 99, rng) == pytest.approx(welch, abs=1e-10)
    assert inference.any_difference(means([1.0] * 5, [1.0] * 5, [2.0] * 5), 99, rng) == 0.0


@pytest.mark.parametrize("count", [1, 2, 12, 300])
def test_holm_is_statsmodels(count: int) -> None:
    p_values = np.random.default_rng(count).random(count).round(2).tolist()  # with ties
    assert inference.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_holm_by_hand() -> None:
    assert inference.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert inference.holm([]) == []


def test_what_could_have_been_seen_is_what_a_power_analysis_says() -> None:
    table = rates((200, 1000), (200, 1000))
    seen = inference.detectable(table, 0, 1, comparisons=1)
    share = 401 / 2002
    effect = seen / math.sqrt(share * (1 - share))
    power = NormalIndPower().power(effect, 1000, 0.05, ratio=1.0)
    assert power == pytest.approx(0.8, abs=1e-3)
    assert inference.detectable(table, 0, 1, comparisons=20) > seen


def test_the_bootstrap_draws_what_resampled_rows_give() -> None:
    rng = np.random.default_rng(0)
    table = rates((30, 100), (5, 40))
    drawn = inference.bootstrap(table, 4000, rng)
    rows = np.array([1] * 30 + [0] * 70)
    resampled = rng.choice(rows, (4000, 100)).mean(axis=1)
    assert drawn[:, 0].std() == pytest.approx(resampled.std(), rel=0.05)
    a, b = samples(2, 40)
    spread = inference.bootstrap(means(a, b), 4000, rng).std(axis=0)
    assert spread == pytest.approx([stats.sem(a), stats.sem(b)], rel=0.08)


@pytest.mark.parametrize("planted", [0.0, 0.1])
def test_the_interval_of_the_gap_holds_the_gap(planted: float) -> None:
    rng = np.random.default_rng(3)
    truth, n, held = np.array([0.2, 0.2, 0.2 + planted, 0.2]), 400, 0
    for _ in range(150):
        hits = rng.binomial(n, truth)
        low, high = inference.gap_interval(rates(*((int(hit), n) for hit in hits)), 300, rng)
        held += low <= planted <= high
    assert held >= 137  # 95 % of 150, less three standard deviations: a percentile bootstrap holds none at gap 0


def test_beyond_forty_groups_the_gap_is_bounded_without_pairs() -> None:
    rng = np.random.default_rng(4)
    table = rates(*((int(hit), 200) for hit in rng.binomial(200, 0.3, 1000)))
    low, high = inference.gap_interval(table, 100, rng)
    assert low == 0
    assert high > float(table.means.max() - table.means.min())


def test_without_scipy_the_command_that_installs_it_is_named() -> None:
    script = (
        "import sys; sys.modules['scipy'] = None\n"
        "from guard.errors import MissingExtra\n"
        "from guard.fairness import inference\n"
        "try: inference.special()\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "genguard[fairness]" in done.stdout
