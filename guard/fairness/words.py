"""Figures in words, for people who read no statistics. Names of groups stay as they came: whoever shows them escapes them."""

from __future__ import annotations

from collections.abc import Iterator

from guard.fairness.analysis import FAIL, FEW, INCONCLUSIVE, PASS, SUPPRESSED, Comparison, Result
from guard.fairness.cells import Group
from guard.fairness.measures import Measure
from guard.fairness.report import Report

VERDICTS = {FAIL: "Fails", INCONCLUSIVE: "Inconclusive", PASS: "Passes"}
MEANINGS = {
    FAIL: "a larger difference than tolerated was shown",
    INCONCLUSIVE: "the data allow both a tolerated and a larger difference",
    PASS: "a difference larger than tolerated can be ruled out",
}
_MOST = 12  # findings that the first page tells


def group(name: Group) -> str:
    """`f · under 40`."""
    return " · ".join(name)


def dimension(names: tuple[str, ...]) -> str:
    """`sex`, `sex and age`."""
    return " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + f" and {names[-1]}"


def figure(measure: Measure, value: float | None) -> str:
    """A rate in per cent, a mean with four digits."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if measure.kind == "rate" else _plain(value)


def difference(measure: Measure, value: float) -> str:
    """A difference of rates in percentage points, signed."""
    if measure.kind == "rate":
        return f"{100 * value:+.1f}".replace("-", "−") + " pp"
    return ("+" if value > 0 else "−" if value < 0 else "±") + _plain(abs(value))


def chance(p: float) -> str:
    """A p-value, without false precision."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(number: int) -> str:
    """`12 345`, with narrow spaces."""
    return f"{number:,}".replace(",", "\u202f")


def plural(number: int, noun: str) -> str:
    """`1 comparison`, `2 comparisons`."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def _plain(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}".replace(",", "\u202f")


def headline(report: Report) -> str:
    """The report in one sentence."""
    counts, every = report.verdicts, sum(report.verdicts.values())
    if not every:
        return f"Nothing could be compared: no two groups have {FEW} values or more."
    if counts[FAIL]:
        return f"Groups fare differently: {counts[FAIL]} of {plural(every, 'comparison')} show more than is tolerated."
    if counts[INCONCLUSIVE]:
        open_ones = f"{counts[INCONCLUSIVE]} of {plural(every, 'comparison')}"
        return f"No difference beyond what is tolerated was shown, but {open_ones} cannot rule one out."
    return f"In none of {plural(every, 'comparison')} do groups differ by more than is tolerated."


def findings(report: Report) -> Iterator[tuple[str, str]]:
    """The verdict and a sentence for each comparison that matters: the failures first, then what lies within tolerance."""
    every = report.analysis.comparisons
    told = [it for it in every if it[1].verdict == FAIL or it[1].shown][:_MOST]
    for result, comparison in told:
        yield comparison.verdict, sentence(result, comparison)


def sentence(result: Result, comparison: Comparison) -> str:
    """One comparison in plain words, with its interval."""
    measure = result.measure
    values = {each.group: each.value for each in result.figures}
    mine, theirs = (figure(measure, values[each]) for each in (comparison.group, result.reference or ()))
    ends = (difference(measure, it) for it in (comparison.difference, comparison.low, comparison.high))
    size, low, high = (it.replace(" pp", " points") for it in ends)
    tail = " It is within what is tolerated." if comparison.verdict == PASS else ""
    tail = " Whether it is more than is tolerated stays open." if comparison.verdict == INCONCLUSIVE else tail
    return (
        f"{measure.title}: {mine} for {group(comparison.group)} against {theirs} for {group(result.reference or ())} "
        f"({dimension(result.dimension)}). The difference is {size}, with 95 % confidence between {low} and {high}.{tail}"
    )


def limits(report: Report) -> list[str]:
    """What the report cannot say."""
    found = list(report.source.limits)
    small = sum(figure.note == "suppressed" for result in report.analysis.results for figure in result.figures)
    few = sum(figure.note == "insufficient" for result in report.analysis.results for figure in result.figures)
    if small:
        found.append(f"{plural(small, 'figure')} of fewer than {SUPPRESSED} values are withheld, to protect people.")
    if few:
        found.append(f"{plural(few, 'figure')} of fewer than {FEW} values are shown and not judged.")
    for names, missing in report.undeclared.items():
        if missing:
            share = 100 * missing / report.rows
            found.append(
                f"{plural(missing, 'row')} ({share:.1f} %) declare no {dimension(names)} and are in no comparison."
            )
    weak = [it for _, it in report.analysis.comparisons if it.detectable > it.line]
    if weak:
        found.append(
            f"{plural(len(weak), 'comparison')}"
            " had too few values to find a difference of the tolerated size in four of five cases."
        )
    return found
