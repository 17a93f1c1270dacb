"""Train the toxicity model that ships:  python -m guard.training.toxicity --data DIR --out FILE

Logistic regression over hashed words, word pairs and character n-grams, one head at a time, weights rounded to bytes. DIR is
a folder with the data sets that `guard.training.corpus` names. The report goes to standard output as JSON. Needs scikit-learn,
which the `fairness` extra brings along. The same data and seed give the same file.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from guard.checkers import ngrams
from guard.checkers.text import fold, sentences
from guard.checkers.toxicity import HEADS, MAGIC, Head, Model
from guard.digest import sha256
from guard.training import corpus, templates
from guard.training.corpus import Row

BUCKETS = {"toxicity": 1 << 18, "identity_attack": 1 << 16, "threat": 1 << 16}
STRENGTH = {"toxicity": 3.0, "identity_attack": 3.0, "threat": 3.0}  # inverse of the penalty
OWN = 36_000  # sentences from templates
LONGEST = 30  # words of a text that are learned from: labels of longer ones say little about any part
SEED = 20261123
BENIGN = 1.5  # weight of harmless rows in calibration: there are more of them out there than in the data
FALSE_ALARM = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, test, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with davidson_labeled_data.csv and the others")
    parser.add_argument("--out", type=Path, required=True, help="model file to write")
    options = parser.parse_args(arguments)
    learn, tune, test = split(rows(options.data))
    heads = [calibrated(fit(name, learn), tune) for name in HEADS]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(packed(heads, learn))
    report = evaluate(Model.load(options.out), test, options.data)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0


# --- data ----------------------------------------------------------------------------------------------------------


def rows(folder: Path) -> Iterator[Row]:
    """Everything that is trained on: the public sets, and our own templates."""
    for read in corpus.TRAINING:
        yield from read(folder)
    for text, toxicity, identity, threat in templates.sentences(SEED, OWN):
        yield Row(text, toxicity, identity, threat, 1.0, "own")


def split(every: Iterable[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """80 % to learn from, 8 % to calibrate on, 12 % to test on, by the digest of the text so that twins stay together."""
    parts: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
    for row in every:
        share = int.from_bytes(sha256(" ".join(ngrams.words(row.text)).encode("utf-8", "replace"))[:4], "big") / 2**32
        cut = 0.5 if row.origin == "toxigen" else 0.8  # few and precious: half of them to test on
        parts[0 if share < cut else 1 if share < cut + 0.08 else 2].append(row)
    return parts


@lru_cache(maxsize=400_000)
def _features(reading: str) -> tuple[int, ...]:
    return tuple(ngrams.word_features(reading))


def features(text: str) -> list[int]:
    """All features of the first words of a text."""
    found: list[int] = []
    previous = "^"
    for word in ngrams.words(fold(text).text)[:LONGEST]:
        reading = ngrams.readings(word)[0]
        found += _features(reading)
        found.append(ngrams.pair_feature(previous, reading))
        previous = reading
    return found


def matrix(texts: Sequence[str], buckets: int) -> Any:
    """Counts over the square root of their number, as a sparse matrix."""
    import numpy
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    indices: list[int] = []
    values: list[float] = []
    starts = [0]
    for text in texts:
        found = features(text)
        indices += [feature & (buckets - 1) for feature in found]
        values += [1 / math.sqrt(len(found) + ngrams.SMOOTHING)] * len(found)
        starts.append(len(indices))
    built = csr_matrix(
        (numpy.array(values, "float32"), numpy.array(indices, "int32"), numpy.array(starts, "int64")),
        shape=(len(texts), buckets),
    )
    built.sum_duplicates()
    return built


# --- training ------------------------------------------------------------------------------------------------------


def fit(name: str, learn: Sequence[Row]) -> Head:
    """One head. A soft label counts as two rows, one of each class, with its share of the weight."""
    import numpy
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    used = [row for row in learn if getattr(row, name) is not None]
    inputs = matrix([row.text for row in used], BUCKETS[name])
    labels = numpy.array([getattr(row, name) for row in used])
    weights = numpy.array([row.weight for row in used])
    both = numpy.concatenate([labels * weights, (1 - labels) * weights])
    kept = both > 0
    classifier = LogisticRegression(C=STRENGTH[name], solver="lbfgs", max_iter=400)
    classifier.fit(vstack([inputs, inputs]).tocsr()[kept], (numpy.arange(len(both)) < len(used))[kept], both[kept])
    return Head(name, classifier.coef_[0].tolist(), float(classifier.intercept_[0]))


def squeezed(weights: Any) -> tuple[bytes, float]:
    """Weights as bytes, and the largest size: see `unpacked`."""
    import numpy

    largest = float(numpy.abs(weights).max())
    return (numpy.sign(weights) * numpy.rint(127 * numpy.sqrt(numpy.abs(weights) / largest))).astype(
        "int8"
    ).tobytes(), largest


def calibrated(head: Head, tune: Sequence[Row]) -> Head:
    """Platt scaling on rows that were not learned from."""
    import numpy
    from sklearn.linear_model import LogisticRegression

    used = [row for row in tune if getattr(row, head.name) is not None and row.text.strip()]
    model = Model([head], "")
    scores = numpy.array([model.score(ngrams.words(fold(row.text).text)[:LONGEST])[0] for row in used]).clip(
        1e-6, 1 - 1e-6
    )
    logits = numpy.log(scores / (1 - scores))[:, None]
    labels = numpy.array([getattr(row, head.name) for row in used])
    weights = numpy.array([row.weight for row in used])
    both = numpy.concatenate([labels * weights, (1 - labels) * weights * BENIGN])
    kept = both > 0
    platt = LogisticRegression(C=1e6)
    platt.fit(numpy.concatenate([logits, logits])[kept], (numpy.arange(len(both)) < len(used))[kept], both[kept])
    return Head(head.name, head.weights, head.bias, float(platt.coef_[0][0]), float(platt.intercept_[0]))


def packed(heads: Sequence[Head], learn: Sequence[Row]) -> bytes:
    """The file: a magic line, a line of JSON, and the weights."""
    import numpy

    origins = sorted({row.origin for row in learn})
    facts: dict[str, Any] = {
        "heads": [],
        "trained_on": {origin: sum(row.origin == origin for row in learn) for origin in origins},
        "seed": SEED,
    }
    bodies = []
    for head in heads:
        body, largest = squeezed(numpy.array(head.weights))
        numbers = {"largest": largest, "bias": head.bias, "slope": head.slope, "offset": head.offset}
        rounded = {key: round(value, 8) for key, value in numbers.items()}
        facts["heads"].append({"name": head.name, "buckets": len(body), **rounded})
        bodies.append(body)
    return MAGIC + json.dumps(facts, sort_keys=True).encode() + b"\n" + b"".join(bodies)


# --- testing -------------------------------------------------------------------------------------------------------


def _probabilities(model: Model, used: Sequence[Row]) -> Any:
    import numpy

    return numpy.array([_document(model, row.text) for row in used])


def _document(model: Model, text: str) -> tuple[float, ...]:
    """The highest probability of each head over the sentences of a text, as the checker finds them."""
    plain = fold(text).text
    scores = [model.worst(ngrams.words(plain[start:end])) for start, end in sentences(plain)]
    return tuple(max(column) for column in zip(*scores, strict=True)) if scores else (0.0,) * len(model.heads)


def evaluate(model: Model, test: Sequence[Row], folder: Path) -> dict[str, Any]:
    """AUROC and AUPRC by head on the held-out split and on the held-out origins; false alarms by group and dialect."""
    report: dict[str, Any] = {"digest": model.digest, "split": {}, "origins": {}}
    for name in HEADS:
        for origin in ("all", *sorted({row.origin for row in test})):
            used = [row for row in test if getattr(row, name) is not None and origin in ("all", row.origin)]
            report["split"][f"{name}/{origin}"] = _curve(model, used, name)
    for read in corpus.HELD_OUT:
        used = list(read(folder))
        report["origins"][used[0].origin] = _curve(model, used, "toxicity")
    report["false_alarms"] = _by_group(model, test, folder)
    return report


def _curve(model: Model, used: Sequence[Row], name: str) -> dict[str, float] | None:
    from sklearn.metrics import average_precision_score, roc_auc_score  # type: ignore[import-untyped]

    truth = [getattr(row, name) >= 0.5 for row in used]
    if len(set(truth)) < 2:
        return None
    scores = _probabilities(model, used)[:, HEADS.index(name)]
    return {
        "rows": len(used),
        "positive": sum(truth),
        "auroc": round(float(roc_auc_score(truth, scores)), 4),
        "auprc": round(float(average_precision_score(truth, scores)), 4),
        "recall@0.6": round(float(scores[truth].__ge__(0.6).mean()), 3),
        "false_alarms@0.6": round(float((scores[[not value for value in truth]] >= 0.6).mean()), 3),
    }


def _by_group(model: Model, test: Sequence[Row], folder: Path) -> dict[str, Any]:
    """Share of neutral sentences about each group, and of each dialect, that score at or above one half on any head."""
    alarms: dict[str, list[bool]] = {}
    for row in test:
        if row.origin == "toxigen" and row.toxicity == 0:
            alarms.setdefault(row.group, []).append(_alarm(model, row.text))
    pairs = list(corpus.dialect(folder, tested=True))
    for index, dialect in enumerate(("African-American English", "standardised English")):
        alarms[dialect] = [_alarm(model, pair[index]) for pair in pairs]
    return {
        group: {"rows": len(seen), "rate": round(sum(seen) / len(seen), 3)} for group, seen in alarms.items() if seen
    }


def _alarm(model: Model, text: str) -> bool:
    return max(_document(model, text)) >= FALSE_ALARM


if __name__ == "__main__":
    sys.exit(main())
