"""Block lists of perceptual hashes: the reference's values, near-duplicates found, others left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil
from PIL import ImageEnhance

from guard import pdq
from guard.checkers.blocklist import BlocklistChecker
from guard.errors import ConfigError
from guard.types import Finding, Image, Item, Stage
from tests.pictures import encoded, moving, scene

PARAMS = BlocklistChecker.Params
# Of scene(seed, size), by Facebook's reference in C++ (pdqhash 0.2.8).
REFERENCE = {
    (1, (64, 64)): ("a991a2d2b8d47529023e5e2d0795e8f589aa4cd29469e58e7768a8bccb9179de", 100),
    (1, (320, 240)): ("fd53abd0f7d8af9673822ce746573832811ce08e4234e1269d554ee45aac353b", 100),
    (2, (513, 771)): ("a3e718f20cb5c3c3d5fa7172c28573f371e2c418d45fc83dca987746152bc01e", 100),
    (3, (1000, 300)): ("e6fabe96fe094e32ee294d55ca68c569ca7dc5688a74de285e342a8c380731f0", 100),
    (4, (100, 61)): ("f084d74bd3c683ce9526ee2fb004d6502be8796658077c3678d5c9e0aadb8793", 100),
    (5, (2400, 1800)): ("4d5d74ffb9405106a2cc0ede1d3f1b272490fb29f83ea2c8023705cb4fd6f81d", 100),
}


def hashed(picture: Any) -> str:
    return bytes(pdq.hashes(picture, turned=False)[0]).hex()


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    file = tmp_path / "list.txt"
    file.write_text(
        f"# known\n{hashed(scene(1))} leaked draft\n\n{hashed(scene(2)).upper()}, a competitor's logo\n{hashed(scene(3))}\n"
    )
    return file


def ask(listed: Path, *images: Image, **params: Any) -> list[list[Finding]]:
    made = BlocklistChecker(PARAMS(lists=(listed,), **params))
    return made.check([Item(image, Stage.INPUT) for image in images])


@pytest.mark.parametrize(("seed", "size"), REFERENCE)
def test_hashes_are_the_reference_s(seed: int, size: tuple[int, int]) -> None:
    hashes, quality = pdq.hashes(scene(seed, size), turned=False)
    reference, known = REFERENCE[seed, size]
    expected = np.frombuffer(bytes.fromhex(reference), np.uint8)[None]
    assert pdq.distances(hashes, expected)[0, 0] <= (8 if max(size) > pdq.LARGEST else 0)
    assert quality == known


def test_the_same_picture_is_found(listed: Path) -> None:
    first, second, third, other = ask(listed, *(encoded(scene(seed)) for seed in (1, 2, 3, 4)))
    assert [(it.category, it.score, it.message) for it in first] == [
        ("blocklisted_image", 1.0, "on a block list: leaked draft (0 of 256 bits differ)")
    ]
    assert second[0].message.startswith("on a block list: a competitor's logo (0")
    assert third[0].message.startswith("on a block list (0")
    assert other == []


def test_changed_copies_are_found(listed: Path) -> None:
    picture = scene(1)
    copies = [
        encoded(picture, "JPEG", quality=30),
        encoded(picture.resize((700, 500))),
        encoded(picture.resize((96, 72))),
        encoded(ImageEnhance.Brightness(picture).enhance(0.7)),
        encoded(picture.convert("L").convert("RGB")),
        encoded(picture.transpose(Pil.Transpose.FLIP_LEFT_RIGHT)),
        encoded(picture.transpose(Pil.Transpose.ROTATE_90)),
        encoded(picture.transpose(Pil.Transpose.TRANSVERSE)),
        moving([scene(5), picture, scene(6)], "WEBP"),
    ]
    for found in ask(listed, *copies):
        assert [finding.message.split(" (")[0] for finding in found] == ["on a block list: leaked draft"]
        assert 0.5 <= found[0].score <= 1
    straight = ask(listed, *copies[5:8], turned=False)
    assert straight == [[], [], []]


def test_other_pictures_are_left_alone(listed: Path) -> None:
    assert ask(listed, *(encoded(scene(seed)) for seed in range(10, 60))) == [[]] * 50


def test_flat_pictures_match_nothing(tmp_path: Path) -> None:
    flat = Pil.new("RGB", (200, 200), "grey")
    file = tmp_path / "list.txt"
    file.write_text(hashed(flat))
    assert ask(file, encoded(flat)) == [[]]


def test_the_distance_is_a_parameter_and_scores_fall_with_it(listed: Path) -> None:
    noisy = scene(1).resize((150, 110)).resize((320, 240))
    apart = int(pdq.distances(pdq.hashes(noisy)[0], pdq.hashes(scene(1), turned=False)[0]).min())
    assert apart > 0
    [found] = ask(listed, encoded(noisy))
    assert found[0].score == pytest.approx(1 - apart / 62, abs=1e-3)
    assert ask(listed, encoded(noisy), distance=apart - 1) == [[]]
    assert ask(listed, encoded(noisy), distance=apart)[0][0].score == 0.5


def test_the_version_is_that_of_the_lists(listed: Path, tmp_path: Path) -> None:
    before = BlocklistChecker(PARAMS(lists=(listed,))).version
    more = tmp_path / "more.txt"
    more.write_text("0" * 64)
    both = BlocklistChecker(PARAMS(lists=(listed, more)))
    assert before != both.version
    assert len(both._hashes) == 4
    listed.write_text(listed.read_text() + "# another day\n")
    assert BlocklistChecker(PARAMS(lists=(listed,))).version != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0" * 63, r"list\.txt:1: not a PDQ hash"),
        ("# one\n" + "0" * 64 + "\nsomething", r"list\.txt:3: not a PDQ hash"),
        ("# nothing\n", "holds no hash"),
    ],
)
def test_a_broken_list_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "list.txt"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        BlocklistChecker(PARAMS(lists=(file,)))


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the block list"):
        BlocklistChecker(PARAMS(lists=(tmp_path / "nowhere.txt",)))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        BlocklistChecker(PARAMS(lists=(tmp_path / "binary",)))
