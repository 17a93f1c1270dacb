"""Some works of a corpus in memory-mapped arrays: their normalised text, and its fingerprints sorted by hash.

    text     normalised works, a zero byte after each
    hashes   uint64, little-endian, ascending
    places   uint64: where in `text` the stretch with that hash begins
    works    JSON lines: title, path, licence, digest, first byte and bytes in `text`, and a map back to the file

Nothing in them is executed or unpickled; sizes are checked when they are opened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from guard.corpus.normal import characters
from guard.corpus.winnow import Winnow
from guard.errors import ConfigError

Bytes = NDArray[np.uint8]
_STEP = 512  # bytes of normalised text between two marks of the map back to the file
_CHUNK, _WIDEST = 16, 4096  # bytes compared at once, at first and at most
_MOST = 1 << 25  # bytes that are compared for one text in one segment: some tenths of a second


@dataclass(frozen=True, slots=True)
class Work:
    """A work that was indexed. `marks` are characters of the file, one for each 512 bytes of normalised text."""

    title: str
    path: str
    licence: str
    digest: str  # of the normalised text
    first: int
    size: int
    marks: tuple[int, ...]

    def character(self, place: int) -> int:
        """About which character of the file a byte of the segment's text comes from; never behind it."""
        return self.marks[min((place - self.first) // _STEP, len(self.marks) - 1)] if self.marks else 0


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a normalised text that stands in a work as well, byte for byte, and goes no further on either side."""

    start: int  # in the text, bytes
    end: int
    place: int  # in the segment's text
    characters: int


class TooRepetitiveError(ValueError):
    """A text and a corpus repeat themselves so much that comparing them would not end in time."""


class Segment:
    """Opens a folder that `write` made. Raises ConfigError where it is damaged."""

    def __init__(self, folder: Path) -> None:
        self._hashes: NDArray[np.uint64] = _mapped(folder / "hashes", np.dtype("<u8"))
        self._places: NDArray[np.uint64] = _mapped(folder / "places", np.dtype("<u8"))
        self._text: Bytes = _mapped(folder / "text", np.dtype("u1"))
        self._folder = folder
        if len(self._hashes) != len(self._places):
            raise ConfigError(f"{folder} is damaged: build the corpus again")

    @cached_property
    def works(self) -> tuple[Work, ...]:
        """All works, in the order of their text."""
        try:
            lines = (self._folder / "works").read_text("utf-8").splitlines()
            return tuple(Work(**{**(row := json.loads(line)), "marks": tuple(row["marks"])}) for line in lines)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{self._folder / 'works'} is damaged: build the corpus again") from error

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of text, and fingerprints."""
        return len(self._text), len(self._hashes)

    def work(self, place: int) -> Work:
        """The work that a byte of the text belongs to."""
        index = int(np.searchsorted(self._firsts, place, side="right")) - 1
        return self.works[index]

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        return np.array([work.first for work in self.works], np.int64)

    def rows(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], Bytes]:
        """Hashes, places and text, for whoever merges segments."""
        return self._hashes, self._places, self._text

    def find(self, data: bytes, hashes: NDArray[np.uint64], starts: NDArray[np.int64], least: int) -> list[Run]:
        """The runs of at least `least` characters at the fingerprints of a text.

        Raises TooRepetitiveError where more candidates would have to be compared than can be in time.
        """
        if not len(self._hashes):
            return []
        low = np.searchsorted(self._hashes, hashes)
        hits = np.flatnonzero(self._hashes[np.minimum(low, len(self._hashes) - 1)] == hashes)
        found: list[Run] = []
        compare = _Comparison(np.frombuffer(data, np.uint8), self._text)
        for number in hits:
            begin, start = int(low[number]), int(starts[number])
            end = begin + int(np.searchsorted(self._hashes[begin:], hashes[number], side="right"))
            places = np.array(self._places[begin:end], np.int64)
            for run in found:
                if run.start <= start < run.end and len(places):  # what a longer one hides is of no interest
                    places = places[compare.goes_beyond(run, start, places)]
            found += self._extended(compare, start, places, least)
        return found

    def _extended(self, compare: _Comparison, start: int, places: NDArray[np.int64], least: int) -> Iterator[Run]:
        """The runs through `start` and one of the places that are long enough and not part of a longer one."""
        firsts, beyonds = start - compare.behind(start, places), start + compare.ahead(start, places)
        reached = -1
        for index in np.lexsort((-beyonds, firsts)):
            first, beyond = int(firsts[index]), int(beyonds[index])
            if beyond <= reached or beyond - first < least:
                continue
            reached = beyond
            place = int(places[index]) - (start - first)
            while first < beyond and compare.query[first] & 0xC0 == 0x80:  # the rest of a character that differs
                first, place = first + 1, place + 1
            while first < beyond < len(compare.query) and compare.query[beyond] & 0xC0 == 0x80:
                beyond -= 1
            count = characters(compare.query[first:beyond])
            if count >= least:
                yield Run(first, beyond, place, count)


class _Comparison:
    """A text beside that of a segment. Raises TooRepetitiveError when too much has been compared."""

    def __init__(self, query: Bytes, text: Bytes) -> None:
        self.query, self._text = query, text
        self._compared = 0

    def ahead(self, start: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many bytes of the query from `start` on stand at each place."""
        return self._matching(self.query[start:], places, 1)

    def behind(self, start: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many bytes before `start` stand before each place."""
        return self._matching(self.query[:start][::-1], places - 1, -1)

    def goes_beyond(self, run: Run, start: int, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether what stands at the places, with `start` at each, may go on where the run ends, or before it begins."""
        self._count(2 * len(places))
        beyond = np.zeros(len(places), bool)
        for at in (run.start - 1, run.end):
            if 0 <= at < len(self.query):
                there = places + (at - start)
                inside = (there >= 0) & (there < len(self._text))
                beyond |= inside & (self._text[np.clip(there, 0, len(self._text) - 1)] == self.query[at])
        return beyond

    def _matching(self, query: Bytes, places: NDArray[np.int64], step: int) -> NDArray[np.int64]:
        """How many bytes of a query stand at each place, going up or (step -1) down."""
        length = np.zeros(len(places), np.int64)
        alive = np.arange(len(places))
        done, width = 0, _CHUNK
        while len(alive) and done < len(query):
            part = query[done : done + width]
            self._count(len(part) * len(alive))
            at = places[alive, None] + step * (done + np.arange(len(part)))
            inside = (at >= 0) & (at < len(self._text))
            same = inside & (self._text[np.clip(at, 0, len(self._text) - 1)] == part)
            count = np.where(same.all(axis=1), len(part), same.argmin(axis=1))
            length[alive] += count
            alive = alive[count == len(part)]
            done, width = done + len(part), min(2 * width, _WIDEST)
        return length

    def _count(self, compared: int) -> None:
        self._compared += compared
        if self._compared > _MOST:
            raise TooRepetitiveError("the text and the corpus repeat themselves too much to be compared in time")


def _mapped(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    try:
        size = path.stat().st_size
        if size % kind.itemsize:
            raise ConfigError(f"{path} is damaged: build the corpus again")
        return np.memmap(path, kind, "r") if size else np.empty(0, kind)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): build the corpus again") from error


# --- writing -------------------------------------------------------------------------------------------------------


def marks(origins: NDArray[np.int64]) -> tuple[int, ...]:
    """The map back to the file that a Work holds."""
    return tuple(origins[::_STEP].tolist())


class Writer:
    """Takes works one after the other and writes a segment of them into a folder."""

    def __init__(self, folder: Path, winnow: Winnow) -> None:
        folder.mkdir(parents=True)
        self._folder, self._winnow = folder, winnow
        self._text = (folder / "text").open("wb")
        self._hashes: list[NDArray[np.uint64]] = []
        self._places: list[NDArray[np.int64]] = []
        self._works: list[Work] = []
        self.size = 0

    def add(self, data: bytes, work: Work) -> None:
        """A work by its normalised text; its first byte and size are set here."""
        hashes, places = self._winnow.fingerprints(data)
        self._hashes.append(hashes)
        self._places.append(places + self.size)
        self._works.append(Work(work.title, work.path, work.licence, work.digest, self.size, len(data), work.marks))
        self._text.write(data + b"\0")
        self.size += len(data) + 1

    def close(self) -> None:
        """Write everything to disk."""
        hashes = np.concatenate([*self._hashes, np.empty(0, np.uint64)])
        places = np.concatenate([*self._places, np.empty(0, np.int64)])
        order = np.argsort(hashes, kind="stable")
        finish(self._text)
        with (self._folder / "hashes").open("wb") as file:
            hashes[order].astype("<u8").tofile(file)
            finish(file)
        with (self._folder / "places").open("wb") as file:
            places[order].astype("<u8").tofile(file)
            finish(file)
        write_works(self._folder / "works", self._works)


def write_works(path: Path, works: Sequence[Work]) -> None:
    """As JSON lines."""
    with path.open("wb") as file:
        for work in works:
            file.write(json.dumps(asdict(work), ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n")
        finish(file)


def finish(file: BinaryIO) -> None:
    """On the disk before the manifest names it."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
