"""A small sample of `python -m tests.bench fairness-study` and `fairness`: bounds are four standard errors wide."""

from __future__ import annotations

import pytest

from tests.bench import fairness, study


@pytest.mark.slow
def test_intervals_cover() -> None:
    for share in study.coverage(400):
        assert share.found >= 0.94 - 4 * share.error, share.what
        assert "±" not in share.wanted or share.found <= 0.96 + 4 * share.error, share.what


@pytest.mark.slow
def test_reports_without_differences_stay_silent() -> None:
    for share in study.reports(12, measures=4, groups=5):
        if "control" not in share.what:
            assert share.found <= 0.05 + 4 * share.error, share.what


@pytest.mark.slow
def test_what_is_called_detectable_is_found_four_times_in_five() -> None:
    for share in study.power(300):
        if "(1 ×" in share.what:
            assert share.found >= 0.7, share.what
        if "(0 ×" in share.what:
            assert share.found <= 0.005 + 4 * share.error, share.what


def test_the_bench_compares_equal_values() -> None:
    small = fairness.rows(2000)
    assert fairness.difference(fairness.ours(*small), fairness.theirs(*small)) < 1e-12
