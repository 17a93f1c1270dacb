"""The cascade: tier 1 reads what tier 0 is not sure of and nothing else, and a policy decides with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.checkers.cascade import Cascade
from guard.checkers.linear import Model
from guard.checkers.toxicity import MODEL, TIER1, ToxicityChecker
from guard.pipeline import Guard
from guard.types import Checker, Finding, Item, Stage, Status, Text

Ask = Callable[[Checker, str], list[Finding]]
CALM = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SENTENCES = [
    "You are a complete idiot!", "Thank you for waiting.", "Kill the process.", "Nobody should call them vermin.", "?!",
    "The lamp is on its way.", "I will find you.", "Gay people are welcome.",
]  # fmt: skip


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade.load(Model.load(MODEL), TIER1)


@pytest.fixture(scope="module")
def checker(cascade: Cascade) -> ToxicityChecker:
    return ToxicityChecker(ToxicityChecker.Params(tiers="cascade"), cascade)


def test_tier_1_reads_what_tier_0_is_not_sure_of(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    plain = cascade.second.logits

    def spied(lines: Sequence[str]) -> Any:
        read.extend(lines)
        return plain(lines)

    monkeypatch.setattr(cascade.second, "logits", spied)
    reads, first = cascade.first.read(SENTENCES), cascade.first.logits(SENTENCES)
    found = cascade.logits(SENTENCES)
    unsure = cascade.unsure(reads, first)
    assert read == [line for line, ask in zip(reads, unsure, strict=True) if ask]
    assert 0 < unsure.sum() < len(SENTENCES)
    assert (found[~unsure] == first[~unsure]).all()
    joined = cascade.joined(first, plain(reads))
    assert (found[unsure] == joined[unsure]).all()
    assert (cascade.combined(reads, first, plain(reads)) == found).all()


@CALM
@given(texts=st.lists(st.lists(st.sampled_from(SENTENCES), max_size=3).map(" ".join), max_size=4))
def test_a_batch_is_its_items(checker: ToxicityChecker, ask: Ask, texts: list[str]) -> None:
    together = checker.check([Item(Text(text), Stage.OUTPUT) for text in texts])
    assert together == [ask(checker, text) for text in texts]


def test_findings_point_at_sentences(checker: ToxicityChecker, ask: Ask) -> None:
    text = "Thank you for waiting.  You are a complete idiot! Bye."
    spans = {text[slice(*finding.span)] for finding in ask(checker, text) if finding.span}
    assert spans == {"You are a complete idiot!"}
    assert ask(checker, "") == ask(checker, "?!") == []


def test_the_version_says_which_tiers_were_asked(checker: ToxicityChecker, toxicity: ToxicityChecker) -> None:
    assert checker.version.startswith(f"{toxicity.version}+tier1:")
    assert len(checker.version) == len(f"{toxicity.version}+tier1:") + 12


def test_stated_rates_are_the_cascades_own(cascade: Cascade) -> None:
    strict, loose = (
        ToxicityChecker(ToxicityChecker.Params(tiers="cascade", false_positive_rate=rate), cascade)._least
        for rate in (0.01, 0.05)
    )
    assert len(strict) == len(loose) == len(cascade.names)
    assert all(loose[column] <= strict[column] for column in strict)
    assert strict[0] == cascade.thresholds["harassment"]["0.01"]


POLICY = {
    "name": "own",
    "version": "1",
    "checkers": {"toxicity": {"params": {"tiers": "cascade"}}},
    "rules": [{"id": "rude", "checker": "toxicity", "category": "harassment", "threshold": 0.5, "action": "block"}],
}


def test_a_policy_decides_with_it(tmp_path: Path) -> None:
    with Guard(POLICY, home=tmp_path) as guard:
        rude = guard.check("You are a complete idiot.")
        assert rude.decision.rules == ("rude",)
        assert guard.check("Thank you for waiting.").decision.rules == ()
        assert "+tier1:" in rude.results[0].version


def test_a_policy_without_the_extra_is_told_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "onnxruntime.py").write_text("raise ModuleNotFoundError('onnxruntime')", "utf-8")
    monkeypatch.syspath_prepend(tmp_path / "lib")  # workers look where this process looks
    with Guard(POLICY, home=tmp_path / "home") as guard:
        (result,) = guard.check("Thank you for waiting.").results
    assert result.status is Status.ERROR
    assert result.error is not None
    assert "pip install 'genguard[toxicity]'" in result.error


def test_the_second_tier_needs_neither_torch_nor_transformers() -> None:
    program = (
        "import sys\nfrom guard.checkers.toxicity import ToxicityChecker\n"
        "heavy = ('onnxruntime', 'tokenizers', 'torch', 'transformers', 'onnx')\n"
        "found = lambda: [name for name in heavy if name in sys.modules]\n"
        "ToxicityChecker(ToxicityChecker.Params())\nprint(found())\n"
        "ToxicityChecker(ToxicityChecker.Params(tiers='cascade'))\nprint(found())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "['onnxruntime', 'tokenizers']"]


def test_what_names_a_group_is_always_read_and_what_has_no_words_never(cascade: Cascade) -> None:
    sure = np.full((1, len(cascade.names)), -20.0)
    assert cascade.unsure(["muslims are our neighbours"], sure).all()
    assert not cascade.unsure(["kettles are on the table"], sure).any()
    assert not cascade.unsure([""], np.full((1, len(cascade.names)), -np.inf)).any()


def test_tier_1_does_not_see_which_group_is_named(cascade: Cascade) -> None:
    found = cascade.second.logits(
        [f"all {group} are vermin" for group in ("muslims", "jews", "gays", "koreans", "refugees")]
    )
    assert (found == found[0]).all()
    assert found[0, cascade.names.index("hate")] > 0


@pytest.mark.parametrize(
    "text", ["\ud800 idiot", "idiot\u0301\ud800", "\U0001f600 you idiot", "\u0130diot", "a" * 5000, "1 " * 3000]
)
def test_odd_text_is_read(checker: ToxicityChecker, ask: Ask, text: str) -> None:
    for finding in ask(checker, f"{text} black {text}"):
        assert finding.span is not None
        assert 0 <= finding.span.start < finding.span.end <= 2 * len(text) + 7
