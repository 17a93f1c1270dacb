"""The figures of the names recognizer: how they are counted, and what the shipped model must not fall below."""

from __future__ import annotations

import pytest

from guard.checkers.personal.names import CATEGORIES, Names
from guard.training import names_report
from guard.training.names_data import Sample, cases
from guard.training.names_report import tally


@pytest.fixture(scope="module")
def finder() -> Names:
    return Names(CATEGORIES, 0.5)


def test_what_is_counted() -> None:
    names = [(0, 7, "PERSON"), (10, 15, "LOCATION"), (20, 25, "PERSON")]
    seen = [(0, 7, "PERSON"), (9, 15, "ORGANIZATION"), (22, 30, "PERSON"), (40, 42, "LOCATION")]
    assert tally(names, seen, "all") == (3, 4, 1, 2, 2, 3, 2)
    assert tally(names, seen, "PERSON") == (2, 2, 1, 2, 2, 2, 1)
    assert tally(names, seen, "LOCATION") == (1, 1, 0, 0, 0, 1, 1)
    assert tally([], [], "all") == (0,) * 7


def test_lines_of_the_table(finder: Names) -> None:
    samples = [Sample("My name is Priya Sharma.", ((11, 23, "PERSON"),)), Sample("Nothing here.", ())] * 5
    (person, every) = names_report.report("set", samples, finder, rounds=20)
    assert person[:3] == ("set", "PERSON", "5")
    assert every[3] == "1.00 (1.00–1.00)"
    assert len(every) == len(names_report.HEAD)


def test_speed_is_measured_for_each_size(finder: Names) -> None:
    lines = list(
        names_report.speed(finder, [Sample("My name is Priya Sharma. " * 80, ())], sizes=(100, 1_000), rounds=5)
    )
    assert [line[0] for line in lines] == ["100", "1,000"]
    assert all(0 < float(line[1]) <= float(line[2]) for line in lines)


@pytest.mark.parametrize(("kind", "least"), [("PERSON", 0.85), ("ADDRESS", 0.85), ("all", 0.85)])
def test_the_shipped_model_on_our_own_cases(finder: Names, kind: str, least: float) -> None:
    counts = [tally(it.names, names_report.found(finder, it.text), kind) for it in cases()]
    every, _, _, _, _, any_kind, _ = (sum(column) for column in zip(*counts, strict=True))
    assert every >= 20
    assert any_kind / every >= least


def test_the_shipped_model_leaves_ordinary_sentences_alone(finder: Names) -> None:
    calm = [it.text for it in cases() if it.origin == "none"]
    assert len(calm) >= 20
    assert sum(bool(names_report.found(finder, text)) for text in calm) <= 3


def test_the_command_runs_without_data(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_report, "speed", lambda *_: iter(()))
    assert names_report.main(["--rounds", "5"]) == 0
    assert "| own cases | ADDRESS |" in capsys.readouterr().out


def test_findings_are_counted_by_kind(finder: Names) -> None:
    lines = list(names_report.alarms(finder, ["My name is Priya Sharma.", "Nothing here."]))
    assert lines[0] == ("PERSON", "1", f"{100_000 / 37:.1f}")
    assert [line[1] for line in lines[1:]] == ["0", "0", "0"]
