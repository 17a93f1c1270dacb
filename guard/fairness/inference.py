"""How sure a figure is, from sufficient statistics alone: intervals, tests, correction, power. Needs scipy (extra `fairness`).

Shares: Wilson by group, Newcombe for a difference (both in `guard.intervals`), Koopman for a ratio, the exact permutation
distribution for a test. Means: Student's and Welch's t. The largest gap among many groups: a parametric bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from guard.errors import MissingExtra
from guard.fairness.cells import Table
from guard.intervals import LEVEL, Z, newcombe, wilson

if TYPE_CHECKING:
    import numpy as np

Interval = tuple[float, float]
ALPHA = 1 - LEVEL
POWER = 0.8
PAIRED = 40  # groups up to which every pair is bootstrapped; beyond it Bonferroni's bound takes over
_FAR = 12.0  # standard deviations beyond which a probability counts as zero


def special() -> Any:
    """scipy.special, or the command that installs it."""
    try:
        import scipy.special  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingExtra("A fairness report", "fairness") from error
    return scipy.special


def group_interval(table: Table, at: int) -> Interval:
    """The 95 % interval of one group's rate (Wilson) or mean (Student)."""
    n, total = float(table.n[at]), float(table.total[at])
    if table.measure.kind == "rate":
        return wilson(total, n)
    mean, variance = total / n, float(table.variances[at])
    half = float(special().stdtrit(n - 1, (1 + LEVEL) / 2)) * math.sqrt(variance / n) if n > 1 else math.inf
    return mean - half, mean + half


def difference_interval(table: Table, at: int, other: int, z: float = Z) -> Interval:
    """The interval of the difference of two groups, `at` minus `other`: Newcombe's for rates, Welch's for means."""
    if table.measure.kind == "rate":
        cells = (float(table.total[at]), float(table.n[at]), float(table.total[other]), float(table.n[other]))
        return newcombe(*cells, z)
    difference, error, freedom = _welch(table, at, other)
    quantile = float(special().stdtrit(freedom, special().ndtr(z)))
    return difference - quantile * error, difference + quantile * error


def _welch(table: Table, at: int, other: int) -> tuple[float, float, float]:
    """Difference, standard error and degrees of freedom (B. L. Welch, 1947; Satterthwaite, 1946)."""
    means, variances, n = table.means, table.variances, table.n
    parts = [float(variances[i] / n[i]) for i in (at, other)]
    error = math.sqrt(sum(parts))
    below = sum(part**2 / (float(n[i]) - 1) for part, i in zip(parts, (at, other), strict=True))
    freedom = sum(parts) ** 2 / below if below > 0 else float(n[at] + n[other] - 2)
    return float(means[at] - means[other]), error, freedom


def ratio_interval(hits: float, count: float, other_hits: float, other_count: float, z: float = Z) -> Interval:
    """The score interval of a ratio of two shares (P. A. R. Koopman, Biometrics 40, 1984).

    0 below where the first has no hit, infinity above where the other has none; both where there is no hit at all.
    """
    share, other = hits / count, other_hits / other_count

    def misfit(ratio: float) -> float:
        """The chi-squared distance from the closest pair of shares with this ratio, minus what the level allows."""
        a = (count + other_count) * ratio
        b = -(count * ratio + hits + other_count + other_hits * ratio)
        restricted = (-b - math.sqrt(max(b * b - 4 * a * (hits + other_hits), 0.0))) / (2 * a)
        first = min(max(restricted * ratio, 1e-15), 1 - 1e-15)
        second = min(max(restricted, 1e-15), 1 - 1e-15)
        distance = count * (share - first) ** 2 / (first * (1 - first))
        return distance + other_count * (other - second) ** 2 / (second * (1 - second)) - z * z

    if hits == 0 and other_hits == 0:
        return 0.0, math.inf
    start = max(share, 0.5 / count) / max(other, 0.5 / other_count)
    low = 0.0 if hits == 0 else _crossing(misfit, start, -1)
    return low, math.inf if other_hits == 0 else _crossing(misfit, start, +1)


def _crossing(misfit: Any, start: float, direction: int) -> float:
    """Where a function of a positive number crosses zero from `start` on, by bisection of its logarithm."""
    near, step = math.log(start), direction * 0.5
    far = near + step
    while misfit(math.exp(far)) < 0:
        near, step = far, step * 2
        far = near + step
        if abs(far) > 60:
            return 0.0 if direction < 0 else math.inf
    for _ in range(50):
        middle = (near + far) / 2
        near, far = (near, middle) if misfit(math.exp(middle)) >= 0 else (middle, far)
    return math.exp((near + far) / 2)


def difference_test(table: Table, at: int, other: int) -> float:
    """The two-sided p-value of "these two groups do not differ": a permutation test for rates, Welch's for means."""
    if table.measure.kind == "rate":
        cells = [int(table.total[at]), int(table.n[at]), int(table.total[other]), int(table.n[other])]
        return permutation_test(*cells)
    difference, error, freedom = _welch(table, at, other)
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * special().stdtr(freedom, -abs(difference) / error))


def permutation_test(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """How often a shuffle of the groups' labels gives a difference of shares at least as large: exact, not sampled.

    Shuffling fixes both margins of the 2×2 table, so the hits of the first group are hypergeometric (R. A. Fisher, 1935).
    """
    import numpy as np

    everything, successes = count + other_count, hits + other_hits
    lowest, highest = max(0, successes - other_count), min(successes, count)
    if lowest == highest:
        return 1.0
    mean = count * successes / everything
    spread = mean * (1 - successes / everything) * other_count / max(everything - 1, 1)
    reach = _FAR * math.sqrt(spread) + 2
    distance = abs(hits - mean)
    if distance > reach:
        return 0.0
    drawn = np.arange(max(lowest, math.floor(mean - reach)), min(highest, math.ceil(mean + reach)) + 1)
    log = special().gammaln
    weights = -(
        log(drawn + 1.0)
        + log(count - drawn + 1.0)
        + log(successes - drawn + 1.0)
        + log(other_count - successes + drawn + 1.0)
    )
    chances = np.exp(weights - weights.max())
    # The difference of shares grows with the hits, so it is at least as large where the hits are as far from their mean.
    as_far = np.abs(drawn - mean) >= distance * (1 - 1e-9) - 1e-9
    return float(min(1.0, chances[as_far].sum() / chances.sum()))


def any_difference(table: Table, draws: int, rng: np.random.Generator) -> float:
    """The p-value of "no group differs from any other". For rates a permutation test of the 2×k table with Pearson's statistic,
    exact for two groups and sampled beyond; for means Welch's analysis of variance (1951)."""
    import numpy as np

    if len(table.groups) == 2:
        return difference_test(table, 0, 1)
    if table.measure.kind == "mean":
        return _welch_anova(table)
    sizes, hits = table.n.astype(np.int64), table.total.astype(np.int64)
    successes = int(hits.sum())
    if successes in (0, int(sizes.sum())):
        return 1.0
    expected = sizes * successes / sizes.sum()
    observed = ((hits - expected) ** 2 / sizes).sum()
    shuffled = rng.multivariate_hypergeometric(sizes, successes, draws, method="marginals")
    reached = (((shuffled - expected) ** 2 / sizes).sum(axis=1) >= observed * (1 - 1e-9)).sum()
    return float((1 + reached) / (1 + draws))


def _welch_anova(table: Table) -> float:
    k = len(table.groups)
    with_spread = table.variances > 0
    if not with_spread.all():
        return 1.0 if float(table.means.max()) == float(table.means.min()) else 0.0
    weights = table.n / table.variances
    centre = (weights * table.means).sum() / weights.sum()
    slack = ((1 - weights / weights.sum()) ** 2 / (table.n - 1)).sum()
    between = (weights * (table.means - centre) ** 2).sum() / (k - 1)
    statistic = between / (1 + 2 * (k - 2) / (k * k - 1) * slack)
    return float(special().fdtrc(k - 1, (k * k - 1) / (3 * slack), statistic))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the chance of any false alarm at the level (S. Holm, 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def bootstrap(table: Table, draws: int, rng: np.random.Generator) -> np.ndarray:
    """`draws` × groups of rates or means, as new samples of the same sizes would give them.

    A rate is drawn as a binomial count, which is what resampling the rows of a group gives; a mean from Student's t around it.
    """
    n = table.n.astype(int)
    if table.measure.kind == "rate":
        drawn: np.ndarray = rng.binomial(n, smoothed(table), (draws, len(n))) / n
        return drawn
    noise: np.ndarray = rng.standard_t(n - 1, (draws, len(n)))
    means: np.ndarray = table.means + noise * (table.variances / n) ** 0.5
    return means


def smoothed(table: Table) -> np.ndarray:
    """Rates pulled towards a half by half a hit (H. Jeffreys), so that a group without hits still has an error."""
    shares: np.ndarray = (table.total + 0.5) / (table.n + 1)
    return shares


def gap_interval(table: Table, draws: int, rng: np.random.Generator, level: float = LEVEL) -> Interval:
    """An interval of the largest difference between any two groups.

    The range of the observed values is too large on average, and a percentile bootstrap doubles that error. So the bootstrap
    finds how many standard errors cover all pairs at once; each pair then has an interval, and these give the range's.
    """
    import numpy as np

    k = len(table.groups)
    centre, variance = _centre(table)
    if k > PAIRED:
        reach = float(special().ndtri(1 - (1 - level) / (k * (k - 1))))
        error = np.sqrt(variance)
        low = max(0.0, float((centre - reach * error).max() - (centre + reach * error).min()))
        return low, float((centre + reach * error).max() - (centre - reach * error).min())
    drawn = bootstrap(table, draws, rng)
    if table.measure.kind == "rate":
        hits = drawn * table.n
        spread = (hits + 0.5) / (table.n + 1)
        moved, noise = spread, spread * (1 - spread) / table.n
    else:
        moved, noise = drawn, np.broadcast_to(variance, drawn.shape)
    first, second = np.triu_indices(k, 1)
    away = np.abs((moved[:, first] - moved[:, second]) - (centre[first] - centre[second]))
    errors = np.sqrt(noise[:, first] + noise[:, second])
    worst = np.divide(away, errors, out=np.zeros_like(away), where=errors > 0).max(axis=1)
    reach = float(np.quantile(worst, level))
    gaps = np.abs(centre[first] - centre[second])
    half = reach * np.sqrt(variance[first] + variance[second])
    return max(0.0, float((gaps - half).max())), float((gaps + half).max())


def _centre(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """What the interval of the gap is built around, and its variance, by group."""
    if table.measure.kind == "mean":
        return table.means, table.variances / table.n
    share = smoothed(table)
    return share, share * (1 - share) / table.n


def detectable(table: Table, at: int, other: int, comparisons: int) -> float:
    """The smallest difference that would have been found with 80 % power, after correction over `comparisons`."""
    n, m = float(table.n[at]), float(table.n[other])
    reach = float(special().ndtri(1 - ALPHA / 2 / max(comparisons, 1))) + float(special().ndtri(POWER))
    if table.measure.kind == "rate":
        share = (float(table.total[at] + table.total[other]) + 1) / (n + m + 2)
        return min(1.0, reach * math.sqrt(share * (1 - share) * (1 / n + 1 / m)))
    return reach * math.sqrt(float(table.variances[at]) / n + float(table.variances[other]) / m)
