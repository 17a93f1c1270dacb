"""Train the names recognizer that ships:  python -m guard.training.names --data DIR --out FILE

A network of two layers over the features of words (`guard.checkers.personal.wordforms`), trained by Adam on public sets with
marked names and on sentences of our own. DIR holds the files that `guard.training.names_data` names. Needs torch (the `local`
extra) and the packages with lists of names. The same data, seed and versions give the same file on the same machine.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.checkers.personal import tagger, wordforms
from guard.checkers.personal.tagger import MAGIC, OUTSIDE, REACH
from guard.checkers.shadow import shadow
from guard.training import corpus
from guard.training import names_data as data
from guard.training.names_data import KINDS, Filler, Lists, Sample

TAGS = (OUTSIDE, *(f"{mark}-{kind}" for kind in KINDS for mark in "BI"))
ROWS = 1 << 16
WIDTH, HIDDEN, UPPER = 48, 64, 64
MISSED = 2.0  # how much worse it is to miss a word of a name than to take another word for one
UNKNOWN = -1  # the tag of words that are not learned from
LEAST = 2  # times that a feature must be seen to have a row
EPOCHS = 14
RATE = 2e-3
BATCH = 3000  # words
SEED = 20261124
EACH = 8  # sentences from each wording of our own, in every epoch
FIRST, LAST, RARE, CITY, REGION, COMMON, USUAL = (1 << bit for bit in range(7))
LISTED = FIRST | LAST | RARE | CITY | REGION


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write; progress goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with btc.conll and the others")
    parser.add_argument(
        "--texts", type=Path, required=True, help="folder with the sets of the harm model: words that are no names"
    )
    parser.add_argument("--out", type=Path, required=True, help="model file to write")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args(arguments)
    began = time.process_time()
    learn, _, _ = sets(options.data)
    lists = data.lists()
    listed = listing(lists, common(learn, options.texts), named(learn))
    learn += data.unmarked(options.texts)
    model = train(learn, lists, listed, options.epochs)
    options.out.write_bytes(packed(model, learn))
    sys.stderr.write(f"{options.out.stat().st_size:,} bytes, {time.process_time() - began:.0f} CPU seconds\n")
    return 0


def sets(folder: Path) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """What is learned from, tuned on and tested on, of all sets."""
    parts: tuple[list[Sample], list[Sample], list[Sample]] = ([], [], [])
    for origin, file in data.SETS.items():
        for part, samples in zip(parts, data.split(list(data.read(folder / file, origin))), strict=True):
            part.extend(samples)
    return parts


# --- lists of words ------------------------------------------------------------------------------------------------


def common(learn: Iterable[Sample], folder: Path) -> Counter[int]:
    """How often each word (its code) is written small."""
    counts: Counter[int] = Counter()
    for text in (sample.text for sample in learn):
        _count(text, counts)
    for reader in corpus.TRAINING:
        for row in reader(folder):
            _count(row.text, counts)
    return counts


def named(learn: Iterable[Sample]) -> Counter[int]:
    """How often each word is written small as a part of a name."""
    counts: Counter[int] = Counter()
    for sample in learn:
        for start, end, _ in sample.names:
            _count(sample.text[start:end], counts)
    return counts


def _count(text: str, counts: Counter[int]) -> None:
    found = wordforms.words(shadow(text).data)
    if found is not None:
        counts.update(found.codes[found.forms == wordforms.LOWER].tolist())


def listing(lists: Lists, small: Counter[int], as_names: Counter[int]) -> tuple[Any, Any]:
    """Sorted codes of words in lists, and a byte for each that says in which."""
    import numpy as np

    kinds: dict[int, int] = {}
    groups = (
        (FIRST, (name for people in lists.people.values() for name in people.first)),
        (LAST, (name for people in lists.people.values() for name in people.last)),
        (LAST, lists.surnames[:8000]),
        (RARE, lists.surnames[8000:60_000]),
        (CITY, (city for cities in lists.cities.values() for city in cities)),
        (REGION, [*lists.countries, *lists.regions]),
    )
    for bit, names in groups:
        for code in _codes(names):
            kinds[code] = kinds.get(code, 0) | bit
    for code, count in small.items():
        if count >= 4:
            usual = count >= 15 and count >= 15 * as_names[code]
            kinds[code] = kinds.get(code, 0) | COMMON | (USUAL if usual else 0)
    known = sorted(kinds)
    return np.array(known, np.uint32), np.array([kinds[code] for code in known], np.uint8)


def _codes(names: Iterable[str]) -> set[int]:
    found = wordforms.words(shadow("\n".join(names)).data)
    if found is None:
        return set()
    keep = wordforms.lettered(found.forms) & (found.ends - found.starts > 1)
    return set(found.codes[keep].tolist())


# --- documents -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Document:
    """Hashes of the features of its words, and the tag of each."""

    hashes: Any
    tags: Any


def documents(samples: Sequence[Sample], lists: Lists, listed: tuple[Any, Any], draw: random.Random) -> list[Document]:
    """One epoch: sentences in a new guise, one to three of them in a text."""
    words, _ = data.templates()
    filler = Filler(lists, draw, words)
    texts = [_guise(sample, filler, draw) for sample in samples]
    draw.shuffle(texts)
    marked = [it for it in texts if it.origin != "unmarked"]
    made, at = [document(it, listed) for it in texts if it.origin == "unmarked"], 0
    while at < len(marked):
        count = draw.choice((1, 1, 2, 3))
        made.append(document(_joined(marked[at : at + count], draw), listed))
        at += count
    return [it for it in made if it is not None]


def _guise(sample: Sample, filler: Filler, draw: random.Random) -> Sample:
    if sample.origin == "unmarked":
        return sample
    own = sample.origin == "own"
    if not own and sample.names and draw.random() < 0.3:
        sample = _renamed(sample, filler, draw)
    chance = draw.random()
    if chance < (0.3 if own else 0.15):
        return Sample(_same_length(sample.text, str.lower), sample.names, sample.origin)
    if chance > 0.96:
        return Sample(_same_length(sample.text, str.upper), sample.names, sample.origin)
    return sample


def _same_length(text: str, change: Any) -> str:
    return "".join(changed if len(changed := change(char)) == 1 else char for char in text)


def _renamed(sample: Sample, filler: Filler, draw: random.Random) -> Sample:
    """The sentence with other names of the same kinds."""
    text, names, at = "", [], 0
    for start, end, kind in sample.names:
        text += sample.text[at:start]
        at = end
        name = sample.text[start:end]
        slots = _SINGLE if " " not in name else _SEVERAL
        if kind in slots and draw.random() < 0.7:
            name = filler.name(draw.choice(slots[kind]))
        names.append((len(text), len(text) + len(name), kind))
        text += name
    return Sample(text + sample.text[at:], tuple(names), sample.origin)


_SEVERAL = {"PERSON": ("full",), "LOCATION": ("city", "city", "country", "place"), "ORGANIZATION": ("org",)}
_SINGLE = {**_SEVERAL, "PERSON": ("person", "first", "last")}


def _joined(samples: Sequence[Sample], draw: random.Random) -> Sample:
    text, names = "", []
    for sample in samples:
        text += draw.choice((" ", "\n", "\n\n")) if text else ""
        names += [(start + len(text), end + len(text), kind) for start, end, kind in sample.names]
        text += sample.text
    return Sample(text, tuple(names))


def document(sample: Sample, listed: tuple[Any, Any]) -> Document | None:
    """The features and tags of a text; None where it has no words or its characters are not those of its shadow."""
    import numpy as np

    view = shadow(sample.text)
    found = wordforms.words(view.data)
    if found is None or len(view.data) != len(sample.text):
        return None
    tags = np.zeros(len(found), np.int64)
    for start, end, kind in sample.names:
        inside = np.flatnonzero((found.starts < end) & (found.ends > start))
        tags[inside] = TAGS.index(f"I-{kind}")
        tags[inside[:1]] = TAGS.index(f"B-{kind}")
    if sample.origin == "unmarked":
        tags[~_usual(found, listed)] = UNKNOWN
    tags[wordforms.nameless(found.forms)] = 0
    hashes = np.column_stack([found.features, tagger.listing(found, *listed)])
    return Document(hashes, tags)


def _usual(found: wordforms.Words, listed: tuple[Any, Any]) -> Any:
    """Which words are written small, and are usual or in no list of names."""
    kinds = tagger.lists_of(found, *listed)
    return (found.forms == wordforms.LOWER) & ((kinds & USUAL > 0) | (kinds & LISTED == 0))


# --- training ------------------------------------------------------------------------------------------------------


def owners(made: Sequence[Document]) -> Any:
    """Which feature has each row: the more frequent one of those that want it."""
    import numpy as np

    hashes, counts = np.unique(np.concatenate([it.hashes.ravel() for it in made]), return_counts=True)
    known = (counts >= LEAST) & (hashes > 0)
    hashes, counts = hashes[known], counts[known]
    order = np.argsort(counts, kind="stable")
    found = np.zeros(ROWS, np.uint16)
    found[hashes[order] & np.uint32(ROWS - 1)] = (hashes[order] >> np.uint32(16)).astype(np.uint16)
    sys.stderr.write(f"{len(hashes):,} features, {np.count_nonzero(found):,} rows\n")
    return found


def train(
    learn: Sequence[Sample], lists: Lists, listed: tuple[Any, Any], epochs: int = EPOCHS, each: int = EACH
) -> dict[str, Any]:
    """The arrays of a Tagger, from marked sentences and `each` sentences of every wording of our own, in every epoch."""
    import torch

    torch.manual_seed(SEED)
    draw = random.Random(SEED)  # noqa: S311  (not for secrets)
    first = documents([*learn, *data.own(lists, SEED, each)], lists, listed, draw)
    owned = owners(first)
    net = _network(torch)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.01)
    mean = {name: value.detach().clone() for name, value in net.state_dict().items()}
    costs = torch.tensor([1.0, *[MISSED] * (len(TAGS) - 1)])
    steps = 0
    for epoch in range(epochs):
        made = first if epoch == 0 else documents([*learn, *data.own(lists, SEED + epoch, each)], lists, listed, draw)
        total, words = 0.0, 0
        batches = list(_batches(made, owned, draw))
        net.train()
        for number, (rows, tags, there) in enumerate(batches):
            part = (epoch + number / len(batches)) / epochs
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1.0, 10 * part + 0.05) * (1 - part) ** 0.7
            scores = net(torch.from_numpy(rows), torch.from_numpy(there))
            loss = torch.nn.functional.cross_entropy(
                scores.reshape(-1, len(TAGS)),
                torch.from_numpy(tags).reshape(-1),
                costs,
                ignore_index=UNKNOWN,
                label_smoothing=0.02,
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            steps += 1
            keep = min(0.998, 1 - 1 / (steps + 1))
            with torch.no_grad():
                for name, value in net.state_dict().items():
                    mean[name].mul_(keep).add_(value, alpha=1 - keep)
            total += loss.item() * int((tags >= 0).sum())
            words += int((tags >= 0).sum())
        sys.stderr.write(f"epoch {epoch + 1}: {words:,} words, loss {total / words:.4f}\n")
    arrays = quantised({name: value.numpy() for name, value in mean.items()}, made[:2000], owned)
    return {"owners": owned, "listed": listed[0], "lists": listed[1], **arrays}


def _batches(made: Sequence[Document], owned: Any, draw: random.Random) -> Iterator[tuple[Any, Any, Any]]:
    """Rows and tags of documents of like length, and where there are words; in random order."""
    import numpy as np

    order = sorted(made, key=lambda it: (len(it.tags), draw.random()))
    groups: list[list[Document]] = [[]]
    for it in order:
        if groups[-1] and (len(groups[-1]) + 1) * len(it.tags) > BATCH:
            groups.append([])
        groups[-1].append(it)
    draw.shuffle(groups)
    for group in groups:
        longest = max(len(it.tags) for it in group)
        rows = np.full((len(group), longest, wordforms.FEATURES + 1), ROWS, np.int64)
        tags = np.full((len(group), longest), UNKNOWN, np.int64)
        there = np.zeros((len(group), longest, 1), bool)
        for place, it in enumerate(group):
            rows[place, : len(it.tags)] = tagger.numbers(it.hashes, owned)
            tags[place, : len(it.tags)] = it.tags
            there[place, : len(it.tags)] = True
        yield rows, tags, there


def _network(torch: Any) -> Any:
    class Network(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rows = torch.nn.Embedding(ROWS + 1, WIDTH, padding_idx=ROWS)
            torch.nn.init.normal_(self.rows.weight, std=0.08)
            with torch.no_grad():
                self.rows.weight[ROWS] = 0
            self.first = torch.nn.Linear((2 * REACH + 1) * WIDTH, HIDDEN)
            self.second = torch.nn.Linear((2 * REACH + 1) * HIDDEN, UPPER)
            self.last = torch.nn.Linear(UPPER, len(TAGS))
            self.drop = torch.nn.Dropout(0.25)

        def forward(self, rows: Any, there: Any) -> Any:
            if self.training:
                lost = torch.rand(rows.shape) < 0.06
                word = torch.rand(rows.shape[:-1]) < 0.15  # as if a word had never been seen
                lost[..., 0] |= word
                lost[..., 1] |= word
                lost[..., -1] |= torch.rand(rows.shape[:-1]) < 0.1
                rows = rows.masked_fill(lost, ROWS)
            seen = self.drop(self.rows(rows).sum(2))
            seen = torch.relu(self.first(_windows(torch, seen))) * there
            seen = torch.relu(self.second(_windows(torch, self.drop(seen))))
            return self.last(self.drop(seen))

    return Network()


def _windows(torch: Any, values: Any) -> Any:
    wide = torch.nn.functional.pad(values, (0, 0, REACH, REACH))
    count = values.shape[1]
    return torch.cat([wide[:, offset : offset + count] for offset in range(2 * REACH + 1)], dim=2)


def quantised(weights: dict[str, Any], made: Sequence[Document], owned: Any) -> dict[str, Any]:
    """Rows and weights as bytes (see `tagger`): what a layer passes on is counted in units of its largest part in `made`."""
    import numpy as np

    rows = weights["rows.weight"][:ROWS]
    unit = np.maximum(np.abs(rows).max(0), 1e-8) / 127
    arrays = {"rows": np.rint(rows / unit).astype(np.int8)}
    whole = np.vstack([arrays["rows"].astype(np.float32), np.zeros((1, WIDTH), np.float32)])
    seen = [
        np.clip(whole[tagger.numbers(it.hashes, owned)].sum(1), -tagger.MOST_INPUT, tagger.MOST_INPUT) for it in made
    ]
    for number, name in enumerate(("first", "second", "last")):
        matrix = weights[f"{name}.weight"].T * (unit if number == 2 else np.tile(unit, 2 * REACH + 1))[:, None]
        most = tagger.MOST_FIRST if number == 0 else tagger.MOST_SECOND
        scales = np.abs(matrix).max(0) / most
        arrays[f"weights{number}"] = np.rint(matrix / scales).astype(np.int8)
        biases = weights[f"{name}.bias"]
        if number < 2:
            whole = arrays[f"weights{number}"].astype(np.float32)
            passed = [np.maximum(tagger.windows(it) @ whole * scales + biases, 0) for it in seen]
            unit = float(np.quantile(np.concatenate(passed), 0.9999)) / tagger.MOST_HIDDEN
            seen = [np.rint(np.minimum(it / unit, tagger.MOST_HIDDEN)).astype(np.float32) for it in passed]
            scales, biases = scales / unit, biases / unit
            unit = np.full(matrix.shape[1], unit)
        arrays[f"scales{number}"] = scales.astype(np.float32)
        arrays[f"biases{number}"] = biases.astype(np.float32)
    return arrays


def packed(arrays: dict[str, Any], learn: Sequence[Sample]) -> bytes:
    """The file: a magic line, a line of JSON, and the arrays."""
    facts = {
        "tags": TAGS,
        "arrays": [(name, array.dtype.str, array.shape) for name, array in arrays.items()],
        "trained_on": dict(sorted(Counter(sample.origin for sample in learn).items())),
        "seed": SEED,
    }
    return MAGIC + json.dumps(facts, sort_keys=True).encode() + b"\n" + b"".join(a.tobytes() for a in arrays.values())


if __name__ == "__main__":
    sys.exit(main())
