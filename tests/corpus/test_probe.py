"""Recitation: models that recite, one that does not, and samples that can be drawn again."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.corpus.index import Corpus, build
from guard.corpus.probe import passages, probe
from guard.errors import ConfigError
from tests.corpus.test_index import prose


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(prose(number, 2000 * (number + 1)))
    build(tmp_path / "c", [folder])
    return folder


@pytest.fixture
def corpus(library: Path, tmp_path: Path) -> Corpus:
    return Corpus(tmp_path / "c")


def test_a_model_that_recites_and_one_that_does_not(corpus: Corpus, library: Path) -> None:
    works = [path.read_text() for path in library.iterdir()]

    def recite(prompt: str) -> str:
        [text] = [text for text in works if prompt in text]
        end = text.index(prompt) + len(prompt)
        return text[end : end + 300]

    found = probe(corpus, recite, count=20)
    assert (found.recited, found.rate, found.high) == (20, 1.0, 1.0)
    assert found.low == pytest.approx(0.8389, abs=1e-4)
    assert min(answer.longest for answer in found.answers) >= 200
    assert all(answer.copied_from == answer.work.title for answer in found.answers)
    done: list[tuple[int, int]] = []
    none = probe(
        corpus,
        lambda prompt: prose(len(prompt) + 77, 80),
        count=5,
        progress=lambda number, total: done.append((number, total)),
    )
    assert (none.recited, none.rate, none.low) == (0, 0.0, 0.0)
    assert done == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    half = iter([True, False] * 10)
    assert probe(corpus, lambda prompt: recite(prompt) if next(half) else "", count=20).recited == 10


def test_passages_are_drawn_again_and_over_all_works(corpus: Corpus) -> None:
    drawn = [(work.title, at, text) for work, at, text in passages(corpus, 60, 100, 4)]
    assert drawn == [(work.title, at, text) for work, at, text in passages(corpus, 60, 100, 4)]
    assert {len(text) for _, _, text in drawn} == {100}
    counts = [sum(title == f"{number}.txt" for title, _, _ in drawn) for number in range(3)]
    assert counts[0] < counts[2]


def test_files_that_changed_are_not_asked_about(corpus: Corpus, library: Path) -> None:
    (library / "2.txt").write_text("something else")
    assert {work.title for work, _, _ in passages(corpus, 20, 100, 0)} == {"0.txt", "1.txt"}
    for path in library.iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match="not where they were indexed"):
        next(passages(corpus, 1, 100, 0))
