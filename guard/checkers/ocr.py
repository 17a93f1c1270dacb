"""Text in pictures: RapidOCR with the PP-OCRv6 models that its package carries (Apache-2.0), and where each word stands."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from guard.checkers.text import windows
from guard.errors import MissingExtra
from guard.types import Region, Span

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SEEN = 960  # pixels of the longer side at which the detector sees a picture; it finds less in larger ones, for all their detail
SIDE, LAP = 1440, 200  # larger pictures are read as a whole and in tiles
MARGIN = 2  # pixels around a word


class Word(NamedTuple):
    """A word as it was read, and where."""

    text: str
    region: Region


class Line(NamedTuple):
    """The words of a line, from left to right."""

    words: tuple[Word, ...]


Read = Callable[["Picture"], Sequence[Line]]  # of an RGB picture


class Page:
    """The text of lines with the place of each character's word."""

    def __init__(self, lines: Sequence[Line]) -> None:
        pieces: list[str] = []
        self._words: list[tuple[Span, int, Region]] = []
        at = 0
        for number, line in enumerate(lines):
            for place, word in enumerate(line.words):
                gap = "" if not pieces else " " if place else "\n"
                pieces += [gap, word.text]
                at += len(gap) + len(word.text)
                self._words.append((Span(at - len(word.text), at), number, word.region))
        self.text = "".join(pieces)

    def regions(self, span: Span) -> list[Region]:
        """Where a stretch of the text stands: one rectangle for each line that it touches, whole words."""
        by_line: dict[int, Region] = {}
        for place, line, region in self._words:
            if place.start < span.end and span.start < place.end:
                by_line[line] = _union(by_line[line], region) if line in by_line else region
        return list(by_line.values())


def reader() -> tuple[Read, str]:
    """A function that reads pictures, and its name with versions."""
    try:
        import onnxruntime  # type: ignore[import-untyped]  # noqa: F401
        from rapidocr import RapidOCR
    except ModuleNotFoundError as error:
        raise MissingExtra("reading text in images", "imagery") from error
    engine = RapidOCR(
        params={
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            # By default small pictures are blown up, which took 20 times as long and read a card number wrong.
            "Det.limit_type": "max",
            "Det.limit_side_len": SEEN,
        }
    )

    def read(picture: Picture) -> list[Line]:
        return [line for tile, left, top in _tiles(picture) for line in _lines(engine, tile, left, top)]

    return read, f"rapidocr.{importlib.metadata.version('rapidocr')}"


def _tiles(picture: Picture) -> Iterator[tuple[Picture, int, int]]:
    yield picture, 0, 0
    if max(picture.size) <= SIDE:
        return
    for top, bottom in windows(picture.height, SIDE, LAP):
        for left, right in windows(picture.width, SIDE, LAP):
            yield picture.crop((left, top, right, bottom)), left, top


def _lines(engine: Any, picture: Picture, left: int, top: int) -> Iterator[Line]:
    import numpy as np

    found = engine(np.asarray(picture)[:, :, ::-1], return_word_box=True)  # it wants BGR
    if found.txts is None:
        return
    for text, box, words in zip(found.txts, found.boxes, found.word_results or (), strict=False):
        read = [Word(word, _region(corners, left, top)) for word, _, corners in words if word.strip()]
        # Should the words not add up to the line, the line is one word.
        whole = "".join(word.text for word in read) == "".join(text.split())
        yield Line(tuple(read) if whole else (Word(text, _region(box, left, top)),))


def _region(corners: Any, left: int, top: int) -> Region:
    across, down = [float(x) for x, _ in corners], [float(y) for _, y in corners]
    x, y = int(min(across)) - MARGIN, int(min(down)) - MARGIN
    return Region(
        max(x, 0) + left, max(y, 0) + top, int(max(across)) + MARGIN - max(x, 0), int(max(down)) + MARGIN - max(y, 0)
    )


def _union(one: Region, other: Region) -> Region:
    left, top = min(one.x, other.x), min(one.y, other.y)
    right = max(one.x + one.width, other.x + other.width)
    bottom = max(one.y + one.height, other.y + other.height)
    return Region(left, top, right - left, bottom - top)
