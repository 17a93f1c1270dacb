"""Verdicts: planted differences are found with their size, controls are cleared, and what is too small says nothing."""

from __future__ import annotations

import math

import pytest

from guard.errors import ConfigError
from guard.fairness.analysis import FAIL, INCONCLUSIVE, PASS, Analysis, Options, Result, analyse
from guard.fairness.cells import Cells, Row
from guard.fairness.measures import KNOWN, ODDS, Measure
from tests.fairness import planted

RATE = Measure("rate", "Rate")


def result(found: Analysis, measure: str, *dimension: str) -> Result:
    return next(it for it in found.results if (it.measure.name, it.dimension) == (measure, dimension))


def counted(**groups: tuple[int, int]) -> Cells:
    """Cells of one rate from hits and rows by group."""
    cells = Cells(("g",), (RATE,))
    for group, (hits, n) in groups.items():
        cells.add_all(Row({"g": group}, {"rate": float(at < hits)}) for at in range(n))
    return cells


def test_what_was_planted_is_found_with_its_size_and_the_control_is_cleared() -> None:
    found = analyse(planted.cells(6000), Options(max_gap=0.1))
    block = result(found, "block", "sex")
    assert block.reference == ("f",)
    by_group = {each.group[0]: each for each in block.comparisons}
    for group, truth in (("m", -0.18), ("x", -0.18)):
        assert by_group[group].verdict == FAIL
        assert by_group[group].low <= truth <= by_group[group].high
    control = result(analyse(planted.cells(6000), Options(max_gap=0.1, reference={"sex": "m"})), "block", "sex")
    verdicts = {each.group[0]: each.verdict for each in control.comparisons}
    assert verdicts == {"f": FAIL, "x": PASS}
    assert block.gap is not None
    assert block.gap.low <= 0.18 <= block.gap.high
    assert block.gap.p < 1e-3
    ages = [each for it in found.results if it.dimension == ("age",) for each in it.comparisons]
    assert {each.verdict for each in ages} == {PASS}
    assert not any(each.shown for each in ages)


def test_an_interval_over_the_line_is_inconclusive() -> None:
    [comparison] = analyse(counted(a=(30, 100), b=(20, 90)), Options()).results[0].comparisons
    assert comparison.low < -0.05 < comparison.high
    assert comparison.verdict == INCONCLUSIVE
    assert comparison.detectable > 0.15


def test_small_groups_give_no_number_and_no_verdict() -> None:
    found = analyse(counted(a=(30, 200), b=(9, 9), c=(5, 20), d=(1, 1)), Options()).results[0]
    notes = {each.group[0]: (each.note, each.n, each.value) for each in found.figures}
    assert notes == {
        "a": ("", 200, 0.15),
        "b": ("suppressed", None, None),
        "c": ("insufficient", 20, 0.25),
        "d": ("suppressed", None, None),
    }
    assert found.comparisons == ()
    assert found.gap is None
    assert (found.overall_n, found.overall) == (220, 35 / 220)  # over those shown: the others cannot be worked out


def test_groups_that_are_all_blocked_or_never() -> None:
    [comparison] = analyse(counted(a=(100, 100), b=(0, 100)), Options()).results[0].comparisons
    assert (comparison.difference, comparison.verdict, comparison.ratio, comparison.ratio_low) == (-1, FAIL, 0, 0)
    [comparison] = analyse(counted(a=(0, 400), b=(0, 400)), Options()).results[0].comparisons
    assert (comparison.difference, comparison.verdict, comparison.ratio, comparison.p) == (0, PASS, None, 1)
    assert 0 < comparison.high < 0.02


def test_values_that_never_vary() -> None:
    cells = Cells(("g",), (KNOWN["length"],))
    cells.add_all(Row({"g": g}, {"length": 5.0}) for g in "ab" for _ in range(50))
    [comparison] = analyse(cells, Options()).results[0].comparisons
    assert (comparison.difference, comparison.low, comparison.high, comparison.verdict) == (0, 0, 0, PASS)


def test_a_measure_without_values_is_suppressed_everywhere() -> None:
    cells = Cells(("g",), (RATE, KNOWN["overturn"]))
    cells.add_all(Row({"g": g}, {"rate": 1.0, "overturn": math.nan}) for g in "ab" for _ in range(50))
    overturn = analyse(cells, Options()).results[1]
    assert {each.note for each in overturn.figures} == {"suppressed"}
    assert (overturn.overall, overturn.comparisons, overturn.gap) == (None, (), None)


def test_thousands_of_groups() -> None:
    cells = Cells(("g",), (RATE,))
    cells.add_columns(
        [[str(at % 2000) for at in range(80_000)]], {"rate": [float(at % 7 == 0) for at in range(80_000)]}
    )
    found = analyse(cells, Options()).results[0]
    assert len(found.comparisons) == 1999
    assert not any(each.shown for each in found.comparisons)


def test_impact_ratios_by_the_four_fifths_rule() -> None:
    cells = Cells(("g",), (KNOWN["selected"],))
    for group, hits, n in (("a", 500, 1000), ("b", 300, 1000), ("c", 450, 1000), ("d", 9, 40), ("e", 410, 1000)):
        cells.add_all(Row({"g": group}, {"selected": float(at < hits)}) for at in range(n))
    [lines] = analyse(cells, Options()).impacts.values()
    by_group = {line.group[0]: line for line in lines}
    assert {name: line.verdict for name, line in by_group.items()} == {
        "a": "most favoured", "b": FAIL, "c": PASS, "d": "not judged", "e": INCONCLUSIVE,
    }  # fmt: skip
    assert by_group["b"].ratio == pytest.approx(0.6)
    assert by_group["d"].rare  # 40 of 4,040 is under 2 %
    assert by_group["d"].n == 40


def test_equalised_odds_take_the_larger_gap() -> None:
    cells = Cells(("g",), ODDS)
    for group, tpr, fpr in (("a", 160, 20), ("b", 120, 30)):
        rows = [("true_positive_rate", at < tpr) for at in range(200)]
        rows += [("false_positive_rate", at < fpr) for at in range(200)]
        cells.add_all(Row({"g": group}, {name: float(hit)}) for name, hit in rows)
    [found] = analyse(cells, Options()).odds
    assert found.value == pytest.approx(0.2)
    assert found.low < 0.2 < found.high


def test_a_jump_lies_beyond_the_control_limits() -> None:
    cells = Cells(("g",), (RATE,))
    for week in range(10):
        for group in "ab":
            hits = 60 if (group, week) == ("b", 7) else 20
            cells.add_all(Row({"g": group}, {"rate": float(at < hits)}, f"W{week}") for at in range(200))
    [drift] = analyse(cells, Options()).drifts
    assert [point.period for point in drift.points if point.out] == ["W7"]
    assert drift.centre == pytest.approx(0.02)


def test_the_seed_decides_everything() -> None:
    assert analyse(planted.cells(500), Options()) == analyse(planted.cells(500), Options())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference": {"sex": "nobody"}}, "nobody"),
        ({"reference": {"eyes": "blue"}}, "eyes"),
        ({"max_gap": 5}, "between"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        analyse(planted.cells(100), Options(**options))  # type: ignore[arg-type]


def test_nobody_declares_a_group() -> None:
    with pytest.raises(ConfigError, match="none of 3 rows"):
        analyse(Cells(("g",), (RATE,)).add_all([Row({}, {"rate": 1.0})] * 3), Options())
