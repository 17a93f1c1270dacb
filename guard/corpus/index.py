"""A corpus: works are added in segments, segments are merged when they become many, and copies are found in all of them.

    NAME/manifest.json    what the corpus is: the shortest run that is found for certain, and its segments
    NAME/0001/ …          segments; see `guard.corpus.segment`

The manifest is replaced as a whole after everything that it names is on the disk, so a corpus that was interrupted is the one
from before.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from guard.corpus.normal import normalise, origins
from guard.corpus.segment import Segment, Work, Writer, finish, marks, write_works
from guard.corpus.winnow import Winnow
from guard.digest import canonical, label
from guard.errors import ConfigError
from guard.keys import sync_folder

RUN = 150  # characters: what public filters for recited code use
SHORTEST = 24
_FORMAT = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SEGMENT = 1 << 27  # bytes of text after which a new segment begins
_MANY = 8  # segments, from which on they are merged
_MERGED = 1 << 20  # fingerprints that are merged at once

Progress = Callable[[int, int], None]


def folder_of(name: str, home: Path) -> Path:
    """Where a corpus lies: below the home folder for a name, at the very place for a path (with a slash)."""
    if "/" in name:
        return Path(name)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a corpus: use small letters, digits, dots, dashes, or a path with a slash"
        )
    return home / "corpora" / name


@dataclass(frozen=True, slots=True)
class Copy:
    """A stretch of a text, `start` to `end`, that a work has as well: `characters` of it are letters and digits."""

    start: int
    end: int
    characters: int
    work: Work
    at: int  # about which character of the work's file


@dataclass(frozen=True, slots=True)
class Added:
    """What adding came to: works and characters taken in, works that were there already, and files that are no text."""

    works: int
    characters: int
    known: int
    skipped: tuple[tuple[str, str], ...]  # path, why


class Corpus:
    """Opens a corpus. Raises ConfigError where there is none or it is damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            data = (folder / "manifest.json").read_bytes()
            told = json.loads(data)
            run, names, number = told["run"], told["segments"], told["format"]
        except FileNotFoundError:
            raise ConfigError(
                f"there is no corpus {folder.name!r}: run  guard corpus build {folder.name} PATHS"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{folder / 'manifest.json'} is damaged: build the corpus again") from error
        if number != _FORMAT or type(run) is not int or run < SHORTEST:
            raise ConfigError(f"the corpus {folder.name!r} was made by another release: build it again")
        self.digest = label(data)
        self.winnow = Winnow(run)
        self.names = tuple(map(str, names))
        self.segments = tuple(Segment(folder / name) for name in self.names)

    @property
    def run(self) -> int:
        """Characters (letters and digits) from which on every copy is found."""
        return self.winnow.run

    @property
    def works(self) -> Iterator[Work]:
        """All works."""
        return (work for segment in self.segments for work in segment.works)

    def find(self, text: str, least: int | None = None) -> list[Copy]:
        """What a text has in common with the works, `least` characters long (default: `run`), in the order of the text.

        From `run` on nothing is missed; of what is shorter some is. What lies within a longer copy is left out. Raises
        TooRepetitiveError (a ValueError).
        """
        least = self.run if least is None else least
        data = normalise(text)
        if len(data) < least:
            return []
        hashes, starts = self.winnow.fingerprints(data)
        runs = [(run, segment) for segment in self.segments for run in segment.find(data, hashes, starts, least)]
        if not runs:
            return []
        where = origins(text)
        found: list[Copy] = []
        reached = -1
        for run, segment in sorted(runs, key=lambda it: (it[0].start, -it[0].end)):
            if run.end > reached:
                reached = run.end
                work = segment.work(run.place)
                start, end = int(where[run.start]), int(where[run.end - 1]) + 1
                found.append(Copy(start, end, run.characters, work, work.character(run.place)))
        return found


def build(
    folder: Path, paths: Sequence[Path], *, licence: str = "", run: int | None = None, progress: Progress | None = None
) -> Added:
    """Add the files under `paths` (text and code, UTF-8) to a corpus, which is made where there is none.

    A work whose letters and digits are in the corpus already is not added again. `progress` is called with the bytes done
    and in all. Raises ConfigError for a path that does not exist, and for a `run` that the corpus does not have.
    """
    files = list(_files(paths))
    with _alone(folder):
        there = Corpus(folder) if (folder / "manifest.json").exists() else None
        if there is not None and run not in (None, there.run):
            raise ConfigError(
                f"the corpus {folder.name!r} finds runs of {there.run} characters: build another for {run}"
            )
        winnow = there.winnow if there else Winnow(RUN if run is None else run)
        if winnow.run < SHORTEST:
            raise ConfigError(f"runs of at least {SHORTEST} characters can be looked for, not {winnow.run}")
        known = {work.digest for work in there.works} if there else set()
        kept = list(there.names) if there else []
        for left in folder.iterdir():
            if left.is_dir() and left.name not in kept:  # of a run that was interrupted
                shutil.rmtree(left)
        made, added = _written(folder, files, winnow, known, licence, _next(kept), progress)
        _publish(folder, winnow, [*kept, *made])
    if len(kept) + len(made) >= _MANY:
        compact(folder)
    return added


def compact(folder: Path) -> None:
    """Merge all segments of a corpus into one, in little memory."""
    with _alone(folder):
        corpus = Corpus(folder)
        if len(corpus.segments) < 2:
            return
        name = _next(corpus.names)
        part = folder / f"{name}.part"
        part.mkdir()
        _merge(corpus.segments, part)
        part.rename(folder / name)
        _publish(folder, corpus.winnow, [name])
        for old in corpus.names:
            shutil.rmtree(folder / old)


def _merge(segments: Sequence[Segment], part: Path) -> None:
    offsets: list[int] = []
    works: list[Work] = []
    with (part / "text").open("wb") as text:
        size = 0
        for segment in segments:
            offsets.append(size)
            works += [replace(work, first=work.first + size) for work in segment.works]
            segment.rows()[2].tofile(text)
            size += segment.sizes[0]
        finish(text)
    total = sum(segment.sizes[1] for segment in segments)
    slices = max(1, total // _MERGED)
    edges = [(number << 64) // slices for number in range(1, slices)]
    with (part / "hashes").open("wb") as hashes, (part / "places").open("wb") as places:
        cuts = [[0, *np.searchsorted(it.rows()[0], np.array(edges, np.uint64)), it.sizes[1]] for it in segments]
        for number in range(slices):
            spans = [(it.rows(), slice(cut[number], cut[number + 1])) for it, cut in zip(segments, cuts, strict=True)]
            some = np.concatenate([rows[0][span] for rows, span in spans])
            moved = [rows[1][span] + np.uint64(more) for (rows, span), more in zip(spans, offsets, strict=True)]
            order = np.argsort(some, kind="stable")
            some[order].tofile(hashes)
            np.concatenate(moved)[order].tofile(places)
        finish(hashes)
        finish(places)
    write_works(part / "works", works)


def _written(
    folder: Path,
    files: Sequence[tuple[Path, str]],
    winnow: Winnow,
    known: set[str],
    licence: str,
    name: str,
    progress: Progress | None,
) -> tuple[list[str], Added]:
    """Write new segments and return their names."""
    made: list[str] = []
    works = size = repeated = done = 0
    total = sum(path.stat().st_size for path, _ in files) if progress else 0
    skipped: list[tuple[str, str]] = []
    writer: Writer | None = None
    for path, title in files:
        text = _text(path, skipped)
        if text is not None:
            data = normalise(text)
            digest = label(data)
            if digest in known:
                repeated += 1
            elif len(data) < winnow.run:
                skipped.append((str(path), f"has fewer than {winnow.run} letters and digits"))
            else:
                known.add(digest)
                writer = writer or Writer(folder / f"{name}.part", winnow)
                writer.add(data, Work(title, str(path), licence, digest, 0, 0, marks(origins(text))))
                works, size = works + 1, size + len(data)
        done += path.stat().st_size
        if progress:
            progress(done, total)
        if writer is not None and writer.size >= _SEGMENT:
            name = _close(writer, folder, name, made)
            writer = None
    if writer is not None:
        _close(writer, folder, name, made)
    return made, Added(works, size, repeated, tuple(skipped))


def _close(writer: Writer, folder: Path, name: str, made: list[str]) -> str:
    writer.close()
    (folder / f"{name}.part").rename(folder / name)
    made.append(name)
    return _next([name])


def _next(names: Iterable[str]) -> str:
    return f"{max((int(name) for name in names if name.isdigit()), default=0) + 1:04d}"


def _text(path: Path, skipped: list[tuple[str, str]]) -> str | None:
    data = path.read_bytes()
    if b"\0" in data[:8192]:
        skipped.append((str(path), "is not text"))
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        skipped.append((str(path), f"is not UTF-8 (line {line}): convert it first"))
        return None


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Every file with its title: its path below the folder that was named."""
    if not paths:
        raise ConfigError("name files or folders of the works to index")
    for path in paths:
        if path.is_dir():
            inside = (it for it in sorted(path.rglob("*")) if it.is_file() and not it.is_symlink())
            for file in inside:
                parts = file.relative_to(path).parts
                if not any(part.startswith(".") for part in parts):
                    yield file.absolute(), "/".join(parts)
        elif path.is_file():
            yield path.absolute(), path.name
        else:
            raise ConfigError(f"{path} is neither a file nor a folder")


def _publish(folder: Path, winnow: Winnow, names: Sequence[str]) -> None:
    draft = folder / "manifest.json.part"
    with draft.open("wb") as file:
        file.write(canonical({"format": _FORMAT, "run": winnow.run, "segments": list(names)}))
        finish(file)
    draft.replace(folder / "manifest.json")
    sync_folder(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process changes a corpus at a time; others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            (folder / "manifest.json.part").unlink()
        yield
