"""Figures about scores: AUROC, AUPRC, precision and recall, calibration, and bootstrap intervals. numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

LEVEL = 0.95  # of the intervals
ROUNDS = 1000


def auroc(truth: Any, scores: Any) -> float:
    """Probability that a positive outscores a negative (ties count half); NaN where one class is missing."""
    import numpy as np

    truth, scores = np.asarray(truth, bool), np.asarray(scores)
    _, at, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[at]
    positive, negative = truth.sum(), (~truth).sum()
    if not positive or not negative:
        return float("nan")
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def auprc(truth: Any, scores: Any) -> float:
    """Average precision, with ties taken together; NaN where nothing is positive."""
    import numpy as np

    truth, scores = np.asarray(truth, bool), np.asarray(scores)
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0) * precision).sum())


def recall_at(threshold: float) -> Callable[[Any, Any], float]:
    """Share of the positives at or above a threshold."""
    return lambda truth, scores: float((scores[truth] >= threshold).mean()) if truth.any() else float("nan")


def alarms_at(threshold: float) -> Callable[[Any, Any], float]:
    """Share of the negatives at or above a threshold: the false-positive rate."""
    return lambda truth, scores: float((scores[~truth] >= threshold).mean()) if (~truth).any() else float("nan")


def precision_at(threshold: float) -> Callable[[Any, Any], float]:
    """Share of positives among what is at or above a threshold; NaN where nothing is."""
    return lambda truth, scores: (
        float(truth[scores >= threshold].mean()) if (scores >= threshold).any() else float("nan")
    )


def interval(
    figure: Callable[[Any, Any], float], truth: Any, scores: Any, *, seed: int, rounds: int = ROUNDS
) -> tuple[float, float, float]:
    """A figure with its percentile bootstrap interval (Efron), positives and negatives drawn apart."""
    import numpy as np

    truth, scores = np.asarray(truth, bool), np.asarray(scores)
    draw = np.random.default_rng(seed)
    classes = [np.flatnonzero(truth), np.flatnonzero(~truth)]
    found = []
    for _ in range(rounds):
        rows = np.concatenate([draw.choice(rows, len(rows)) for rows in classes if len(rows)])
        found.append(figure(truth[rows], scores[rows]))
    low, high = np.nanquantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return figure(truth, scores), float(low), float(high)


def threshold_at(rate: float, negatives: Any, weights: Any = None) -> float:
    """The lowest threshold at which no more than `rate` of the (weighted) negatives are at or above it."""
    import numpy as np

    scores = np.asarray(negatives, float)
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    order = np.argsort(-scores, kind="stable")
    above = np.cumsum(weights[order]) / weights.sum()
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # of each value
    fitting = last[above[last] <= rate]
    if len(fitting):
        return float(scores[order][fitting[-1]])
    return float(np.nextafter(scores.max(), np.inf))


def reliability(truth: Any, scores: Any, weights: Any = None, bins: int = 10) -> tuple[float, list[dict[str, float]]]:
    """Expected calibration error, and for each bin of scores: rows, mean score and share of positives."""
    import numpy as np

    truth, scores = np.asarray(truth, float), np.asarray(scores, float)
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    which = np.minimum((scores * bins).astype(int), bins - 1)
    rows, error = [], 0.0
    for index in range(bins):
        inside = which == index
        if not inside.any():
            continue
        share = weights[inside] / weights[inside].sum()
        mean, actual = float((scores[inside] * share).sum()), float((truth[inside] * share).sum())
        error += abs(mean - actual) * weights[inside].sum() / weights.sum()
        rows.append({"rows": int(inside.sum()), "score": round(mean, 3), "positive": round(actual, 3)})
    return float(error), rows


def logistic(inputs: Any, labels: Any, weights: Any, penalty: float, prior: Any = None, rounds: int = 50) -> Any:
    """Ridge logistic regression by Newton's method: coefficients that stay near `prior` (default 0).

    `inputs` n × d, `labels` n in [0, 1], `weights` n; the last column is taken as the intercept and not penalised.
    """
    import numpy as np

    size = inputs.shape[1]
    prior = np.zeros(size) if prior is None else np.asarray(prior, float)
    found = prior.copy()
    ridge = np.full(size, penalty)
    ridge[-1] = 1e-6
    for _ in range(rounds):
        mean = 1 / (1 + np.exp(-np.clip(inputs @ found, -60, 60)))
        slope = inputs.T @ (weights * (mean - labels)) + ridge * (found - prior)
        curve = (inputs * (weights * mean * (1 - mean))[:, None]).T @ inputs + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        step *= min(1.0, 5.0 / max(np.abs(step).max(), 1e-12))
        found = found - step
        if np.abs(step).max() < 1e-8:
            break
    return found


def spread(values: Sequence[float]) -> float:
    """The largest difference between two of the values."""
    return max(values) - min(values)
