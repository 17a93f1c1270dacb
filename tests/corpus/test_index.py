"""Corpora: built, added to, merged, damaged and interrupted; every copy that is long enough is found where it is."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.corpus import index, segment
from guard.corpus.index import Corpus, build, compact, folder_of
from guard.corpus.normal import normalise
from guard.corpus.segment import TooRepetitiveError
from guard.errors import ConfigError

WORDS = ["".join(random.Random(number).choices("abcdefghijklmnoprstuvw", k=2 + number % 7)) for number in range(3000)]


def prose(seed: int, words: int) -> str:
    chance = random.Random(seed)
    said = (chance.choice(WORDS) for _ in range(words))
    return "".join(word + chance.choice((" ", " ", " ", ", ", ". ", "\n")) for word in said)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of some works."""
    folder = tmp_path_factory.mktemp("library")
    for number in range(8):
        (folder / f"work{number}.txt").write_text(prose(number, 3000))
    (folder / "code").mkdir()
    (folder / "code" / "tool.py").write_text(Path(index.__file__).read_text())
    greetings = "\u00c4pfel f\u00fcr \u00dcbermut, \u0416\u0443\u043a! " + prose(99, 400).replace("a", "\u00e4")
    (folder / "Gr\u00fc\u00dfe.txt").write_text(greetings)
    return folder


@pytest.fixture(scope="module")
def corpus(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpora") / "books"
    added = build(folder, [library], licence="all rights reserved")
    assert (added.works, added.known, added.skipped) == (10, 0, ())
    return Corpus(folder)


def stretch(text: str, start: int, characters: int) -> tuple[int, int]:
    """Where so many letters and digits from `start` on begin and end."""
    while not text[start].isalnum():
        start += 1
    end = start
    while len(normalise(text[start:end]).decode()) < characters:
        end += 1
    return start, end


def disguised(text: str, chance: random.Random) -> str:
    text = re.sub(r"\s+", lambda _: chance.choice([" ", "  ", ",\n", " - ", "-\n", "\u00a0", "\u200b"]), text)
    return chance.choice([str.upper, str.title, str.lower])(text)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32))
def test_every_copy_of_a_run_is_found_at_its_place(corpus: Corpus, library: Path, seed: int) -> None:
    chance = random.Random(seed)
    title = chance.choice([f"work{number}.txt" for number in range(8)] + ["code/tool.py", "Gr\u00fc\u00dfe.txt"])
    text = (library / title).read_text()
    start, end = stretch(text, chance.randrange(len(text) - 1500), chance.randrange(corpus.run, 400))
    copied = disguised(text[start:end], chance)
    before, after = (
        prose(seed + 1000, chance.randrange(60)) + "\u2042 Q7",
        "9X \u2042" + prose(seed + 2000, chance.randrange(60)),
    )
    found = corpus.find(before + copied + after)
    assert len(found) == 1
    [copy] = found
    assert copy.work.title == title
    assert copy.start <= len(before)
    assert copy.end >= len(before) + len(copied) - 1
    # What is found is there: at most some letters more than were planted, and each of them really the same.
    same = normalise((before + copied + after)[copy.start : copy.end])
    assert same in normalise(text)
    assert copy.characters == len(same.decode())
    assert 0 <= start - copy.at < 2000


def test_nothing_is_found_that_is_not_there(corpus: Corpus) -> None:
    assert [copy for seed in range(200) for copy in corpus.find(prose(10_000 + seed, 200))] == []
    for text in ("", "x", "?!" * 1000, "\u0416" * 5000, "\0" * 500, "\ud800" * 300):
        assert corpus.find(text) == []


def test_shorter_copies_may_be_asked_for(corpus: Corpus, library: Path) -> None:
    text = (library / "work3.txt").read_text()
    start, end = stretch(text, 5000, 149)
    assert corpus.find(f"{text[start:end]} 0") == []
    hits = 0
    for at in range(100, 8000, 200):
        start, end = stretch(text, at, 110)
        hits += bool(corpus.find(text[start:end], 100))
    assert 10 < hits < 40  # most of them


def test_copies_from_several_works_stand_in_the_order_of_the_text(corpus: Corpus, library: Path) -> None:
    parts = []
    for number in (5, 2, 7):
        text = (library / f"work{number}.txt").read_text()
        parts.append(text[slice(*stretch(text, 700 * number, 200))])
    found = corpus.find(" 0000 ".join(parts))
    assert [copy.work.title for copy in found] == ["work5.txt", "work2.txt", "work7.txt"]
    assert all(one.end <= two.start for one, two in itertools.pairwise(found))


def test_a_whole_work_is_one_copy(corpus: Corpus, library: Path) -> None:
    text = (library / "Gr\u00fc\u00dfe.txt").read_text()
    [copy] = corpus.find(f"\u201c{text}\u201d")
    assert (copy.start, copy.work.title, copy.at) == (1, "Gr\u00fc\u00dfe.txt", 0)
    assert copy.characters == len(normalise(text).decode())


def test_works_are_added_once(library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    build(folder, [library / "work0.txt"], licence="CC0-1.0", run=100)
    first = Corpus(folder)
    (tmp_path / "again.txt").write_text((library / "work0.txt").read_text().upper())
    added = build(folder, [library / "work1.txt", tmp_path / "again.txt"], licence="MIT")
    assert (added.works, added.known) == (1, 1)
    both = Corpus(folder)
    assert [(work.title, work.licence) for work in both.works] == [("work0.txt", "CC0-1.0"), ("work1.txt", "MIT")]
    assert first.digest != both.digest
    assert both.run == 100
    with pytest.raises(ConfigError, match="finds runs of 100"):
        build(folder, [library], run=150)
    assert build(folder, [library / "work0.txt", library / "work1.txt"]).known == 2
    assert Corpus(folder).digest == both.digest


def test_segments_are_merged_and_find_the_same(
    corpus: Corpus, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_MERGED", 64)
    folder = tmp_path / "many"
    for number in range(8):
        build(folder, [library / f"work{number}.txt"])
        assert len(Corpus(folder).segments) == (number + 1 if number < 7 else 1)
    merged = Corpus(folder)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", merged.names[0], "manifest.json"]
    rows = merged.segments[0].rows()
    assert (rows[0][:-1] <= rows[0][1:]).all()
    for number in range(8):
        text = (library / f"work{number}.txt").read_text()
        for at in range(0, 9000, 900):
            part = text[slice(*stretch(text, at, 170))]
            assert [(it.work.title, it.start, it.end, it.at) for it in merged.find(part)] == [
                (it.work.title, it.start, it.end, it.at) for it in corpus.find(part)
            ]
    compact(folder)
    assert Corpus(folder).digest == merged.digest


def test_large_corpora_are_cut_into_segments(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_SEGMENT", 20_000)
    monkeypatch.setattr(index, "_MANY", 100)
    build(tmp_path / "c", [library])
    found = Corpus(tmp_path / "c")
    assert len(found.segments) > 3
    assert len(list(found.works)) == 10


def test_what_is_no_text_is_left_out_and_named(library: Path, tmp_path: Path) -> None:
    works = tmp_path / "works"
    works.mkdir()
    (works / "latin.txt").write_bytes(("fine\n" + "caf\u00e9 " * 100).encode("latin-1"))
    (works / "picture.png").write_bytes(b"\x89PNG\0\0" + bytes(1000))
    (works / "short.txt").write_text("too short")
    (works / "empty.txt").write_bytes(b"")
    (works / ".git").mkdir()
    (works / ".git" / "config").write_text(prose(5, 200))
    (works / "good.txt").write_text("\ufeff" + prose(6, 200))
    added = build(tmp_path / "c", [works])
    why = {Path(path).name: reason for path, reason in added.skipped}
    assert added.works == 1
    assert why == {
        "latin.txt": "is not UTF-8 (line 2): convert it first",
        "picture.png": "is not text",
        "short.txt": "has fewer than 150 letters and digits",
        "empty.txt": "has fewer than 150 letters and digits",
    }
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        build(tmp_path / "c", [works / "gone"])
    with pytest.raises(ConfigError, match="name files"):
        build(tmp_path / "c", [])


def test_names_and_folders(tmp_path: Path) -> None:
    assert folder_of("books-2.en", tmp_path) == tmp_path / "corpora" / "books-2.en"
    assert folder_of("./books", tmp_path) == Path("books")
    for name in ("", "..", "Books", "a b", ".hidden"):
        with pytest.raises(ConfigError, match="cannot name a corpus"):
            folder_of(name, tmp_path)
    with pytest.raises(ConfigError, match="guard corpus build nothing"):
        Corpus(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="at least 24"):
        build(tmp_path / "c", [Path(__file__)], run=10)


@pytest.mark.parametrize("name", ["manifest.json", "hashes", "places", "text", "works"])
def test_damage_is_an_error(library: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "c"
    build(folder, [library / "work0.txt"])
    path = folder / name if name == "manifest.json" else folder / "0001" / name
    if name == "text":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ConfigError, match="build the corpus again"):
        Corpus(folder).find((library / "work0.txt").read_text()[:2000])


def test_a_corpus_of_another_release_is_refused(library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    build(folder, [library / "work0.txt"])
    told = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(told | {"format": 2}))
    with pytest.raises(ConfigError, match="another release"):
        Corpus(folder)


KILLED = """
import os, signal, sys
from pathlib import Path
from guard.corpus import index
step = int(sys.argv[3])
def dying(name):
    real = getattr(index, name)
    def run(*arguments):
        global step
        step -= 1
        if step < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    setattr(index, name, run)
index._SEGMENT, index._MANY = 20_000, 3
for name in ("_close", "_publish", "_merge", "write_works"):
    dying(name)
index.build(Path(sys.argv[1]), [Path(sys.argv[2])])
"""


@pytest.mark.parametrize("step", [0, 1, 4, 9, 10, 11, 12])
def test_a_build_that_was_killed_is_finished_by_another(library: Path, tmp_path: Path, step: int) -> None:
    folder = tmp_path / "c"
    build(folder, [library / "work0.txt"])
    command = [sys.executable, "-c", KILLED, str(folder), str(library), str(step)]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode in (0, -signal.SIGKILL)
    there = [work.title for work in Corpus(folder).works]
    assert there == ["work0.txt"] or len(there) == 10
    build(folder, [library])
    assert len({work.title for work in Corpus(folder).works}) == len(list(Corpus(folder).works)) == 10
    assert all(name in {*Corpus(folder).names, ".lock", "manifest.json"} for name in os.listdir(folder))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text("ab", min_size=200, max_size=800),
    st.integers(0, 600),
    st.text("abc", max_size=300),
    st.integers(0, 1 << 20),
)
def test_texts_that_repeat_themselves(tmp_path: Path, work: str, start: int, other: str, seed: int) -> None:
    """Two letters only: every run is there in many places, and still none that is long enough is missed."""
    folder = tmp_path / f"{seed}-{random.getrandbits(60)}"
    (tmp_path / "work.txt").write_text(work)
    build(folder, [tmp_path / "work.txt"])
    start = min(start, len(work) - 150)
    found = Corpus(folder).find(other + work[start : start + 150] + "c" + other)
    assert any(copy.start <= len(other) and copy.end >= len(other) + 150 for copy in found)


def test_a_text_cannot_keep_the_index_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zeros.txt").write_text("0" * 30_000)
    build(tmp_path / "c", [tmp_path / "zeros.txt"])
    found = Corpus(tmp_path / "c")
    [copy] = found.find("x" + "0" * 300 + "x")
    assert (copy.start, copy.end) == (1, 301)
    monkeypatch.setattr(segment, "_MOST", 1 << 20)
    with pytest.raises(TooRepetitiveError):
        found.find("x" + "0" * 300 + "x")
