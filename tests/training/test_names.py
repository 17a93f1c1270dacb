"""Training of the names recognizer: what is learned is what is found, and the same sentences give the same bytes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from guard.checkers.personal import tagger
from guard.checkers.personal.names import Names
from guard.checkers.personal.tagger import Tagger
from guard.checkers.personal.wordforms import words
from guard.checkers.shadow import shadow
from guard.training import names
from guard.training.names_data import Lists, People, Sample

LISTS = Lists(
    {place: People(["Ann", "Bo", "Cy", "Dee"], ["Lee", "Marsh", "Stone", "Park"]) for place in ("us", "en_GB")},
    {"US": ["Paris", "Rome", "Oslo"]},
    ["Norway", "Italy"], ["Ohio"], ["Lee", "Marsh"],
)  # fmt: skip


def sentences() -> list[Sample]:
    made = []
    for first in ("Ann", "Bo", "Cy", "Dee"):
        for last in ("Lee", "Marsh", "Stone"):
            for place in ("Paris", "Rome", "Oslo"):
                text = f"My friend {first} {last} lives in {place} now."
                at = text.index(place)
                people = (10, 11 + len(first) + len(last), "PERSON")
                made.append(Sample(text, (people, (at, at + len(place), "LOCATION")), "test"))
    return made


def train() -> bytes:
    """A model with few rows, from few words at a time."""
    learn = sentences()
    listed = names.listing(LISTS, Counter(), Counter())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "ROWS", 1 << 10)
        patch.setattr(names, "BATCH", 60)
        return names.packed(names.train(learn, LISTS, listed, epochs=7, each=0), learn)


@pytest.fixture(scope="module")
def trained() -> bytes:
    return train()


def test_it_learns_and_comes_back_from_its_file(trained: bytes, tmp_path: Path) -> None:
    path = tmp_path / "names.bin"
    path.write_bytes(trained)
    finder = Names(frozenset({"PERSON", "LOCATION"}), 0.5, Tagger.load(path))
    text = "My friend Bo Stone lives in Oslo now."
    assert [(kind, text[slice(*span)]) for kind, _, span in finder.matches(text)] == [
        ("PERSON", "Bo Stone"), ("LOCATION", "Oslo"),
    ]  # fmt: skip


def test_the_same_sentences_give_the_same_bytes(trained: bytes) -> None:
    assert train() == trained


def test_sums_stay_whole_numbers_that_float32_holds(trained: bytes, tmp_path: Path) -> None:
    path = tmp_path / "names.bin"
    path.write_bytes(trained)
    model = Tagger.load(path)
    first, second, _ = (layer[0] for layer in model._layers)
    for weights, most, bound in (
        (first, tagger.MOST_INPUT, tagger.MOST_FIRST),
        (second, tagger.MOST_HIDDEN, tagger.MOST_SECOND),
    ):
        assert np.abs(weights).max() <= bound
        assert len(weights) * most * bound < 1 << 24
        assert np.array_equal(weights, np.rint(weights))


def test_words_get_the_tags_of_the_names_that_they_stand_in() -> None:
    listed = names.listing(LISTS, Counter(), Counter())
    sample = Sample("Ask Ann Lee's boss @Ann", ((4, 11, "PERSON"), (19, 23, "PERSON")))
    made = names.document(sample, listed)
    assert made is not None
    assert [names.TAGS[tag] for tag in made.tags] == ["O", "B-PERSON", "I-PERSON", "O", "O", "O"]


def test_of_unmarked_texts_only_small_words_that_are_no_names_are_learned() -> None:
    small: Counter[int] = Counter()
    for _ in range(20):
        names._count("the parcel of marsh", small)
    as_names: Counter[int] = Counter()
    for _ in range(2):
        names._count("marsh", as_names)
    listed = names.listing(LISTS, small, as_names)
    made = names.document(Sample("The parcel of marsh and Ann", (), "unmarked"), listed)
    assert made is not None
    assert made.tags.tolist() == [-1, 0, 0, -1, 0, -1]


def test_new_names_stand_where_the_old_ones_stood() -> None:
    from guard.training.names_data import Filler, templates

    draw = random.Random(3)
    filler = Filler(LISTS, draw, templates()[0])
    sample = sentences()[0]
    renamed = [names._renamed(sample, filler, draw) for _ in range(20)]
    assert len({it.text for it in renamed}) > 3
    for it in renamed:
        assert [kind for *_, kind in it.names] == ["PERSON", "LOCATION"]
        (start, end, _), (at, stop, _) = it.names
        assert it.text[:start] == "My friend "
        assert it.text[end:at] == " lives in "
        assert it.text[stop:] == " now."


def test_rows_go_to_the_more_frequent_feature() -> None:
    found = words(shadow("a b").data)
    assert found is not None
    hashes = np.array([[7], [7], [7 + names.ROWS], [7 + names.ROWS], [7 + names.ROWS]], np.uint32)
    owned = names.owners([names.Document(hashes, np.zeros(5, np.int64))])
    assert tagger.numbers(hashes, owned)[:, 0].tolist() == [names.ROWS, names.ROWS, 7, 7, 7]
