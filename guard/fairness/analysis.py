"""From sums by group to results: every group's figure with its interval, every group against a reference, the largest gap,
impact ratios, drift. Small groups give no number and no verdict, and a verdict is never more than its interval allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from guard.errors import ConfigError
from guard.fairness import inference
from guard.fairness.cells import Cells, Group, Table
from guard.fairness.measures import ODDS, Measure
from guard.intervals import LEVEL, wilson

if TYPE_CHECKING:
    from numpy.random import Generator

SUPPRESSED, FEW = (
    10,
    30,
)  # values below which a group's figures are withheld, and below which nothing is concluded from them
FOUR_FIFTHS = 0.8
RARE = 0.02  # the share below which Local Law 144's rules let a category be left out
SMALL_EFFECT = 0.2  # standard deviations (J. Cohen, 1988): the tolerated difference of means, whose units differ
LIMIT = 3.0  # standard errors to a control limit (W. A. Shewhart, 1931)
_DRAWN = 1_000_000  # counts that a permutation test of many groups draws at most
FAIL, PASS, INCONCLUSIVE = "fail", "pass", "inconclusive"


@dataclass(frozen=True, slots=True)
class Options:
    """`max_gap` is the tolerated difference of rates. `reference` names the group of an attribute that others are compared
    with; without it that is the largest, a choice that no outcome sways. `draws` of the bootstrap, from `seed`."""

    max_gap: float = 0.05
    reference: Mapping[str, str] = field(default_factory=dict)
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.max_gap < 1:
            raise ConfigError(f"the tolerated gap is a difference of rates between 0 and 1, not {self.max_gap}")


@dataclass(frozen=True, slots=True)
class Figure:
    """One group. Where `note` is "suppressed" every number is None; "insufficient" ones are shown and not judged."""

    group: Group
    note: str = ""
    n: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    total: float | None = None
    squares: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A group against the reference, group minus reference. `p` is corrected after Holm over all comparisons of the report.
    `detectable` is the smallest difference that would have been found with 80 % power; `line` what is tolerated."""

    group: Group
    difference: float
    low: float
    high: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    p_alone: float
    p: float
    detectable: float
    line: float
    verdict: str

    @property
    def shown(self) -> bool:
        """Whether there is a difference at all, tolerated or not."""
        return self.p <= inference.ALPHA


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference between two groups that are large enough, and whether any differ. `value` and `ratio` are
    MetricFrame's `difference` and `ratio` between groups."""

    value: float
    low: float
    high: float
    ratio: float | None
    highest: Group
    lowest: Group
    p_alone: float
    p: float


@dataclass(frozen=True, slots=True)
class Result:
    """One measure in one dimension. `overall` is over the groups that are shown, so that nothing follows for the others."""

    measure: Measure
    dimension: tuple[str, ...]
    figures: tuple[Figure, ...]
    overall: float | None
    overall_n: int
    reference: Group | None
    comparisons: tuple[Comparison, ...]
    gap: Gap | None


@dataclass(frozen=True, slots=True)
class Impact:
    """A line of the four-fifths table: a group's rate over that of the most favoured group. Rare groups may be left out."""

    group: Group
    n: int
    hits: int
    rate: float
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str
    rare: bool


@dataclass(frozen=True, slots=True)
class Odds:
    """Equalised odds difference: the larger of the gaps in true and in false positive rates (M. Hardt et al., 2016)."""

    dimension: tuple[str, ...]
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Point:
    """A group's difference from the reference in one period, and the limits between which chance alone would leave it."""

    period: str
    n: int
    value: float
    difference: float
    low: float
    high: float

    @property
    def out(self) -> bool:
        """Whether it lies beyond a limit."""
        return not self.low <= self.difference <= self.high


@dataclass(frozen=True, slots=True)
class Drift:
    """A group's differences over time, around `centre`."""

    measure: Measure
    dimension: tuple[str, ...]
    group: Group
    centre: float
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that a report says about the numbers."""

    results: tuple[Result, ...]
    impacts: Mapping[tuple[str, tuple[str, ...]], tuple[Impact, ...]]  # by measure and dimension
    odds: tuple[Odds, ...]
    drifts: tuple[Drift, ...]

    @property
    def comparisons(self) -> list[tuple[Result, Comparison]]:
        """All comparisons, the worst first."""
        order = {FAIL: 0, INCONCLUSIVE: 1, PASS: 2}
        every = [(result, each) for result in self.results for each in result.comparisons]
        return sorted(every, key=lambda it: (order[it[1].verdict], it[1].p, -abs(it[1].difference)))


def analyse(cells: Cells, options: Options) -> Analysis:
    """Judge all measures in all dimensions. Raises ConfigError where no row declares a group or a reference is unknown."""
    import numpy as np

    inference.special()
    rng = np.random.default_rng(options.seed)
    _require_groups(cells, options)
    tables = [table for dimension in cells.dimensions for table in cells.tables(dimension)]
    family = sum(max(0, int((table.n >= FEW).sum()) - 1) for table in tables)
    drafts = [_result(table, options, family, rng) for table in tables]
    corrected = iter(inference.holm([each.p_alone for draft in drafts for each in draft.comparisons]))
    gaps = iter(inference.holm([draft.gap.p_alone for draft in drafts if draft.gap]))
    results = []
    for draft in drafts:
        judged = tuple(_judged(each, next(corrected)) for each in draft.comparisons)
        gap = replace(draft.gap, p=next(gaps)) if draft.gap else None
        results.append(replace(draft, comparisons=judged, gap=gap))
    favourable = [table for table in tables if table.measure.favourable]
    impacts = {(table.measure.name, table.dimension): _impacts(table) for table in favourable}
    return Analysis(tuple(results), impacts, tuple(_odds(tables, options, rng)), tuple(_drifts(cells, results)))


def _require_groups(cells: Cells, options: Options) -> None:
    for name in cells.attributes:
        groups = [group for (group,) in cells.tables((name,))[0].groups]
        if not groups:
            raise ConfigError(
                f"none of {cells.rows} rows declares a group under {name!r}: check --groups and the period"
            )
        wanted = options.reference.get(name)
        if wanted is not None and wanted not in groups:
            raise ConfigError(f"no row declares {name}={wanted}, so it cannot be the reference")
    if unknown := set(options.reference) - set(cells.attributes):
        raise ConfigError(f"the reference names {min(unknown)!r}, which is not among --groups")


def _result(table: Table, options: Options, family: int, rng: Generator) -> Result:
    figures = tuple(_figure(table, at) for at in range(len(table.groups)))
    shown, enough = table.only(table.n >= SUPPRESSED), table.only(table.n >= FEW)
    reference = _reference(enough, options)
    n = int(shown.n.sum())
    found: list[Comparison] = []
    if reference is not None:
        others = [at for at in range(len(enough.groups)) if at != reference]
        found = [_comparison(enough, at, reference, options, family) for at in others]
    return Result(
        table.measure,
        table.dimension,
        figures,
        float(shown.total.sum()) / n if n else None,
        n,
        enough.groups[reference] if reference is not None else None,
        tuple(found),
        _gap(enough, options, rng) if len(enough.groups) > 1 else None,
    )


def _figure(table: Table, at: int) -> Figure:
    group, n = table.groups[at], int(table.n[at])
    if n < SUPPRESSED:
        return Figure(group, "suppressed")
    low, high = inference.group_interval(table, at)
    sums = float(table.total[at]), float(table.squares[at])
    return Figure(group, "insufficient" if n < FEW else "", n, float(table.means[at]), low, high, *sums)


def _reference(table: Table, options: Options) -> int | None:
    """The named group; else the largest, and of equal ones the first by name."""
    wanted = [options.reference.get(name) for name in table.dimension]
    named = [
        at
        for at, group in enumerate(table.groups)
        if all(want in (None, value) for want, value in zip(wanted, group, strict=True))
    ]
    return max(named, key=lambda at: (table.n[at], -at), default=None)


def _comparison(table: Table, at: int, reference: int, options: Options, family: int) -> Comparison:
    rate = table.measure.kind == "rate"
    low, high = inference.difference_interval(table, at, reference)
    p = inference.difference_test(table, at, reference)
    difference = float(table.means[at] - table.means[reference])
    ratio = ratio_low = ratio_high = None
    if rate:
        cells = (float(it) for i in (at, reference) for it in (table.total[i], table.n[i]))
        ratio_low, high_end = inference.ratio_interval(*cells)
        ratio_high = high_end if math.isfinite(high_end) else None
        base = float(table.means[reference])
        ratio = float(table.means[at]) / base if base else None
    line = options.max_gap if rate else SMALL_EFFECT * _pooled(table, at, reference)
    seen = inference.detectable(table, at, reference, family)
    ratios = ratio, ratio_low, ratio_high
    return Comparison(table.groups[at], difference, low, high, *ratios, p, p, seen, line, INCONCLUSIVE)


def _pooled(table: Table, at: int, other: int) -> float:
    """The standard deviation within the two groups together."""
    weights = [float(table.n[i]) - 1 for i in (at, other)]
    variances = [float(table.variances[i]) for i in (at, other)]
    return math.sqrt(sum(w * v for w, v in zip(weights, variances, strict=True)) / sum(weights))


def _judged(draft: Comparison, p: float) -> Comparison:
    """Fail: the interval lies beyond the line, and the difference outlives the correction. Pass: it lies within."""
    beyond = draft.low > draft.line or draft.high < -draft.line
    within = -draft.line <= draft.low and draft.high <= draft.line
    verdict = FAIL if beyond and p <= inference.ALPHA else PASS if within else INCONCLUSIVE
    return replace(draft, p=p, verdict=verdict)


def _gap(table: Table, options: Options, rng: Generator) -> Gap:
    means = table.means
    top, bottom = int(means.argmax()), int(means.argmin())
    high, low = float(means[top]), float(means[bottom])
    interval = inference.gap_interval(table, options.draws, rng)
    draws = min(10 * options.draws, max(999, _DRAWN // len(table.groups)))
    p = inference.any_difference(table, draws, rng)
    ratio = low / high if table.measure.kind == "rate" and high else None
    return Gap(high - low, *interval, ratio, table.groups[top], table.groups[bottom], p, p)


def _impacts(table: Table) -> tuple[Impact, ...]:
    shown = table.only(table.n >= SUPPRESSED)
    rare = shown.n < RARE * shown.n.sum()
    eligible = [at for at in range(len(shown.groups)) if shown.n[at] >= FEW and not rare[at]]
    best = max(eligible, key=lambda at: (shown.means[at], shown.n[at]), default=None)
    lines = []
    for at, group in enumerate(shown.groups):
        n, hits, rate = int(shown.n[at]), int(shown.total[at]), float(shown.means[at])
        ratio = low = high = None
        verdict = "not judged"
        if best is not None and shown.means[best] > 0:
            ratio = rate / float(shown.means[best])
            best_hits, best_n = float(shown.total[best]), float(shown.n[best])
            low, high = inference.ratio_interval(hits, n, best_hits, best_n) if at != best else (1.0, 1.0)
            if at == best:
                verdict = "most favoured"
            elif n >= FEW and not rare[at]:
                verdict = PASS if low >= FOUR_FIFTHS else FAIL if high < FOUR_FIFTHS else INCONCLUSIVE
        lines.append(Impact(group, n, hits, rate, ratio, low, high, verdict, bool(rare[at])))
    return tuple(lines)


def _odds(tables: Sequence[Table], options: Options, rng: Generator) -> list[Odds]:
    found = []
    for dimension in dict.fromkeys(table.dimension for table in tables):
        both = [table for table in tables if table.dimension == dimension and table.measure in ODDS]
        enough = [table.only(table.n >= FEW) for table in both]
        if len(enough) == len(ODDS) and all(len(table.groups) > 1 for table in enough):
            level = 1 - (1 - LEVEL) / 2  # each of the two gaps holds at this level, so the larger one at 95 %
            limits = [inference.gap_interval(table, options.draws, rng, level) for table in enough]
            gaps = [float(table.means.max() - table.means.min()) for table in enough]
            found.append(Odds(dimension, max(gaps), max(it[0] for it in limits), max(it[1] for it in limits)))
    return found


def _drifts(cells: Cells, results: Sequence[Result]) -> list[Drift]:
    """Differences from the reference, period by period; nothing below three periods."""
    if len(cells.periods) < 3:
        return []
    found = []
    for dimension in cells.dimensions:
        parts = cells.by_period(dimension)
        own = [result for result in results if result.dimension == dimension]
        for at, (result, whole) in enumerate(zip(own, cells.tables(dimension), strict=True)):
            series = {period: tables[at] for period, tables in parts.items()}
            found += [_drift(result, each, whole, series) for each in result.comparisons if result.reference]
    return [drift for drift in found if len(drift.points) >= 3]


def _drift(result: Result, compared: Comparison, whole: Table, series: Mapping[str, Table]) -> Drift:
    pair = (compared.group, result.reference or ())
    spreads = [_spread(whole, whole.groups.index(group)) for group in pair]
    points = []
    for period, table in series.items():
        places = [table.groups.index(group) if group in table.groups else None for group in pair]
        counts = [int(table.n[at]) if at is not None else 0 for at in places]
        if min(counts) < SUPPRESSED or places[0] is None or places[1] is None:
            continue
        first, second = float(table.means[places[0]]), float(table.means[places[1]])
        half = LIMIT * math.sqrt(sum(spread / n for spread, n in zip(spreads, counts, strict=True)))
        centre = compared.difference
        points.append(Point(period, counts[0], first, first - second, centre - half, centre + half))
    return Drift(result.measure, result.dimension, compared.group, compared.difference, tuple(points))


def _spread(table: Table, at: int) -> float:
    """The variance of one value: p (1 - p) for a rate, with Wilson's middle for p, so that a rate of 0 still has one."""
    if table.measure.kind == "mean":
        return float(table.variances[at])
    share = sum(wilson(float(table.total[at]), float(table.n[at]))) / 2
    return share * (1 - share)
