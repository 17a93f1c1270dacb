"""The measuring script, and what the shipped model must not fall below on our own cases."""

from __future__ import annotations

import pytest

from guard.checkers.cascade import Cascade
from guard.checkers.linear import Model, probability
from guard.checkers.toxicity import MODEL, TIER1, lines_of
from guard.training import evaluate, metrics


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(MODEL)


def test_a_text_has_the_score_of_its_worst_sentence(model: Model) -> None:
    together, worst, calm = evaluate.Scores(model)(["Hello. You fucking idiot! Bye.", "You fucking idiot!", ""])[
        "tier0"
    ]
    assert together.max() == worst.max() > 0.5
    assert calm.max() == 0


def test_functional_cases(model: Model) -> None:
    *lines, mean = evaluate.functionalities(evaluate.Scores(model))
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
    rows = list(evaluate._mentions())
    found = evaluate.Scores(model)([row.text for row in rows])["tier0"]
    rates = evaluate.alarms(rows, found.max(1) >= evaluate.LEAST)
    assert len(rates) >= 20
    assert metrics.spread(list(rates.values())) <= 0.12


def test_a_cascade_is_measured_beside_its_tiers(model: Model) -> None:
    cascade = Cascade.load(model, TIER1)
    scores = evaluate.Scores(cascade)
    texts = ["Hello. You idiot!", "Thank you.", "Gay people are fine.", ""]
    found = scores(texts)
    assert tuple(found) == scores.kinds == ("tier0", "tier1", "cascade", "both")
    wanted = probability(cascade.logits([line for text in texts for line in lines_of(text)[0]]))
    assert found["cascade"].max() == wanted.max()
    assert (found["cascade"][3] == 0).all()
    first, both, one = (found[kind] for kind in ("tier0", "both", "cascade"))
    assert ((one == first) | (one == both))[1:].all()  # of one sentence each


def test_tables_are_markdown() -> None:
    assert evaluate.table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_speed_is_measured_for_each_size(model: Model) -> None:
    lines = list(evaluate.speed(model, sizes=(100, 1_000), rounds=5))
    assert [line[0] for line in lines] == ["100", "1,000"]
    assert all(0 < float(line[1]) <= float(line[2]) for line in lines)


def test_the_command_runs_without_data(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "speed", lambda model: iter(()))
    assert evaluate.main([]) == 0
    assert "| functionality | cases | tier0 | must be |" in capsys.readouterr().out
