"""Train the harm model that ships:  python -m guard.training.toxicity --data DIR --out FILE

Logistic regression over hashed n-grams, one head at a time, weights rounded to bytes, calibrated on rows that were not learned
from, with thresholds at stated false-positive rates. DIR is a folder with the data sets that `guard.training.corpus` names.
Needs scipy, which the `fairness` extra brings along. The same data, seed and versions give the same file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from guard.checkers import ngrams
from guard.checkers.hazards import SCORED
from guard.checkers.linear import MAGIC, PHRASE, STEPS, Head, Model
from guard.checkers.text import fold
from guard.digest import sha256
from guard.training import corpus, metrics, templates
from guard.training.corpus import Row

BUCKETS = 1 << 18
STRENGTH = 8.0  # inverse of the penalty
OWN = 50  # sentences from each wording of our own
LONGEST = 40  # words of a text that are learned from: labels of longer ones say little about any part
ROUNDS = 60  # of L-BFGS at most
SEED = 20261124
PRIOR = (0.03, 0.2)  # least and greatest share of a category in the traffic that scores are calibrated for
RATES = (0.01, 0.05)  # false-positive rates that thresholds are stated for
BATCH = 2_000  # texts whose features are taken at once


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write; the report goes to standard output as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with davidson_labeled_data.csv and the others")
    parser.add_argument("--out", type=Path, required=True, help="model file to write")
    options = parser.parse_args(arguments)
    began = time.process_time()
    learn, tune, test = split(rows(options.data))
    inputs = matrix([row.text for row in learn])
    fits = [fit(name, inputs, learn) for name in SCORED]
    heads, steps = quantised(fits)
    heads = calibrated(Model(heads, steps, ""), tune)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(packed(heads, steps, learn))
    model = Model.load(options.out)
    report = {
        "digest": model.digest,
        "cpu_seconds": round(time.process_time() - began),
        "learned": Counter(row.origin for row in learn),
        "split": {name: tested(model, name, test) for name in SCORED},
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0


# --- data ----------------------------------------------------------------------------------------------------------


def rows(folder: Path) -> Iterator[Row]:
    """Everything that is trained on: the public sets, and our own templates."""
    for read in corpus.TRAINING:
        yield from read(folder)
    for text, family, weight in templates.sentences(SEED, OWN):
        yield own(text, family, weight)


def own(text: str, family: templates.Family, weight: float) -> Row:
    """A sentence of ours with the labels of its family."""
    known = {name: value for name, value in family.labels.items() if value is not None}
    rest = {name: value for name, value in corpus.BENIGN.items() if name not in family.labels}
    return Row(text, {**rest, **known}, weight, "own")


def split(every: Iterable[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """80 % to learn from, 10 % to calibrate on, 10 % to test on, by the digest of the text so that twins stay together."""
    parts: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
    for row in every:
        plain = ngrams.normalised(fold(row.text).text)
        if any(map(str.isalnum, plain)):
            share = int.from_bytes(sha256(plain.encode("utf-8", "replace"))[:4], "big") / 2**32
            parts[0 if share < 0.8 else 1 if share < 0.9 else 2].append(row)
    return parts


def line(text: str) -> str:
    """The first words of a text as one line."""
    return " ".join(fold(text).text.split()[:LONGEST])


def matrix(texts: Sequence[str], buckets: int = BUCKETS) -> Any:
    """Features over the root of their number, texts × buckets, sparse; scored as `Model` does."""
    import numpy as np
    from scipy.sparse import csr_matrix, vstack  # type: ignore[import-untyped]

    parts = []
    for start in range(0, len(texts), BATCH):
        lines = [line(text) for text in texts[start : start + BATCH]]
        found = ngrams.bag(ngrams.normalised("\n".join(lines)))
        values, places, which = [], [], []
        if found is not None:
            owners = ((found.pieces, found.sentence[found.owner], 1.0), (found.phrases, found.sentence, float(PHRASE)))
            for hashes, sentence, weight in owners:
                there = hashes > 0
                places.append((hashes[there] & np.uint64(buckets - 1)).astype(np.int64))
                which.append(np.broadcast_to(sentence, hashes.shape)[there])
                values.append(np.full(int(there.sum()), weight, np.float32))
        at, column, value = (np.concatenate(part) if part else np.zeros(0) for part in (which, places, values))
        counts = np.bincount(at.astype(int), weights=value**2, minlength=len(lines))
        value = value / np.sqrt(counts + ngrams.SMOOTHING)[at.astype(int)]
        parts.append(csr_matrix((value.astype(np.float32), (at, column)), shape=(len(lines), buckets)))
    return vstack(parts).tocsr()


# --- training ------------------------------------------------------------------------------------------------------


def fit(name: str, inputs: Any, learn: Sequence[Row]) -> tuple[str, Any, float]:
    """Weights and bias of one head. Labels may be shares; rows that do not know the label are left out."""
    import numpy as np
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    used = [index for index, row in enumerate(learn) if name in row.labels]
    chosen = inputs[used]
    turned = chosen.T.tocsr()
    labels = np.array([learn[index].labels[name] for index in used], np.float32)
    weights = np.array([learn[index].weight for index in used], np.float32) * STRENGTH

    def loss(point: Any) -> tuple[float, Any]:
        vector = point[:-1].astype(np.float32)
        logits = chosen @ vector + np.float32(point[-1])
        cost = float((weights * (np.logaddexp(0, logits) - labels * logits)).sum(dtype=np.float64))
        error = weights * (1 / (1 + np.exp(-logits)) - labels)
        slope = np.append(turned @ error, error.sum()).astype(np.float64)
        slope[:-1] += point[:-1]
        return cost + 0.5 * float(point[:-1] @ point[:-1]), slope

    start = np.zeros(inputs.shape[1] + 1)
    done = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS, "maxcor": 8})
    sys.stderr.write(f"{name}: {len(used):,} rows, {done.nit} rounds, loss {done.fun:.0f}\n")
    return name, done.x[:-1], float(done.x[-1])


def quantised(fits: Sequence[tuple[str, Any, float]]) -> tuple[list[Head], Any]:
    """Weights as bytes (see `linear.expanded`), buckets × heads, and the heads before calibration."""
    import numpy as np

    heads, columns = [], []
    for name, weights, bias in fits:
        largest = float(np.abs(weights).max())
        columns.append((np.sign(weights) * np.rint(STEPS * np.sqrt(np.abs(weights) / largest))).astype(np.int8))
        heads.append(Head(name, round(largest, 8), round(bias, 8)))
    return heads, np.stack(columns, axis=1)


def calibrated(model: Model, tune: Sequence[Row]) -> list[Head]:
    """Platt scaling and thresholds from rows that were not learned from."""
    import numpy as np

    logits = model.logits([line(row.text) for row in tune])
    heads = []
    for index, head in enumerate(model.heads):
        used = [place for place, row in enumerate(tune) if head.name in row.labels]
        labels = np.array([tune[place].labels[head.name] for place in used])
        weights = balanced(labels, np.array([tune[place].weight for place in used]))
        raw = logits[used, index]
        inputs = np.stack([raw, np.ones(len(raw))], axis=1)
        slope, offset = metrics.logistic(inputs, labels, weights, 1e-6)
        final = 1 / (1 + np.exp(-(raw * slope + offset)))
        calm = labels < 0.5
        thresholds = {f"{rate:g}": round(metrics.threshold_at(rate, final[calm], weights[calm]), 4) for rate in RATES}
        heads.append(
            Head(head.name, head.largest, head.bias, round(float(slope), 8), round(float(offset), 8), thresholds)
        )
    return heads


def balanced(labels: Any, weights: Any) -> Any:
    """Weights under which the share of positives is within PRIOR."""
    share = float((labels * weights).sum() / weights.sum())
    wanted = min(max(share, PRIOR[0]), PRIOR[1])
    return weights * (labels * wanted / share + (1 - labels) * (1 - wanted) / (1 - share))


def packed(heads: Sequence[Head], steps: Any, learn: Sequence[Row]) -> bytes:
    """The file: a magic line, a line of JSON, and the weights."""
    facts = {
        "heads": [asdict(head) for head in heads],
        "buckets": len(steps),
        "trained_on": dict(sorted(Counter(row.origin for row in learn).items())),
        "seed": SEED,
    }
    body: bytes = steps.tobytes()
    return MAGIC + json.dumps(facts, sort_keys=True).encode() + b"\n" + body


def tested(model: Model, name: str, test: Sequence[Row]) -> dict[str, Any]:
    """Figures of one head on the held-out part of what was learned from, with its reliability."""
    import numpy as np

    used = [row for row in test if name in row.labels]
    truth = np.array([row.labels[name] >= 0.5 for row in used])
    scores = model.scores([line(row.text) for row in used])[:, model.names.index(name)]
    labels = np.array([row.labels[name] for row in used])
    error, bins = metrics.reliability(labels, scores, balanced(labels, np.array([row.weight for row in used])))
    return {
        "rows": len(used),
        "positive": int(truth.sum()),
        "auroc": round(metrics.auroc(truth, scores), 4),
        "auprc": round(metrics.auprc(truth, scores), 4),
        "calibration_error": round(error, 4),
        "reliability": bins,
    }


if __name__ == "__main__":
    sys.exit(main())
