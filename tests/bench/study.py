"""`python -m tests.bench fairness-study`: do the figures of a fairness report keep what they promise?

Coverage of the 95 % intervals, false alarms after correction, and power, by simulation with a known truth: for small groups
and rare events too. A share of `repeats` runs has an error of its own, which the table gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table as Shown

from guard.fairness import inference
from guard.fairness.analysis import Options, analyse
from guard.fairness.cells import Cells, Table
from guard.fairness.measures import Measure
from guard.intervals import newcombe, wilson

RATE, MEAN = Measure("rate", "Rate"), Measure("mean", "Mean", "mean")
SIZES = ((30, 30), (30, 1000), (100, 100), (1000, 1000))
RARE, USUAL = (0.005, 0.03), (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Share:
    """How often something happened in `repeats` runs."""

    what: str
    found: float
    repeats: int
    wanted: str

    @property
    def error(self) -> float:
        """The standard error of the share."""
        return math.sqrt(max(self.found * (1 - self.found), 1 / self.repeats) / self.repeats)


def coverage(repeats: int, seed: int = 0) -> Iterator[Share]:
    """How often an interval holds the truth, on average over rates drawn from a range (as Agresti and Caffo do)."""
    rng = np.random.default_rng(seed)
    for name, (low, high) in (("rates of 5 to 95 %", USUAL), ("rates of 0.5 to 3 %", RARE)):
        for n, m in SIZES:
            size = f"{n}" if n == m else f"{n} and {m}"
            for method, found in _rates(rng, n, m, rng.uniform(low, high, (repeats, 2))).items():
                if method != "Wilson" or n == m:
                    scarce = (
                        min(n, m) * (low + high) / 2 < 5
                    )  # events: below that, whole numbers leave no interval of 95 %
                    yield Share(
                        f"{method}, {name}, groups of {size}", found, repeats, "≥ 94 %" if scarce else "95 % ± 1"
                    )
    for n in (30, 100, 1000):
        yield _share(f"Welch, lengths (gamma, skewness 1.4), groups of {n}", _means(rng, n), repeats, "95 % ± 1")
    for rates in ((0.2, 0.2, 0.2, 0.2), (0.2, 0.2, 0.3, 0.2), (0.02, 0.02, 0.02, 0.02)):
        told = ", ".join(f"{100 * rate:g}" for rate in rates)
        yield _share(f"largest gap, rates {told} %, groups of 200", _gaps(rng, rates), repeats // 4, "≥ 94 %")


def _rates(rng: np.random.Generator, n: int, m: int, truths: np.ndarray) -> dict[str, float]:
    """How often each interval holds, one run for each pair of true rates."""
    held = dict.fromkeys(("Wilson", "Newcombe", "Koopman"), 0)
    for p, q in truths.tolist():
        hits, others = int(rng.binomial(n, p)), int(rng.binomial(m, q))
        held["Wilson"] += _holds(wilson(hits, n), p)
        held["Newcombe"] += _holds(newcombe(hits, n, others, m), p - q)
        held["Koopman"] += _holds(inference.ratio_interval(hits, n, others, m), p / q)
    return {method: count / len(truths) for method, count in held.items()}


def _holds(interval: tuple[float, float], truth: float) -> bool:
    return bool(interval[0] <= truth <= interval[1])


def _share(what: str, happens: Callable[[int], bool], repeats: int, wanted: str) -> Share:
    return Share(what, sum(happens(at) for at in range(repeats)) / repeats, repeats, wanted)


def _means(rng: np.random.Generator, n: int) -> Callable[[int], bool]:
    def holds(_: int) -> bool:
        samples = rng.gamma(2.0, 100.0, (2, n))
        sums = samples.sum(axis=1), (samples**2).sum(axis=1)
        table = Table(MEAN, ("g",), (("a",), ("b",)), np.full(2, n), np.full(2, float(n)), *sums)
        return _holds(inference.difference_interval(table, 0, 1), 0.0)

    return holds


def _gaps(rng: np.random.Generator, rates: tuple[float, ...]) -> Callable[[int], bool]:
    n, groups = np.full(len(rates), 200.0), tuple((str(at),) for at in range(len(rates)))

    def holds(_: int) -> bool:
        hits = rng.binomial(200, rates).astype(float)
        interval = inference.gap_interval(Table(RATE, ("g",), groups, n, n, hits, hits), 300, rng)
        return _holds(interval, max(rates) - min(rates))

    return holds


def reports(repeats: int, *, measures: int = 8, groups: int = 10, seed: int = 1) -> Iterator[Share]:
    """False alarms of whole reports in which no group differs: any difference shown, any failure, points beyond limits."""
    rng = np.random.default_rng(seed)
    for name, rate, size in (("20 %", 0.2, 100), ("1 %", 0.01, 300)):
        shown = failed = out = points = 0
        for _ in range(repeats):
            cells = Cells(("g",), tuple(Measure(f"m{at}", "Rate") for at in range(measures)))
            n = rng.integers(size // 2, size * 2, groups)
            names = np.repeat([str(at) for at in range(groups)], n)
            for period in range(3):
                values = {it.name: (rng.random(len(names)) < rate).astype(float) for it in cells.measures}
                cells.add_columns([names], values, str(period))
            found = analyse(cells, Options(draws=50))
            shown += any(each.shown for _, each in found.comparisons)
            failed += any(each.verdict == "fail" for _, each in found.comparisons)
            out += sum(point.out for drift in found.drifts for point in drift.points)
            points += sum(len(drift.points) for drift in found.drifts)
        told = f"{groups} groups of {3 * size // 2} to {6 * size}, {measures} rates of {name}"
        yield Share(f"any difference shown, {told}", shown / repeats, repeats, "≤ 5 %")
        yield Share(f"any comparison fails, {told}", failed / repeats, repeats, "≤ 5 %")
        yield Share(f"points beyond control limits, {told}", out / points, points, "≤ 0.3 %")


def power(repeats: int, seed: int = 2) -> Iterator[Share]:
    """How often a difference is found, by its size: what a report calls detectable is found in four of five cases."""
    rng = np.random.default_rng(seed)
    for n, base in ((100, 0.2), (1000, 0.2), (1000, 0.02), (10_000, 0.02)):
        counts = np.array([n * base, n * base])
        table = Table(RATE, ("g",), (("a",), ("b",)), np.full(2, n), np.full(2, float(n)), counts, counts)
        size = inference.detectable(table, 0, 1, comparisons=10)
        for part in (0.0, 0.5, 1.0, 1.5):
            # around the base, so that the error stays what it was
            rates = [max(base - size * part / 2, 0.0), base + size * part / 2 + max(size * part / 2 - base, 0.0)]
            hits = rng.binomial(n, rates, (repeats, 2)).tolist()
            found = sum(inference.permutation_test(a, n, b, n) * 10 <= 0.05 for a, b in hits)
            told = f"{100 * size * part:.2g} points ({part:g} × detectable)"
            wanted = {0.0: "≤ 0.5 %", 1.0: "about 80 %"}.get(part, "")
            yield Share(f"found among 10: {told}, groups of {n}, {100 * base:g} %", found / repeats, repeats, wanted)


def main(repeats: int = 4000) -> None:
    """Print all three parts."""
    parts: dict[str, Callable[[], Iterator[Share]]] = {
        "coverage of 95 % intervals": lambda: coverage(repeats),
        "false alarms where nothing differs": lambda: reports(repeats // 20),
        "power": lambda: power(repeats // 4),
    }
    for title, part in parts.items():
        shown = Shown("what", "share", "± error", "runs", "wanted", title=title)
        for share in part():
            cells = (
                share.what,
                f"{100 * share.found:.2f} %",
                f"{100 * share.error:.2f}",
                f"{share.repeats:,}",
                share.wanted,
            )
            shown.add_row(*cells)
        Console(width=150).print(shown)
