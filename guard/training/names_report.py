"""Measure the names recognizer on what it did not learn from:  python -m guard.training.names_report --data DIR [--model FILE]

Exact: same characters and same kind. Overlapping: one character in common and the same kind. Any kind: one character in common
with whatever was found; that, and how much of a name is covered, is what counts for redaction. Writes Markdown tables.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from guard.checkers.personal.names import MODEL, Names
from guard.checkers.personal.tagger import Tagger
from guard.training import names, names_data
from guard.training.evaluate import table
from guard.training.metrics import LEVEL
from guard.training.names_data import KINDS, Sample

LEAST = 0.5
ROUNDS = 1000
SEED = 20261124
Found = tuple[int, int, str]
HEAD = (
    "set", "kind", "names", "exact P", "exact R", "exact F1", "overlapping P", "overlapping R", "overlapping F1",
    "found as any kind", "wholly covered",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--data", type=Path, help="folder with btc.conll and the others; without it, only our own cases"
    )
    parser.add_argument("--texts", type=Path, help="folder with dialogues to count findings in")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--least", type=float, default=LEAST)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of the bootstrap")
    parser.add_argument("--tune", action="store_true", help="the part for tuning in place of the part for testing")
    options = parser.parse_args(arguments)
    finder = Names(frozenset(KINDS), options.least, Tagger.load(options.model))
    say = sys.stdout.write
    say(
        f"Model {finder.version}. Brackets: {LEVEL:.0%} intervals, bootstrap over sentences, {options.rounds} rounds.\n\n"
    )
    own = list(names_data.cases())
    groups: dict[str, list[Sample]] = {}
    if options.data:
        _, tune, test = names.sets(options.data)
        for sample in tune if options.tune else test:
            groups.setdefault(sample.origin, []).append(sample)
        if not options.tune:
            groups["WNUT-17 test"] = list(names_data.read(options.data / names_data.HELD_OUT, "held out"))
        groups["all of these"] = [sample for samples in groups.values() for sample in samples]
    groups["own cases"] = own
    lines = [line for name, samples in groups.items() for line in report(name, samples, finder, options.rounds)]
    say(table(HEAD, lines) + "\n")
    if options.texts:
        say(
            table(
                ("kind", "findings", "for each 100,000 characters"), alarms(finder, names_data.kept_back(options.texts))
            )
            + "\n"
        )
    say(table(("characters", "CPU ms, p50", "CPU ms, p99"), speed(finder, groups.get("all of these", own))))
    return 0


def report(name: str, samples: Sequence[Sample], finder: Names, rounds: int) -> Iterator[tuple[str, ...]]:
    """Lines of the table for one set."""
    import numpy as np

    draw = np.random.default_rng(SEED)
    picks = [np.bincount(draw.integers(0, len(samples), len(samples)), minlength=len(samples)) for _ in range(rounds)]
    every = [found(finder, sample.text) for sample in samples]
    for kind in (*KINDS, "all"):
        counts = np.array([tally(sample.names, seen, kind) for sample, seen in zip(samples, every, strict=True)])
        if counts[:, 0].sum():
            figures = _figures(counts.sum(0))
            spread = np.array([_figures(pick @ counts) for pick in picks])
            low, high = np.nanquantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
            cells = [f"{value:.2f} ({a:.2f}–{b:.2f})" for value, a, b in zip(figures, low, high, strict=True)]
            yield name, kind, f"{counts[:, 0].sum():,}", *cells


def alarms(finder: Names, texts: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """How much is found in dialogues, right or wrong."""
    counts: Counter[str] = Counter()
    size = 0
    for text in texts:
        size += len(text)
        counts.update(kind for *_, kind in found(finder, text))
    for kind in KINDS:
        yield kind, f"{counts[kind]:,}", f"{100_000 * counts[kind] / size:.1f}"


def found(finder: Names, text: str) -> list[Found]:
    """Start, end and kind of what is found."""
    return [(*span, kind) for kind, _, span in finder.matches(text)]


def tally(names: Iterable[Found], seen: Sequence[Found], kind: str) -> tuple[int, ...]:
    """Names, findings; exact ones; names and findings that overlap; names found as any kind; names wholly covered."""
    every = [name for name in names if kind in ("all", name[2])]
    mine = [it for it in seen if kind in ("all", it[2])]
    truth = list(names)
    exact = sum(it in every for it in mine)
    return (
        len(every), len(mine), exact,
        sum(any(_touch(name, it) and name[2] == it[2] for it in seen) for name in every),
        sum(any(_touch(name, it) and name[2] == it[2] for name in truth) for it in mine),
        sum(any(_touch(name, it) for it in seen) for name in every),
        sum(all(any(a <= place < b for a, b, _ in seen) for place in range(name[0], name[1])) for name in every),
    )  # fmt: skip


def _touch(one: Found, other: Found) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _figures(counts: Any) -> list[float]:
    every, mine, exact, met, hit, any_kind, covered = (float(count) for count in counts)

    def share(part: float, whole: float) -> float:
        return part / whole if whole else float("nan")

    def f1(precision: float, recall: float) -> float:
        return share(2 * precision * recall, precision + recall)

    exact_p, exact_r, loose_p, loose_r = share(exact, mine), share(exact, every), share(hit, mine), share(met, every)
    return [
        exact_p, exact_r, f1(exact_p, exact_r), loose_p, loose_r, f1(loose_p, loose_r), share(any_kind, every),
        share(covered, every),
    ]  # fmt: skip


def speed(
    finder: Names, samples: Sequence[Sample], sizes: Sequence[int] = (100, 1_000, 10_000), rounds: int = 60
) -> Iterator[tuple[str, str, str]]:
    """CPU milliseconds of a check of held-out sentences."""
    text = " ".join(sample.text for sample in samples) * 2
    for size in sizes:
        times = []
        for number in range(rounds):
            piece = text[number * 97 : number * 97 + size]
            began = time.process_time()
            list(finder.matches(piece))
            times.append(1000 * (time.process_time() - began))
        times.sort()
        yield f"{size:,}", f"{times[len(times) // 2]:.2f}", f"{times[int(len(times) * 0.99)]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
