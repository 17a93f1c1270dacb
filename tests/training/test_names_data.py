"""Reading marked sets, and filling our own sentences: spans are right, twins stay together, nothing depends on the clock."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from guard.training import names_data, names_places
from guard.training.names_data import KINDS, Filler, Sample
from tests.training.test_names import LISTS

FILE = """\
RT\tO
@\tO
bob\tB-PER
:\tO
Ann\tB-PER
Lee\tI-PER
's\tO
cat\tO
(\tO
in\tO
Rome\tB-LOC
)\tO
does\tO
n't\tO
like\tO
"\tO
Acme\tB-ORG
"\tO
.\tO

I\tO
do\tO
n\tO
'\tO
t\tO
http://t.co/x\tB-ORG

Lee I-PER
Ann I-PER
Song I-MISC
"""


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    path = tmp_path / "set.conll"
    path.write_text(FILE)
    return list(names_data.read(path, "test"))


def test_sentences_are_put_together_as_people_write(samples: list[Sample]) -> None:
    assert [it.text for it in samples] == [
        'RT @bob: Ann Lee\'s cat (in Rome) doesn\'t like "Acme".', "I don't http://t.co/x", "Lee Ann Song",
    ]  # fmt: skip


def test_names_are_where_they_were_marked_and_handles_and_links_are_none(samples: list[Sample]) -> None:
    marked = [[(it.text[start:end], kind) for start, end, kind in it.names] for it in samples]
    assert marked == [
        [("Ann Lee", "PERSON"), ("Rome", "LOCATION"), ("Acme", "ORGANIZATION")], [], [("Lee Ann", "PERSON")],
    ]  # fmt: skip


def test_twins_stay_together() -> None:
    twins = [Sample(text, ()) for text in ("Ann is here 1", "ann is here, 2!", "ANN IS HERE")]
    assert sorted(map(len, names_data.split(twins))) == [0, 0, 3]


def test_the_split_is_in_stated_shares() -> None:
    learn, tune, test = names_data.split(
        [Sample(f"sentence {chr(97 + a)}{chr(97 + b)}{c}", ()) for a in range(26) for b in range(26) for c in "xyz"]
    )
    assert 0.82 < len(learn) / 2028 < 0.88
    assert 0.03 < len(tune) / 2028 < 0.07
    assert 0.08 < len(test) / 2028 < 0.12


def test_own_sentences_mark_what_they_filled_in() -> None:
    made = list(names_data.own(LISTS, 1, 1))
    assert made == list(names_data.own(LISTS, 1, 1))
    assert {kind for it in made for *_, kind in it.names} == set(KINDS)
    for it in made:
        assert "{" not in it.text.replace('{"', "").replace(' {"', "") or "{{" not in it.text
        reached = 0
        for start, end, _ in it.names:
            assert reached <= start < end <= len(it.text)
            assert it.text[start:end].strip() == it.text[start:end]
            reached = end
    assert any(not it.names for it in made)


def test_every_word_and_slot_of_the_templates_is_known() -> None:
    words, families = names_data.templates()
    for template in (line for lines in families.values() for line in lines):
        for slot in names_data._SLOT.finditer(template):
            assert slot[1] in names_data._SLOTS if slot[1] else slot[2] in words, template


def test_every_list_of_places_can_be_filled() -> None:
    draw = random.Random(1)
    places = names_places.Places(lambda kind: f"({kind})", draw)
    for _ in range(2000):
        for text in (places.one("org"), places.one("place"), places.street(), places.address()):
            assert "<" not in text
            assert "|" not in text
    with pytest.raises(ValueError, match="unknown slot 'nobody'"):
        Filler(LISTS, draw, {}).name("nobody")
