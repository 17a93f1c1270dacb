"""The copyright checker: lengths become scores, licences are allowed or attributed, and a missing corpus is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from guard.checkers.copyright import CopyrightChecker
from guard.corpus.index import Corpus, build
from guard.errors import ConfigError
from guard.pipeline import Guard
from guard.types import Action, Item, Stage, Text
from tests.corpus.test_index import prose

MINE, FREE, CODE = prose(1, 900), prose(2, 900), prose(3, 900)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GUARD_HOME", str(tmp_path))
    for name, text, licence in (
        ("mine", MINE, "all rights reserved"),
        ("free", FREE, "CC0-1.0"),
        ("code", CODE, "MIT"),
    ):
        (tmp_path / f"{name}.txt").write_text(text)
        build(tmp_path / "corpora" / "works", [tmp_path / f"{name}.txt"], licence=licence)
    return tmp_path


def look(text: str, **params: object) -> list[tuple[str, float, str, str]]:
    checker = CopyrightChecker(CopyrightChecker.Params(**{"corpora": ("works",), **params}))
    [found] = checker.check([Item(Text(text), Stage.OUTPUT)])
    return [(it.category, round(it.score, 2), text[slice(*(it.span or (0, 0)))], it.message) for it in found]


def test_a_copy_scores_by_its_length(home: Path) -> None:
    copied = MINE[100:400].strip(" ,.\n")
    [(category, score, words, message)] = look(f"He wrote: {copied.upper()} - and that was all.")
    assert category == "verbatim_copy"
    assert words.strip(" -") == copied.upper()
    count = sum(char.isalnum() for char in copied)
    assert score == round(count / 300, 2)
    assert message == f"{count} letters and digits as in mine.txt (all rights reserved), from about character 0 on"
    assert look(f"He wrote: {copied}", limit=150)[0][1] == 1.0
    assert look("He wrote nothing of the kind.") == look("") == []


def test_licences(home: Path) -> None:
    both = f"{FREE[:300]} 000 {CODE[:300]}"
    assert [it[0] for it in look(both)] == ["verbatim_copy", "verbatim_copy"]
    assert [it[0] for it in look(both, allow={"CC0-1.0"}, attribute={"MIT"})] == ["licensed_copy"]
    assert look(both, allow={"CC0-1.0", "MIT"}) == []


def test_the_version_names_the_state_of_the_corpus(home: Path) -> None:
    def version() -> str:
        return CopyrightChecker(CopyrightChecker.Params(corpora=("works",))).version

    before = version()
    assert Corpus(home / "corpora" / "works").digest in before
    (home / "more.txt").write_text(prose(9, 300))
    build(home / "corpora" / "works", [home / "more.txt"])
    assert version() != before


def test_a_missing_corpus_is_an_error_and_never_a_pass(home: Path) -> None:
    with pytest.raises(ConfigError, match="guard corpus build nowhere"):
        CopyrightChecker(CopyrightChecker.Params(corpora=("nowhere",)))
    with pytest.raises(ValidationError):
        CopyrightChecker.Params(corpora=())
    policy = {
        "name": "t", "version": "1", "checkers": {"copyright": {"stages": ["output"], "params": {"corpora": ["nowhere"]}}},
        "rules": [{"id": "copy", "checker": "copyright", "stage": "output", "category": "verbatim_copy", "threshold": 0.5, "action": "block"}],
    }  # fmt: skip
    with Guard(policy, store=f"sqlite:///{home / 'g.db'}", home=home) as guard:
        assert guard.check("harmless").decision.action is Action.REVIEW


def test_a_policy_stops_what_recites(home: Path) -> None:
    policy = {
        "name": "t", "version": "1", "checkers": {"copyright": {"stages": ["output"], "params": {"corpora": ["works"]}}},
        "rules": [
            {"id": "copy", "checker": "copyright", "stage": "output", "category": "verbatim_copy", "threshold": 0.5, "action": "block"},
        ],
    }  # fmt: skip
    with Guard(policy, store=f"sqlite:///{home / 'g.db'}", home=home) as guard:
        assert guard.check(f"Once more: {MINE[50:600]}").decision.action is Action.BLOCK
        assert (
            guard.check("Something of my own, with words that nobody wrote down before.").decision.action
            is Action.ALLOW
        )
