"""Text in images: read, judged by the checkers of texts, and covered where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from guard import pictures
from guard.checkers.image_text import ImageTextChecker
from guard.checkers.ocr import Line, Page, Read, Word, reader
from guard.errors import ContentError, MissingExtra
from guard.pipeline import Guard
from guard.types import Finding, Image, Item, Region, Span, Stage, State
from tests.pictures import CARD, MAIL, RUDE, bomb, encoded, moving, written

PARAMS = ImageTextChecker.Params
ONLY = {"pii": {"engine": "native"}, "toxicity": {}}


@pytest.fixture(scope="module")
def read() -> Read:
    return reader()[0]


@pytest.fixture(scope="module")
def checker(read: Read) -> ImageTextChecker:
    return ImageTextChecker(PARAMS(checkers=ONLY), read)


def ask(checker: ImageTextChecker, *images: Image) -> list[list[Finding]]:
    return checker.check([Item(image, Stage.INPUT) for image in images])


def inside(region: Region | None, left: int, top: int, right: int, bottom: int) -> bool:
    assert region is not None
    return (
        left <= region.x and top <= region.y and region.x + region.width <= right and region.y + region.height <= bottom
    )


def test_findings_have_their_place_in_the_picture(checker: ImageTextChecker) -> None:
    nothing, found = ask(checker, encoded(written()), encoded(written(CARD, MAIL, RUDE)))
    assert nothing == []
    by_category = {finding.category: finding for finding in found}
    assert set(by_category) >= {"CREDIT_CARD", "EMAIL_ADDRESS", "harassment"}
    assert all(finding.span is None for finding in found)
    assert inside(by_category["CREDIT_CARD"].region, 140, 10, 450, 70)
    assert inside(by_category["EMAIL_ADDRESS"].region, 110, 70, 460, 130)
    assert inside(by_category["harassment"].region, 10, 130, 350, 190)


def test_what_is_said_over_two_lines_is_read_on(checker: ImageTextChecker) -> None:
    [found] = ask(checker, encoded(written("You are such a complete", "idiot, go away you moron")))
    assert "harassment" in {finding.category for finding in found}
    [found] = ask(checker, encoded(written("The card is 4111 1111", "1111 1111 as I said")))
    regions = [finding.region for finding in found if finding.category == "CREDIT_CARD"]
    assert len(regions) == 2
    assert inside(regions[0], 100, 10, 400, 70)
    assert inside(regions[1], 10, 70, 220, 130)


def test_text_that_shows_on_one_background_only_is_read(checker: ImageTextChecker) -> None:
    white = written(CARD, ink="white", paper=(255, 255, 255, 0), mode="RGBA")
    [found] = ask(checker, encoded(white))
    assert "CREDIT_CARD" in {finding.category for finding in found}


def test_every_frame_is_read(checker: ImageTextChecker) -> None:
    [found] = ask(checker, moving([written(""), written(MAIL)]))
    assert "EMAIL_ADDRESS" in {finding.category for finding in found}


def test_small_text_in_a_large_picture_is_read(checker: ImageTextChecker) -> None:
    from PIL import Image as Pil

    large = Pil.new("RGB", (3000, 1200), "white")
    large.paste(written(MAIL, size=15), (2300, 1000))
    [found] = ask(checker, encoded(large))
    regions = [finding.region for finding in found if finding.category == "EMAIL_ADDRESS"]
    assert regions
    assert all(inside(region, 2300, 1000, 3000, 1090) for region in regions)


def test_a_bomb_is_an_error(checker: ImageTextChecker) -> None:
    with pytest.raises(ContentError, match="more than 40000000"):
        ask(checker, bomb(9_000, 9_000))


def line(*words: tuple[str, int], row: int = 0) -> Line:
    return Line(tuple(Word(text, Region(x, 100 * row, 10 * len(text), 20)) for text, x in words))


def test_a_page_knows_where_its_characters_stand() -> None:
    page = Page([line(("ab", 0), ("cde", 30)), line(("f", 0), row=1)])
    assert page.text == "ab cde\nf"
    assert page.regions(Span(0, 1)) == [Region(0, 0, 20, 20)]
    assert page.regions(Span(1, 4)) == [Region(0, 0, 60, 20)]
    assert page.regions(Span(4, 8)) == [Region(30, 0, 30, 20), Region(0, 100, 10, 20)]
    assert page.regions(Span(2, 3)) == []
    assert Page([]).text == ""


def test_another_reader_and_other_checkers_can_be_named() -> None:
    def read(picture: Any) -> Sequence[Line]:
        return [line(("my", 0), ("EMP-123456", 50))]

    recognizers = [{"category": "EMPLOYEE_ID", "pattern": r"EMP-\d{6}"}]
    params = PARAMS(checkers={"pii": {"engine": "native", "recognizers": recognizers}})
    made = ImageTextChecker(params, read)
    [[found]] = ask(made, encoded(written("")))
    assert (found.category, found.region) == ("EMPLOYEE_ID", Region(50, 0, 100, 20))
    assert made.version.startswith("1+handed-in+pii.")


@pytest.mark.parametrize(
    ("checkers", "words"),
    [
        ({"nothing": {}}, "checker 'nothing' is not known"),
        ({"provenance": {}}, "provenance is no checker of texts"),
        ({"toxicity": {"min_score": 2}}, "toxicity.min_score: Input should be less than or equal to 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(checkers: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PARAMS(checkers=checkers)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingExtra, match=r"pip install 'genguard\[imagery\]'"):
        ImageTextChecker(PARAMS(checkers=ONLY))


POLICY: dict[str, Any] = {
    "name": "pictures",
    "version": "1",
    "checkers": {"image_text": {"params": {"checkers": ONLY}, "timeout": 120}},
    "rules": [
        {"id": "card", "checker": "image_text", "category": ["CREDIT_CARD"], "action": "redact"},
        {"id": "mail", "checker": "image_text", "category": ["EMAIL_ADDRESS"], "action": "redact", "operator": "mask"},
        {"id": "rude", "checker": "image_text", "category": ["harassment"], "threshold": 0.6, "action": "block"},
    ],
}


def test_what_a_rule_redacts_is_covered_in_the_released_picture(tmp_path: Path, read: Read) -> None:
    with Guard(POLICY, home=tmp_path) as guard:
        kept, rude = guard.check_many([encoded(written(CARD, MAIL, "Good morning!")), encoded(written(RUDE))])
    assert (kept.state, kept.decision.rules) == (State.RELEASED, ("card", "mail"))
    assert rude.state is State.BLOCKED
    assert isinstance(kept.content, Image)
    [frame] = pictures.frames(kept.content)
    text = Page(read(frame.convert("RGB"))).text
    assert "Good morning!" in text
    for secret in ("4111", "1111", "ann", "lee42", "example"):
        assert secret not in text
