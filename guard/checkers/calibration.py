"""A model's scores fitted to a user's own labelled sample: the file that `guard calibrate` writes and a policy names.

For each category that the sample knows, the model's log-odds for all categories go through one more small logistic head.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, Field, ValidationError

from guard.digest import sha256
from guard.errors import ConfigError

KIND = "genguard-calibration-1"
LIMIT = 10.0  # log-odds beyond it say no more


class Scorer(Protocol):
    """A harm model: tier 0 alone (`linear.Model`) or both tiers (`cascade.Cascade`)."""

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, in the order of the scores."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything that scores depend on."""

    @property
    def version(self) -> str:
        """What a checker's version says about the model."""

    @property
    def thresholds(self) -> Mapping[str, Mapping[str, float]]:
        """For each label the least score by false-positive rate."""

    def logits(self, lines: Sequence[str], /) -> Any:
        """Calibrated log-odds, lines × names; minus infinity for a line without words. Lines hold no line break."""


class Fitted(BaseModel, extra="forbid", frozen=True):
    """One category: `weights` by the model's categories, and what is known about the fit."""

    weights: Mapping[str, float]
    bias: float
    thresholds: Mapping[str, float] = Field(default_factory=dict, description="false-positive rate → least score")
    rows: int
    positive: int
    auroc: float | None = Field(None, description="as shipped, on the sample")
    auroc_fitted: float | None = Field(None, description="fitted, cross-validated on the sample")


class Document(BaseModel, extra="forbid", frozen=True):
    """The file."""

    kind: str
    model: str = Field(description="SHA-256 of the model that it was fitted to")
    sample: str = Field(description="SHA-256 of the sample")
    categories: Mapping[str, Fitted]

    def data(self) -> bytes:
        """As it is written."""
        return json.dumps(self.model_dump(exclude_none=True), indent=1, sort_keys=True).encode() + b"\n"


class Adjustment:
    """Applies a file to log-odds."""

    def __init__(self, document: Document, names: Sequence[str], digest: str) -> None:
        import numpy as np

        self.digest = digest
        self.thresholds = {name: fitted.thresholds for name, fitted in document.categories.items()}
        self._matrix, self._bias = np.eye(len(names)), np.zeros(len(names))
        self._fitted = np.array([name in document.categories for name in names])
        for column, name in enumerate(names):
            if name in document.categories:
                fitted = document.categories[name]
                self._matrix[:, column] = [fitted.weights.get(other, 0.0) for other in names]
                self._bias[column] = fitted.bias

    def applied(self, logits: Any) -> Any:
        """Log-odds, rows × categories; rows without words stay at minus infinity."""
        import numpy as np

        words = np.isfinite(logits)
        adjusted = bounded(logits) @ self._matrix + self._bias
        return np.where(words & self._fitted, adjusted, logits)


def bounded(logits: Any) -> Any:
    """Log-odds as inputs of a head."""
    import numpy as np

    return np.clip(np.nan_to_num(logits, neginf=-LIMIT, posinf=LIMIT), -LIMIT, LIMIT)


def load(path: Path, model: Scorer) -> Adjustment:
    """Read a calibration file for a model. Raises ConfigError when it is missing, damaged or for another model."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the calibration {path}: {error.strerror}; write one with `guard calibrate`"
        ) from error
    try:
        document = Document.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(
            f"{path} is not a calibration: {place}: {first['msg']}; write it with `guard calibrate`"
        ) from error
    if document.kind != KIND:
        raise ConfigError(f"{path} is a {document.kind!r}, not a {KIND!r}: write it again with `guard calibrate`")
    if document.model != model.digest:
        raise ConfigError(
            f"{path} was fitted to model {document.model[:12]}, and this is {model.digest[:12]}: run `guard calibrate` again"
        )
    unknown = sorted(
        {*document.categories, *(n for f in document.categories.values() for n in f.weights)} - {*model.names}
    )
    if unknown:
        raise ConfigError(f"{path} names {unknown[0]!r}; the model knows {', '.join(model.names)}")
    return Adjustment(document, model.names, sha256(data).hex())


def threshold(stated: Mapping[str, float], rate: float, name: str) -> float:
    """The score that keeps false positives at a stated rate. Raises ConfigError where none is stated for it."""
    key = f"{rate:g}"
    if key not in stated:
        known = ", ".join(sorted(stated, key=float)) or "none"
        raise ConfigError(f"no threshold for {name} at a false-positive rate of {key}; stated are {known}")
    return stated[key]
