"""Fit the shipped models' scores to a user's own labelled sample: reading the sample, fitting, thresholds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from guard.checkers.calibration import KIND, Adjustment, Document, Fitted, Scorer, bounded
from guard.checkers.linear import probability
from guard.checkers.toxicity import lines_of
from guard.errors import ConfigError
from guard.training import metrics

FEWEST = 10  # positive, and negative, rows without which a category is not fitted
PENALTY = 4.0  # how hard a head is held to the shipped scores, in rows' worth of evidence
FOLDS = 5
SEED = 20261124
Sample = list[tuple[str, frozenset[str]]]


def read(data: bytes, name: str, known: Sequence[str]) -> Sample:
    """Rows of CSV (columns text and labels, labels apart by `;`) or JSONL ({"text": …, "labels": […]}).

    Raises ConfigError, with the line, for what is neither.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not UTF-8; save it as UTF-8") from error
    rows = _jsonl(text, name) if text.lstrip()[:1] == "{" else _csv(text, name)
    sample: Sample = []
    for number, content, labels in rows:
        unknown = sorted(labels - set(known))
        if unknown:
            raise ConfigError(f"{name}:{number}: {unknown[0]!r} is not a category; known are {', '.join(known)}")
        sample.append((content, frozenset(labels)))
    if not sample:
        raise ConfigError(f"{name} holds no rows; write CSV with the columns text,labels or one JSON object a line")
    return sample


def _jsonl(text: str, name: str) -> Iterator[tuple[int, str, set[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{name}:{number}: not JSON; write one object a line") from error
        labels = row.get("labels") if isinstance(row, dict) else None
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ConfigError(f'{name}:{number}: "labels" is a list of category names, empty where nothing is wrong')
        if not isinstance(row.get("text"), str):
            raise ConfigError(f'{name}:{number}: "text" is missing or not a string')
        yield number, row["text"], set(labels)


def _csv(text: str, name: str) -> Iterator[tuple[int, str, set[str]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"text", "labels"} - set(reader.fieldnames or ())
    if missing:
        raise ConfigError(f"{name}:1: the column {sorted(missing)[0]!r} is missing; CSV needs text and labels")
    for row in reader:
        if row["labels"] is None or row["text"] is None:
            raise ConfigError(f"{name}:{reader.line_num}: too few columns; put quotes around text that holds commas")
        labels = {label.strip() for label in row["labels"].split(";")} - {""}
        yield reader.line_num, row["text"], labels


def fitted(model: Scorer, sample: Sample, digest: str, rates: Sequence[float]) -> Document:
    """A head and thresholds for each category with enough rows. Raises ConfigError where no category has."""
    import numpy as np

    owners, lines = [], []
    for index, (text, _) in enumerate(sample):
        found = lines_of(text)[0]
        lines += found
        owners += [index] * len(found)
    sentences = model.logits(lines)
    documents = np.full((len(sample), len(model.names)), -np.inf)
    np.maximum.at(documents, owners, sentences)
    inputs = np.hstack([bounded(documents), np.ones((len(sample), 1))])
    categories: dict[str, Fitted] = {}
    for column, name in enumerate(model.names):
        truth = np.array([name in labels for _, labels in sample])
        if min(truth.sum(), (~truth).sum()) < FEWEST:
            continue
        prior = np.eye(len(model.names) + 1)[column]
        head = _head(inputs, truth, prior)
        categories[name] = Fitted(
            weights={other: round(float(value), 6) for other, value in zip(model.names, head, strict=False)},
            bias=round(float(head[-1]), 6),
            rows=len(sample),
            positive=int(truth.sum()),
            auroc=round(metrics.auroc(truth, documents[:, column]), 4),
            auroc_fitted=round(metrics.auroc(truth, _crossed(inputs, truth, prior)), 4),
        )
    if not categories:
        raise ConfigError(f"too few labels: a category needs at least {FEWEST} rows with it and {FEWEST} without it")
    plain = Document(kind=KIND, model=model.digest, sample=digest, categories=categories)
    return plain.model_copy(update={"categories": _with_thresholds(plain, model, sample, sentences, owners, rates)})


def _head(inputs: Any, truth: Any, prior: Any) -> Any:
    import numpy as np

    return metrics.logistic(inputs, truth.astype(float), np.ones(len(truth)), PENALTY, prior)


def _crossed(inputs: Any, truth: Any, prior: Any) -> Any:
    """Log-odds of each row from a head that did not see it."""
    import numpy as np

    order = np.random.default_rng(SEED).permutation(len(truth))
    order = order[np.argsort(truth[order], kind="stable")]  # positives spread evenly over the folds
    folds = np.empty(len(truth), int)
    folds[order] = np.arange(len(truth)) % FOLDS
    found = np.empty(len(truth))
    for fold in range(FOLDS):
        out = folds == fold
        found[out] = inputs[out] @ _head(inputs[~out], truth[~out], prior)
    return found


def _with_thresholds(
    document: Document, model: Scorer, sample: Sample, sentences: Any, owners: Sequence[int], rates: Sequence[float]
) -> dict[str, Fitted]:
    """Thresholds from the sample's harmless rows, as the checker scores them; only for rates that so few rows can show."""
    import numpy as np

    scores = np.zeros((len(sample), len(model.names)))
    np.maximum.at(scores, owners, probability(Adjustment(document, model.names, "").applied(sentences)))
    result = {}
    for name, found in document.categories.items():
        column = scores[:, model.names.index(name)]
        truth = np.array([name in labels for _, labels in sample])
        calm, harmful = column[~truth], column[truth]
        # Where the sample falls apart cleanly, nothing is lost by asking for the middle of the gap.
        gap = (calm.max() + harmful.min()) / 2 if harmful.min() > calm.max() else 0.0
        stated = {
            f"{rate:g}": round(max(metrics.threshold_at(rate, calm), gap) + 5e-5, 4)
            for rate in rates
            if len(calm) * rate >= 1
        }
        result[name] = found.model_copy(update={"thresholds": stated})
    return result
