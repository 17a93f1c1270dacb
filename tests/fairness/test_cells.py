"""Sufficient statistics: equal to fairlearn's MetricFrame to 12 digits, however the rows come in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from fairlearn.metrics import (  # type: ignore[import-untyped]
    MetricFrame,
    equalized_odds_difference,
    false_positive_rate,
    mean_prediction,
    selection_rate,
    true_positive_rate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.fairness.cells import Cells, Row, odds
from guard.fairness.measures import ODDS, Measure

RATE, MEAN = Measure("rate", "Rate"), Measure("mean", "Mean", "mean")
DIGITS: Any = {"rel": 1e-12, "abs": 1e-12}


def drawn(rows: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "sex": rng.choice(["f", "m", "x"], rows, p=[0.5, 0.45, 0.05]),
        "age": rng.choice(["<40", "40+"], rows),
        "label": rng.integers(0, 2, rows),
        "predicted": rng.integers(0, 2, rows),
        "score": rng.gamma(2.0, 100.0, rows),
    }


def by_group(cells: Cells, dimension: tuple[str, ...]) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        table.measure.name: dict(zip(table.groups, table.means.tolist(), strict=True))
        for table in cells.tables(dimension)
    }


def test_values_are_fairlearns() -> None:
    data = drawn(20_000)
    cells = Cells(("sex", "age"), (RATE, MEAN, *ODDS))
    for sex, age, label, predicted, score in zip(*data.values(), strict=True):
        values = {"rate": float(predicted), "mean": float(score), **odds(float(label), float(predicted))}
        cells.add(Row({"sex": str(sex), "age": str(age)}, values))
    fast = Cells(("sex", "age"), (RATE, MEAN))
    fast.add_columns([data["sex"], data["age"]], {"rate": data["predicted"], "mean": data["score"]})
    features: Any = pd.DataFrame({"sex": data["sex"], "age": data["age"]})
    for dimension in (("sex",), ("age",), ("sex", "age")):
        ours, quick = by_group(cells, dimension), by_group(fast, dimension)
        for name, metric, truth, guess in (
            ("rate", selection_rate, data["label"], data["predicted"]),
            ("mean", mean_prediction, data["score"], data["score"]),
            ("true_positive_rate", true_positive_rate, data["label"], data["predicted"]),
            ("false_positive_rate", false_positive_rate, data["label"], data["predicted"]),
        ):
            frame: Any = MetricFrame(
                metrics=metric, y_true=truth, y_pred=guess, sensitive_features=features[list(dimension)]
            )
            for key, value in frame.by_group.items():
                group = key if isinstance(key, tuple) else (key,)
                assert ours[name][group] == pytest.approx(value, **DIGITS)
                if name in quick:
                    assert quick[name][group] == pytest.approx(value, **DIGITS)
            figures = list(ours[name].values())
            assert max(figures) - min(figures) == pytest.approx(frame.difference(method="between_groups"), **DIGITS)
            assert min(figures) / max(figures) == pytest.approx(frame.ratio(method="between_groups"), **DIGITS)
    ours = by_group(cells, ("sex",))
    gaps = [max(ours[it.name].values()) - min(ours[it.name].values()) for it in ODDS]
    theirs = equalized_odds_difference(data["label"], data["predicted"], sensitive_features=data["sex"])
    assert max(gaps) == pytest.approx(theirs, **DIGITS)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", ""]),
            st.sampled_from(["x", "y"]),
            st.sampled_from([0.0, 1.0, None, math.nan]),
            st.one_of(st.none(), st.floats(-1e6, 1e6)),
            st.sampled_from(["2026-01", "2026-02"]),
        ),
        max_size=60,
    ),
    st.integers(0, 60),
)
@settings(max_examples=50)
def test_neither_order_nor_the_cut_into_parts_matters(rows: list[Any], cut: int) -> None:
    made = [Row({"g": g, "h": h}, {"rate": r, "mean": m}, p) for g, h, r, m, p in rows]
    whole = Cells(("g", "h"), (RATE, MEAN)).add_all(made)
    turned = Cells(("g", "h"), (RATE, MEAN)).add_all(made[cut:]).add_all(made[:cut])
    for dimension in whole.dimensions:
        for one, other in zip(whole.tables(dimension), turned.tables(dimension), strict=True):
            assert one.groups == other.groups
            assert one.n.tolist() == other.n.tolist()
            np.testing.assert_allclose(one.total, other.total, rtol=1e-9, atol=1e-3)
        declared = [row for row in made if all(row.groups[name] for name in dimension)]
        assert whole.undeclared(dimension) == len(made) - len(declared)
        assert sum(whole.tables(dimension)[0].rows) == len(declared)
        parts = whole.by_period(dimension)
        assert sum(table[0].n.sum() for table in parts.values()) == whole.tables(dimension)[0].n.sum()


def test_what_is_missing_is_not_zero() -> None:
    cells = Cells(("g",), (RATE, MEAN))
    cells.add_all(
        [Row({"g": "a"}, {"rate": None, "mean": math.nan}), Row({"g": "a"}, {"rate": 1}), Row({}, {"rate": 0})]
    )
    rate, mean = cells.tables(("g",))
    assert (rate.rows.tolist(), rate.n.tolist(), rate.means.tolist()) == ([2], [1], [1])
    assert mean.n.tolist() == [0]
    assert np.isnan(mean.means).all()
    assert np.isnan(mean.variances).all()
    assert cells.undeclared(("g",)) == 1


@pytest.mark.parametrize(("measure", "value"), [("rate", 0.5), ("rate", 2), ("mean", math.inf)])
def test_a_rate_of_two_is_refused(measure: str, value: float) -> None:
    with pytest.raises(ConfigError, match=measure):
        Cells(("g",), (RATE, MEAN)).add(Row({"g": "a"}, {measure: value}))
    with pytest.raises(ConfigError, match=measure):
        Cells(("g",), (RATE, MEAN)).add_columns([["a"]], {"rate": [0], "mean": [0], measure: [value]})


@pytest.mark.parametrize(
    ("attributes", "measures", "words"),
    [((), (RATE,), "--groups"), (("g", "g"), (RATE,), "twice"), (("g",), (RATE, RATE), "twice")],
)
def test_names_that_cannot_be(attributes: Any, measures: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Cells(attributes, measures)
