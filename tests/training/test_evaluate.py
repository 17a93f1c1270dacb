"""The measuring script, and what the shipped model must not fall below on our own cases."""

from __future__ import annotations

import pytest

from guard.checkers.linear import Model
from guard.checkers.toxicity import MODEL
from guard.training import evaluate, metrics


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(MODEL)


def test_a_text_has_the_score_of_its_worst_sentence(model: Model) -> None:
    together, worst, calm = evaluate.scored(model, ["Hello. You fucking idiot! Bye.", "You fucking idiot!", ""])
    assert together.max() == worst.max() > 0.5
    assert calm.max() == 0


def test_functional_cases(model: Model) -> None:
    *lines, mean = evaluate.functionalities(model)
    right = {line[0]: float(line[2]) for line in lines}
    assert mean[0] == "mean of the families"
    assert float(mean[2]) >= 0.7
    for name in (
        "negated_hate",
        "counter_speech_quoted",
        "neutral_mention",
        "praise",
        "everyday",
        "insult",
        "leetspeak",
    ):
        assert right[name] >= 0.7, name


def test_no_group_is_flagged_much_more_than_another_for_being_mentioned(model: Model) -> None:
    rates = evaluate._alarms(model, list(evaluate._mentions()))
    assert len(rates) >= 20
    assert metrics.spread(list(rates.values())) <= 0.12


def test_tables_are_markdown() -> None:
    assert evaluate.table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_speed_is_measured_for_each_size(model: Model) -> None:
    lines = list(evaluate.speed(model, sizes=(100, 1_000), rounds=5))
    assert [line[0] for line in lines] == ["100", "1,000"]
    assert all(0 < float(line[1]) <= float(line[2]) for line in lines)


def test_the_command_runs_without_data(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "speed", lambda model: iter(()))
    assert evaluate.main([]) == 0
    assert "| functionality | cases | right | must be |" in capsys.readouterr().out
