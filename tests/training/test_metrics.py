"""Figures agree with their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.metrics import average_precision_score, roc_auc_score  # type: ignore[import-untyped]

from guard.training import metrics

CASES = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.7, 1.0])), min_size=2, max_size=40
).filter(lambda rows: len({label for label, _ in rows}) == 2)


@settings(deadline=None)
@given(CASES)
def test_curves_agree_with_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    truth, scores = np.array([label for label, _ in rows]), np.array([score for _, score in rows])
    assert metrics.auroc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))
    assert metrics.auprc(truth, scores) == pytest.approx(average_precision_score(truth, scores))


def test_one_class_has_no_figure() -> None:
    assert math.isnan(metrics.auroc([True, True], [0.1, 0.2]))
    assert math.isnan(metrics.auprc([False], [0.1]))


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=60), st.sampled_from([0.01, 0.1, 0.5])
)
def test_a_threshold_keeps_its_rate_and_is_the_lowest(scores: list[float], rate: float) -> None:
    least = metrics.threshold_at(rate, scores)
    assert sum(score >= least for score in scores) <= rate * len(scores)
    lower = max((score for score in scores if score < least), default=None)
    assert lower is None or sum(score >= lower for score in scores) > rate * len(scores)


def test_rates_and_shares() -> None:
    truth, scores = np.array([True, True, False, False]), np.array([0.9, 0.2, 0.6, 0.1])
    assert metrics.recall_at(0.5)(truth, scores) == 0.5
    assert metrics.alarms_at(0.5)(truth, scores) == 0.5
    assert metrics.precision_at(0.5)(truth, scores) == 0.5
    assert math.isnan(metrics.precision_at(0.95)(truth, scores))


def test_an_interval_holds_the_figure_and_shrinks_with_data() -> None:
    draw = np.random.default_rng(5)

    def width(size: int) -> float:
        truth = np.arange(size) % 2 == 0
        value, low, high = metrics.interval(metrics.auroc, truth, truth + draw.normal(size=size), seed=1, rounds=200)
        assert low <= value <= high
        return high - low

    assert width(1000) < width(50)


def test_reliability() -> None:
    scores = np.repeat([0.15, 0.85], 100)
    truth = np.concatenate([np.arange(100) < 15, np.arange(100) < 85])
    error, bins = metrics.reliability(truth, scores)
    assert error == pytest.approx(0, abs=1e-9)
    assert [row["rows"] for row in bins] == [100, 100]
    assert metrics.reliability(~truth, scores)[0] == pytest.approx(0.7)


def test_logistic_regression_agrees_with_scikit_learn() -> None:
    draw = np.random.default_rng(3)
    inputs = draw.normal(size=(300, 3))
    labels = (inputs @ [1.0, -2.0, 0.0] + draw.normal(size=300) > 0.3).astype(float)
    found = metrics.logistic(np.hstack([inputs, np.ones((300, 1))]), labels, np.ones(300), 2.0)
    other = LogisticRegression(C=0.5, tol=1e-10, max_iter=1000).fit(inputs, labels)
    assert found[:3] == pytest.approx(other.coef_[0], abs=1e-4)
    assert found[3] == pytest.approx(other.intercept_[0], abs=1e-4)


def test_a_prior_holds_when_there_is_little_evidence() -> None:
    inputs = np.array([[1.0, 1.0], [-1.0, 1.0]])
    found = metrics.logistic(inputs, np.array([0.0, 1.0]), np.ones(2), 1000.0, [1.0, 0.0])
    assert found[0] == pytest.approx(1.0, abs=0.01)
