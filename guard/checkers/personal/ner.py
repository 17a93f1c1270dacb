"""Names by a model of the user's own: a spaCy pipeline, a token-classification model or a GLiNER model.

Each is read from a folder, or from the hub at a pinned commit; weights are safetensors (spaCy has a format of its own), code
that comes with a model never runs, and nothing is fetched that the policy does not name. Long texts are read in windows that
overlap, so that time grows with the text and no model sees more than it can take.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from guard import models, weights
from guard.checkers.text import windows as stretches
from guard.errors import ConfigError, MissingExtra
from guard.quiet import quiet
from guard.types import Span

_USUAL = {
    "PER": "PERSON", "PERSON": "PERSON", "LOC": "LOCATION", "LOCATION": "LOCATION", "GPE": "LOCATION", "FAC": "LOCATION",
    "ORG": "ORGANIZATION", "ORGANIZATION": "ORGANIZATION", "ORGANISATION": "ORGANIZATION", "ADDRESS": "ADDRESS",
    "STREET_ADDRESS": "ADDRESS",
}  # fmt: skip
_ASKED = {
    "person": "PERSON",
    "location": "LOCATION",
    "organization": "ORGANIZATION",
    "postal address": "ADDRESS",
}  # of GLiNER
_UNSCORED = 0.85  # what presidio gives a name that spaCy found, since spaCy does not say how sure it is
_FILES = {
    "spacy": ["*"],
    "gliner": ["*.json", "*.safetensors", "*.model", "*.txt"],
}
_WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")
_LEAST = 0.05  # score below which a GLiNER model need not report
_LONG_WORD = 100  # characters: longer words are cut, since a tokenizer would make thousands of pieces of one


class NerModel(BaseModel, extra="forbid", frozen=True):
    """Which model finds names."""

    engine: Literal["spacy", "transformers", "gliner"]
    model: str = Field(description="folder of the model, or its id on the hub together with `revision`")
    revision: str | None = Field(None, description="commit (40 hexadecimal digits) of a model on the hub")
    labels: Mapping[str, str] = Field(
        {}, description="the model's labels and the categories that they become; default: the usual names of labels"
    )
    device: str | None = Field(None, description="cpu, cuda or cuda:<number>; default: cuda where there is one")

    @property
    def categories(self) -> frozenset[str]:
        """What it may find."""
        return frozenset((self.labels or _ASKED).values())


class Ner:
    """One model and how to ask it; `version` says which it is.

    `strict`: the model must be able to find all that is wanted, and not only some of it. Raises ConfigError where it cannot, or
    cannot be read, and MissingExtra where its library is not installed.
    """

    def __init__(self, about: NerModel, wanted: frozenset[str], *, strict: bool = False) -> None:
        given = dict(about.labels or (_ASKED if about.engine == "gliner" else _USUAL))
        self._labels = {label: category for label, category in given.items() if category in wanted}
        self._model: _Spacy | _Tokens | _Gliner
        match about.engine:
            case "spacy":
                self._model = _Spacy(about)
            case "transformers":
                self._model = _Tokens(about)
            case "gliner":
                self._model = _Gliner(about, self._labels)
        known = self._model.known
        found = {category for label, category in self._labels.items() if label in known}
        absent = [label for label in about.labels if label not in known]
        if absent or not found or (strict and found != wanted):
            lacks = f"the label {absent[0]}" if absent else f"a label for {min(wanted - found)}"
            raise ConfigError(
                f"{about.engine} model: lacks {lacks}; it has {', '.join(sorted(known)[:20])}: map them in names.labels"
            )
        self.version = f"{about.engine}-{self._model.digest[:12]}"

    def matches(self, text: str) -> Iterator[tuple[str, float, Span]]:
        """Category, score and place of every name."""
        found: dict[tuple[str, Span], float] = {}
        for start, end, label, score in self._model.found(text):
            category = self._labels.get(label)
            if category and start < end:
                key = (category, Span(start, end))
                found[key] = max(found.get(key, 0.0), round(min(1.0, max(0.0, score)), 4))
        for (category, span), score in found.items():
            yield category, score, span

    def pending(self, text: str) -> int:
        """All of it: such a model may read a whole text before it is sure of its beginning."""
        return len(text)


def windows(text: str, most: int, lap: int) -> Iterator[tuple[int, str]]:
    """Stretches of up to `most` words with their places; each begins `lap` words before the end of the one before it."""
    words = [place for match in _WORD.finditer(text) for place in range(match.start(), match.end(), _LONG_WORD)]
    edges = [*words, len(text)]
    for first, beyond in stretches(len(words), most, lap) if words else ():
        yield words[first], text[words[first] : edges[beyond]]


class _Spacy:
    def __init__(self, about: NerModel) -> None:
        spacy = _import("spacy", "finding names with spaCy", "pii")
        folder, name = models.fetched(about.model, about.revision, _FILES["spacy"])
        if any(file.suffix in (".pkl", ".pickle", ".pt", ".pth") for file in folder.rglob("*")):
            raise ConfigError(
                f"{name} holds pickled data, which can run code when it is read; save the pipeline without it"
            )
        try:
            self._nlp = spacy.load(folder)
        except (OSError, ImportError, ValueError, KeyError) as error:
            raise ConfigError(f"{name} is no spaCy pipeline that can be loaded ({type(error).__name__})") from error
        self.known = {
            label for pipe in self._nlp.pipe_names for label in getattr(self._nlp.get_pipe(pipe), "labels", ())
        }
        self.digest = weights.digest(folder, "**/*").removeprefix("sha256:")

    def found(self, text: str) -> Iterator[tuple[int, int, str, float]]:
        for offset, piece in windows(text, 2000, 100):
            for name in self._nlp(piece).ents:
                yield offset + name.start_char, offset + name.end_char, name.label_, _UNSCORED


class _Tokens:
    def __init__(self, about: NerModel) -> None:
        loaded = models.load_tagger(about.model, revision=about.revision, device=about.device)
        transformers = _import("transformers", "finding names with transformers", "local")
        self.known = {label.partition("-")[2] or label for label in loaded.model.config.id2label.values()}
        self.digest = str(loaded.facts["weights"]).removeprefix("sha256:")
        most = min(loaded.tokenizer.model_max_length, getattr(loaded.model.config, "max_position_embeddings", 512), 512)
        loaded.tokenizer.model_max_length = most
        with quiet():
            self._pipeline = transformers.pipeline(
                "token-classification",
                model=loaded.model,
                tokenizer=loaded.tokenizer,
                aggregation_strategy="first",
                stride=most // 4,
                device=loaded.model.device,
            )

    def found(self, text: str) -> Iterator[tuple[int, int, str, float]]:
        for offset, piece in windows(text, 2000, 100):
            for name in self._pipeline(piece):
                yield offset + name["start"], offset + name["end"], name["entity_group"], float(name["score"])


class _Gliner:
    def __init__(self, about: NerModel, labels: Mapping[str, str]) -> None:
        gliner = _import("gliner", "finding names with GLiNER", "gliner")
        folder, name = models.fetched(about.model, about.revision, _FILES["gliner"])
        weights.require_safetensors(folder, sorted(folder.glob("*.safetensors")))
        with quiet(), models.as_config_error(name):
            self._model = gliner.GLiNER.from_pretrained(
                str(folder), local_files_only=True, strict=True, map_location=models.device_name(about.device)
            )
        self._model.eval()
        self.known = set(labels)  # it is asked in words, so it knows any
        self._most = max(16, min(256, int(self._model.config.max_len) - 8))
        self.digest = weights.digest(folder, "**/*").removeprefix("sha256:")

    def found(self, text: str) -> Iterator[tuple[int, int, str, float]]:
        for offset, piece in windows(text, self._most, self._most // 8):
            with quiet():
                names: list[dict[str, Any]] = self._model.predict_entities(piece, sorted(self.known), threshold=_LEAST)
            for name in names:
                yield offset + name["start"], offset + name["end"], name["label"], float(name["score"])


def _import(name: str, what: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(what, extra) from error
