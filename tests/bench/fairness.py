"""`python -m tests.bench fairness`: a million rows with intervals, tests and bootstrap, beside fairlearn's own bootstrap."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from fairlearn.metrics import MetricFrame, mean_prediction, selection_rate  # type: ignore[import-untyped]

from guard.fairness.analysis import Analysis, Options, analyse
from guard.fairness.cells import Cells
from guard.fairness.measures import Measure
from tests.bench.measure import Line, paired

MEASURES = (
    *(Measure(f"rate{at}", "Rate") for at in range(6)),
    *(Measure(f"mean{at}", "Mean", "mean") for at in range(2)),
)
GROUPS, DRAWS = 10, 1000


def rows(count: int, seed: int = 0) -> tuple[list[str], dict[str, Any]]:
    """The group of each row, and its values by measure."""
    rng = np.random.default_rng(seed)
    values = {
        it.name: (rng.random(count) < 0.1).astype(float) if it.kind == "rate" else rng.gamma(2.0, 100.0, count)
        for it in MEASURES
    }
    return [f"group {at}" for at in rng.integers(0, GROUPS, count).tolist()], values


def ours(names: list[str], values: dict[str, Any]) -> Analysis:
    """Sums, intervals, tests, correction, power and the bootstrap."""
    return analyse(Cells(("g",), MEASURES).add_columns([names], values), Options(draws=DRAWS))


def theirs(names: list[str], values: dict[str, Any], draws: int | None = None) -> list[Any]:
    """A MetricFrame for each measure, with as many bootstrap draws as it is given."""
    more = {"n_boot": draws, "ci_quantiles": [0.025, 0.975], "random_state": 0} if draws else {}
    frames = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for it in MEASURES:
            metric = selection_rate if it.kind == "rate" else mean_prediction
            column = values[it.name]
            series = pd.Series(names, name="g")
            frames.append(MetricFrame(metrics=metric, y_true=column, y_pred=column, sensitive_features=series, **more))
    return frames


def difference(found: Analysis, frames: list[Any]) -> float:
    """The largest relative difference between a figure of ours and theirs."""
    pairs: list[tuple[float | None, float]] = [
        (figure.value, float(frame.by_group[figure.group[0]]))
        for result, frame in zip(found.results, frames, strict=True)
        for figure in result.figures
    ]
    return max(abs(own / other - 1) for own, other in pairs if own is not None)


def lines() -> Iterator[Line]:
    """Ours at a million rows, and both at a size that fairlearn's bootstrap can finish."""
    small, large = rows(10_000), rows(1_000_000)
    equal = difference(ours(*large), theirs(*large))
    yield paired(
        f"10⁶ rows × {GROUPS} groups × {len(MEASURES)} measures, {DRAWS} draws (values within {equal:.0e} of fairlearn's)",
        lambda: ours(*large),
        "fairlearn, 10⁴ rows, no draws",
        lambda: theirs(*small),
        rounds=5,
        target="≤ 1 s",
    )
    yield paired(
        f"10⁴ rows × {GROUPS} groups × {len(MEASURES)} measures, {DRAWS} draws",
        lambda: ours(*small),
        "fairlearn, 10⁴ rows, 20 draws",
        lambda: theirs(*small, 20),
        rounds=2,
    )
