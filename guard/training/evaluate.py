"""Measure the harm model on data of another origin:  python -m guard.training.evaluate --data DIR [--model FILE]

Everything is scored as the checker does it: sentence by sentence, the highest sentence counts. Writes Markdown tables.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from guard.checkers.linear import Model
from guard.checkers.toxicity import MODEL, ToxicityChecker, lines_of
from guard.training import corpus, metrics, templates
from guard.training.corpus import ANY, Row
from guard.types import Item, Stage, Text

FUNCTIONAL = Path(__file__).parent / "functional.txt"
LEAST = 0.5  # score from which a category counts as found: the checker's default
SEED = 20261124
DRAWN = 40  # sentences for each of a family's wordings
FEW = 10  # rows below which a group is not listed


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="folder with the data sets; without it, only our own cases")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--rounds", type=int, default=metrics.ROUNDS, help="of the bootstrap")
    options = parser.parse_args(arguments)
    model = Model.load(options.model)
    say = sys.stdout.write
    say(f"Model {model.digest[:12]}. Intervals: {metrics.LEVEL:.0%}, bootstrap of {options.rounds} rounds.\n\n")
    if options.data:
        say(table(CATEGORY_HEAD, categories(model, options.data, options.rounds)) + "\n")
        say(table(GROUP_HEAD, groups(model, options.data)) + "\n")
    say(table(SPEED_HEAD, speed(model)) + "\n")
    say(table(("functionality", "cases", "right", "must be"), functionalities(model)))
    return 0


def table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in rows)


def scored(model: Model, texts: Sequence[str], batch: int = 500) -> Any:
    """Probabilities, texts × heads: the highest of each text's sentences."""
    import numpy as np

    result = np.zeros((len(texts), len(model.heads)))
    for start in range(0, len(texts), batch):
        lines: list[str] = []
        owners: list[int] = []
        for index, text in enumerate(texts[start : start + batch], start):
            found = lines_of(text)[0]
            lines += found
            owners += [index] * len(found)
        np.maximum.at(result, owners, model.scores(lines))
    return result


# --- by category ---------------------------------------------------------------------------------------------------

CATEGORY_HEAD = (
    "category", "held-out source", "rows (positive)", "AUROC", "AUPRC", "precision at 0.5", "recall at 0.5",
    "false positives at 0.5",
)  # fmt: skip


def categories(model: Model, folder: Path, rounds: int) -> Iterator[tuple[str, ...]]:
    """One line for each label and source of another origin."""
    import numpy as np

    for read in corpus.HELD_OUT:
        rows = list(read(folder))
        found = scored(model, [row.text for row in rows])
        for name in (ANY, *model.names):
            used = [index for index, row in enumerate(rows) if name in row.labels]
            truth = np.array([rows[index].labels[name] >= 0.5 for index in used], bool)
            if truth.sum() < 10 or (~truth).sum() < 10:
                continue
            scores = found[used].max(1) if name == ANY else found[used, model.names.index(name)]
            yield (name, rows[0].origin, f"{len(used):,} ({int(truth.sum()):,})", *_figures(truth, scores, rounds))


def _figures(truth: Any, scores: Any, rounds: int) -> Iterator[str]:
    wanted: tuple[Callable[[Any, Any], float], ...] = (
        metrics.auroc, metrics.auprc, metrics.precision_at(LEAST), metrics.recall_at(LEAST), metrics.alarms_at(LEAST),
    )  # fmt: skip
    for figure in wanted:
        value, low, high = metrics.interval(figure, truth, scores, seed=SEED, rounds=rounds)
        yield f"{value:.3f} ({low:.3f}–{high:.3f})"


# --- by group ------------------------------------------------------------------------------------------------------

GROUP_HEAD = ("neutral sentences from", "groups", "false positives", "lowest", "highest", "largest gap")


def groups(model: Model, folder: Path) -> Iterator[tuple[str, ...]]:
    """False-positive rates (any category) by identity group, on neutral sentences that were not learned from."""
    neutral = {
        "madlibs": [row for row in corpus.madlibs(folder) if row.labels[ANY] == 0 and row.group],
        "ToxiGen": [row for row in corpus.toxigen(folder) if row.labels["hate"] == 0],
        "own functional cases": list(_mentions()),
        "dialect pairs": [
            Row(text, {}, 1.0, "dialect", name)
            for pair in corpus.dialect(folder, tested=True)
            for text, name in zip(pair, ("African-American English", "standardised English"), strict=True)
        ],
    }
    for source, rows in neutral.items():
        rates = _alarms(model, rows)
        if not rates:
            continue
        lowest, highest = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
        overall = float((scored(model, [row.text for row in rows]).max(1) >= LEAST).mean())
        yield (
            source, str(len(rates)), f"{overall:.3f} of {len(rows):,}", f"{lowest} {rates[lowest]:.3f}",
            f"{highest} {rates[highest]:.3f}", f"{metrics.spread(list(rates.values())):.3f}",
        )  # fmt: skip


def _alarms(model: Model, rows: Sequence[Row]) -> dict[str, float]:
    """The false-positive rate of each group with enough rows."""
    flagged = scored(model, [row.text for row in rows]).max(1) >= LEAST
    by_group: dict[str, list[bool]] = {}
    for row, flag in zip(rows, flagged, strict=True):
        by_group.setdefault(row.group, []).append(bool(flag))
    return {group: sum(flags) / len(flags) for group, flags in by_group.items() if len(flags) >= FEW}


def _mentions() -> Iterator[Row]:
    """Our own neutral and approving sentences, every one with every group."""
    words, families = templates.read(FUNCTIONAL)
    for family in families:
        if family.name in ("neutral_mention", "praise"):
            for wording in family.sentences:
                for blank in ("people", "person"):
                    for group in words[blank] if f"<{blank}>" in wording else ():
                        filled = {
                            templates.fill(wording, {**words, blank: [group]}, random.Random(f"{SEED} {number}"))  # noqa: S311
                            for number in range(6)
                        }
                        yield from (Row(text, {}, 1.0, "own", group) for text in sorted(filled))


# --- speed ---------------------------------------------------------------------------------------------------------

SPEED_HEAD = ("characters", "CPU ms, p50", "CPU ms, p99")
PROSE = (
    "Your parcel 4711 was shipped on 12 May, and we hope that you like the kettle. The driver couldn't find the door. "
    "Please call us before noon; our colleagues will be glad to help you with everything that is still open.\n"
)


def speed(
    model: Model, sizes: Sequence[int] = (100, 1_000, 10_000), rounds: int = 1_000
) -> Iterator[tuple[str, str, str]]:
    """CPU time of one check of ordinary prose, start to end: what others do on the machine does not count."""
    checker = ToxicityChecker(ToxicityChecker.Params(), model)
    for size in sizes:
        item = Item(Text((PROSE * (size // len(PROSE) + 1))[:size]), Stage.OUTPUT)
        taken = []
        for _ in range(rounds):
            began = time.thread_time()
            checker.check([item])
            taken.append((time.thread_time() - began) * 1e3)
        taken.sort()
        yield f"{size:,}", f"{taken[rounds // 2]:.2f}", f"{taken[rounds * 99 // 100]:.2f}"


# --- by functionality ----------------------------------------------------------------------------------------------


def functionalities(model: Model, source: Path = FUNCTIONAL) -> Iterator[tuple[str, ...]]:
    """Share of our functional cases that come out right, family by family, and of all families alike."""
    words, families = templates.read(source)
    draw = random.Random(SEED)  # noqa: S311  (not for secrets)
    shares = []
    for family in families:
        drawn = {templates.fill(wording, words, draw) for wording in family.sentences for _ in range(DRAWN)}
        texts = sorted(drawn)
        found = scored(model, texts)
        wanted = [model.names.index(name) for name in family.labels]
        right = found[:, wanted].min(1) >= LEAST if wanted else found.max(1) < LEAST
        shares.append(float(right.mean()))
        yield family.name, str(len(texts)), f"{right.mean():.2f}", ", ".join(family.labels) or "left alone"
    yield "mean of the families", "", f"{sum(shares) / len(shares):.2f}", ""


if __name__ == "__main__":
    sys.exit(main())
