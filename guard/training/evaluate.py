"""Measure the harm model on data of another origin:  python -m guard.training.evaluate --data DIR [--tiers cascade]

Everything is scored as the checker does it: sentence by sentence, the highest sentence counts. With `--tiers cascade`, each
tier by itself stands beside the cascade, and `both` for asking tier 1 about every sentence. Writes Markdown tables.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from guard.checkers.cascade import Cascade
from guard.checkers.linear import Model, probability
from guard.checkers.toxicity import MODEL, TIER1, ToxicityChecker, lines_of
from guard.training import corpus, injection, metrics, templates, toxicity
from guard.training.corpus import ANY, Row
from guard.types import Item, Stage, Text

FUNCTIONAL = Path(__file__).parent / "functional.txt"
LEAST = 0.5  # score from which a category counts as found: the checker's default
SEED = 20261124
DRAWN = 40  # sentences for each of a family's wordings
FEW = 10  # rows below which a group is not listed
SOME = 500  # rows of each set for which the cost is measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="folder with the data sets; without it, only our own cases")
    parser.add_argument("--tiers", choices=("tier0", "cascade"), default="tier0")
    parser.add_argument("--model", type=Path, default=MODEL, help="tier 0")
    parser.add_argument("--tier1", type=Path, default=TIER1)
    parser.add_argument("--rounds", type=int, default=metrics.ROUNDS, help="of the bootstrap")
    options = parser.parse_args(arguments)
    first = Model.load(options.model)
    model = Cascade.load(first, options.tier1) if options.tiers == "cascade" else first
    scores = Scores(model)
    say = sys.stdout.write
    say(f"Model {model.version}. Intervals: {metrics.LEVEL:.0%}, bootstrap of {options.rounds} rounds.\n\n")
    if options.data:
        say(table(CATEGORY_HEAD, categories(scores, options.data, options.rounds)) + "\n")
        say(table(GROUP_HEAD, groups(scores, options.data)) + "\n")
    if options.data and isinstance(model, Cascade):
        say(table(COST_HEAD, cost(model, options.data)) + "\n")
    say(table(SPEED_HEAD, speed(model)) + "\n")
    say(table(("functionality", "cases", *scores.kinds, "must be"), functionalities(scores)))
    return 0


def table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in rows)


class Scores:
    """Probabilities by kind: `tier0`, and for a cascade also `tier1`, `cascade` and `both`. A sentence is read once."""

    def __init__(self, model: Model | Cascade) -> None:
        self.names = model.names
        self._cascade = model if isinstance(model, Cascade) else None
        self._first = model.first if isinstance(model, Cascade) else model
        self.kinds = ("tier0", "tier1", "cascade", "both") if self._cascade else ("tier0",)
        self._seen: dict[str, Any] = {}

    def __call__(self, texts: Sequence[str], batch: int = 500) -> dict[str, Any]:
        """By kind, texts × names: the highest of each text's sentences."""
        import numpy as np

        result = {kind: np.zeros((len(texts), len(self.names))) for kind in self.kinds}
        for start in range(0, len(texts), batch):
            lines: list[str] = []
            owners: list[int] = []
            for index, text in enumerate(texts[start : start + batch], start):
                found = lines_of(text)[0]
                lines += found
                owners += [index] * len(found)
            for kind, logits in self._logits(lines).items():
                np.maximum.at(result[kind], owners, probability(logits))
        return result

    def _logits(self, lines: Sequence[str]) -> dict[str, Any]:
        import numpy as np

        reads = self._first.read(lines)
        first = self._first.logits_of(reads)
        if self._cascade is None:
            return {"tier0": first}
        for read in reads:
            if read not in self._seen:
                self._seen[read] = self._cascade.second.logits([read])[0]
        second = np.array([self._seen[read] for read in reads]).reshape(first.shape)
        second = np.where(np.isfinite(first), second, -np.inf)  # without words
        both = self._cascade.joined(first, second)
        return {"tier0": first, "tier1": second, "cascade": self._cascade.combined(reads, first, second), "both": both}


# --- by category ---------------------------------------------------------------------------------------------------

CATEGORY_HEAD = (
    "category", "held-out source", "rows (positive)", "read by", "AUROC", "AUPRC", "precision at 0.5", "recall at 0.5",
    "false positives at 0.5",
)  # fmt: skip


def categories(scores: Scores, folder: Path, rounds: int) -> Iterator[tuple[str, ...]]:
    """One line for each label, source of another origin and kind."""
    import numpy as np

    for read in corpus.HELD_OUT:
        rows = list(read(folder))
        found = scores([row.text for row in rows])
        for name in (ANY, *scores.names):
            used = [index for index, row in enumerate(rows) if name in row.labels]
            truth = np.array([rows[index].labels[name] >= 0.5 for index in used], bool)
            if truth.sum() < 10 or (~truth).sum() < 10:
                continue
            for kind in scores.kinds:
                column = found[kind][used].max(1) if name == ANY else found[kind][used, scores.names.index(name)]
                counts = f"{len(used):,} ({int(truth.sum()):,})"
                yield name, rows[0].origin, counts, kind, *_figures(truth, column, rounds)


def _figures(truth: Any, scores: Any, rounds: int) -> Iterator[str]:
    wanted: tuple[Callable[[Any, Any], float], ...] = (
        metrics.auroc, metrics.auprc, metrics.precision_at(LEAST), metrics.recall_at(LEAST), metrics.alarms_at(LEAST),
    )  # fmt: skip
    for figure in wanted:
        value, low, high = metrics.interval(figure, truth, scores, seed=SEED, rounds=rounds)
        yield f"{value:.3f} ({low:.3f}–{high:.3f})"


# --- by group ------------------------------------------------------------------------------------------------------

GROUP_HEAD = ("neutral sentences from", "read by", "groups", "false positives", "lowest", "highest", "largest gap")


def groups(scores: Scores, folder: Path) -> Iterator[tuple[str, ...]]:
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
        found = scores([row.text for row in rows])
        for kind in scores.kinds:
            flagged = found[kind].max(1) >= LEAST
            rates = alarms(rows, flagged)
            if rates:
                lowest, highest = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
                yield (
                    source, kind, str(len(rates)), f"{flagged.mean():.3f} of {len(rows):,}", f"{lowest} {rates[lowest]:.3f}",
                    f"{highest} {rates[highest]:.3f}", f"{metrics.spread(list(rates.values())):.3f}",
                )  # fmt: skip


def alarms(rows: Sequence[Row], flagged: Iterable[bool]) -> dict[str, float]:
    """The share that is flagged of each group with enough rows."""
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


# --- what it costs -------------------------------------------------------------------------------------------------

SPEED_HEAD = ("characters", "CPU ms, p50", "CPU ms, p99")
PROSE = (
    "Your parcel 4711 was shipped on 12 May, and we hope that you like the kettle. The driver couldn't find the door. "
    "Please call us before noon; our colleagues will be glad to help you with everything that is still open.\n"
)
COST_HEAD = (
    "texts",
    "how many",
    "sentences that tier 1 reads",
    "texts with such",
    "ms for 1 kB: tier 0",
    "cascade",
    "tier 1 on all of it",
)


def speed(
    model: Model | Cascade, sizes: Sequence[int] = (100, 1_000, 10_000), rounds: int = 1_000
) -> Iterator[tuple[str, str, str]]:
    """CPU time of one check of ordinary prose, start to end: what others do on the machine does not count."""
    checker = ToxicityChecker(ToxicityChecker.Params(), model)
    for size in sizes:
        item = Item(Text((PROSE * (size // len(PROSE) + 1))[:size]), Stage.OUTPUT)
        taken = sorted(_spent(checker.check, [item]) for _ in range(rounds))
        yield f"{size:,}", f"{taken[rounds // 2]:.2f}", f"{taken[rounds * 99 // 100]:.2f}"


def _spent(action: Callable[[Any], object], argument: object) -> float:
    """CPU milliseconds of this thread."""
    began = time.thread_time()
    action(argument)
    return (time.thread_time() - began) * 1e3


def _unlearned(rows: Iterable[Row]) -> list[str]:
    _, tune, test = toxicity.split(rows)
    return [row.text for row in (*tune, *test)]


def cost(model: Cascade, folder: Path) -> Iterator[tuple[str, ...]]:
    """How much tier 1 has to read, and the mean CPU time for 1,000 characters, on texts that nobody learned from."""
    draw = random.Random(SEED)  # noqa: S311  (not for secrets)
    texts = {
        "sentences of Wikipedia (wikigold; not learned from)": _unlearned(corpus.encyclopedia(folder)),
        "posts of all kinds (WNUT 2017)": list(corpus.news(folder)),
        "red-team dialogues (HH-RLHF)": [row.text for row in injection.dialogues(folder.parent)],
    }
    for name, every in texts.items():
        some = draw.sample(every, min(SOME, len(every)))
        lines = [lines_of(text)[0] for text in some]
        asked = [model.unsure(reads, model.first.logits_of(reads)) for reads in map(model.first.read, lines)]
        kilo = sum(map(len, some)) / 1000
        taken = [
            sum(_spent(reader, each) for each in lines) / kilo
            for reader in (model.first.logits, model.logits, lambda each: model.second.logits(model.first.read(each)))
        ]
        share = sum(each.sum() for each in asked) / max(1, sum(map(len, asked)))
        touched = sum(bool(each.any()) for each in asked) / len(asked)
        yield name, f"{len(some):,}", f"{share:.3f}", f"{touched:.3f}", *(f"{each:.2f}" for each in taken)


# --- by functionality ----------------------------------------------------------------------------------------------


def functionalities(scores: Scores, source: Path = FUNCTIONAL) -> Iterator[tuple[str, ...]]:
    """Share of our functional cases that come out right by kind, family by family, and of all families alike."""
    words, families = templates.read(source)
    draw = random.Random(SEED)  # noqa: S311  (not for secrets)
    shares: dict[str, list[float]] = {kind: [] for kind in scores.kinds}
    for family in families:
        drawn = {templates.fill(wording, words, draw) for wording in family.sentences for _ in range(DRAWN)}
        found = scores(sorted(drawn))
        wanted = [scores.names.index(name) for name in family.labels]
        for kind, table_of in found.items():
            right = table_of[:, wanted].min(1) >= LEAST if wanted else table_of.max(1) < LEAST
            shares[kind].append(float(right.mean()))
        yield (
            family.name, str(len(drawn)), *(f"{each[-1]:.2f}" for each in shares.values()),
            ", ".join(family.labels) or "left alone",
        )  # fmt: skip
    yield "mean of the families", "", *(f"{sum(each) / len(each):.2f}" for each in shares.values()), ""


if __name__ == "__main__":
    sys.exit(main())
