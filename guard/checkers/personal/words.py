"""What presidio asks of an NLP engine, without downloads, and made when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import regex  # type: ignore[import-untyped]
import spacy
from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpArtifacts, SpacyNlpEngine
from spacy.attrs import IDX, IS_PUNCT, IS_STOP, LENGTH  # type: ignore[import-not-found]

from guard.errors import ConfigError

_STRETCH = 1000  # characters without a space that spaCy may see in one piece
_PIECE = 100
_LONG = regex.compile(rf"\S{{{_STRETCH},}}")
_MOST_WORDS = 300_000  # a blank vocabulary remembers every word that it ever saw: from here on it is made anew
_ATTRIBUTES = [IDX, LENGTH, IS_STOP, IS_PUNCT]


class LocalNlpEngine(SpacyNlpEngine):
    """spaCy without downloads: a pipeline from a folder, or a blank one, whose words are their own lemmas.

    Without lemmas presidio never finds a context word, and says nothing.
    """

    engine_name = "local"
    nlp: Any

    def __init__(
        self, language: str = "en", model: Path | None = None, ner: NerModelConfiguration | None = None
    ) -> None:
        super().__init__(
            models=[{"lang_code": language, "model_name": str(model or "blank")}], ner_model_configuration=ner
        )
        self._model = model
        self.load()

    def load(self) -> None:
        """Load the pipelines. Raises ConfigError when the folder holds none."""
        language = self.models[0]["lang_code"]
        try:
            self.nlp = {language: spacy.load(self._model) if self._model else spacy.blank(language)}
        except (OSError, ImportError, ValueError) as error:
            raise ConfigError(f"no spaCy pipeline for {language!r} in {self._model}: {type(error).__name__}") from error

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """See presidio's NlpEngine."""
        nlp = self.pipeline(language)
        doc = nlp(text)
        if not nlp.pipe_names:
            for token in doc:
                token.lemma_ = token.text
        return self._doc_to_nlp_artifact(doc, language)

    def pipeline(self, language: str) -> Any:
        """spaCy's pipeline for a language."""
        nlp = self.nlp[language]
        if not nlp.pipe_names and len(nlp.vocab.strings) > _MOST_WORDS:
            self.load()
            nlp = self.nlp[language]
        return nlp


class Artifacts(NlpArtifacts):
    """NlpArtifacts that are made when they are first asked for."""

    def __init__(self, text: str, nlp_engine: Any, language: str) -> None:
        # The fields of NlpArtifacts are properties here, so its own __init__ has nothing to set.
        self.text, self.nlp_engine, self.language = text, nlp_engine, language
        pipelines = getattr(nlp_engine, "nlp", None)
        self.bare = isinstance(nlp_engine, LocalNlpEngine) and not pipelines[language].pipe_names  # type: ignore[index]

    @cached_property
    def made(self) -> NlpArtifacts:
        """What presidio would have made."""
        made: NlpArtifacts = self.nlp_engine.process_text(self.text, self.language)
        return made

    @property
    def entities(self) -> Any:  # type: ignore[override]
        """See NlpArtifacts. A pipeline without components finds none, so nothing needs to be made for it."""
        return [] if self.bare else self.made.entities

    @property
    def scores(self) -> Any:  # type: ignore[override]
        """See NlpArtifacts."""
        return [] if self.bare else self.made.scores

    @property
    def tokens(self) -> Any:  # type: ignore[override]
        """See NlpArtifacts."""
        return self.made.tokens

    @property
    def tokens_indices(self) -> list[int]:  # type: ignore[override]
        """See NlpArtifacts."""
        return self.made.tokens_indices

    @property
    def lemmas(self) -> list[str]:  # type: ignore[override]
        """See NlpArtifacts."""
        return self.made.lemmas

    @property
    def keywords(self) -> list[str]:  # type: ignore[override]
        """See NlpArtifacts."""
        return self.made.keywords

    @cached_property
    def words(self) -> Words:
        """What the search for context words needs: of a blank pipeline, no more than that is made."""
        ends: list[int]
        if not self.bare:
            ends = [start + len(token) for start, token in zip(self.tokens_indices, self.tokens, strict=True)]
            return Words(ends, [lemma.lower() for lemma in self.lemmas], frozenset(self.keywords))
        nlp = self.nlp_engine.pipeline(self.language)
        ends = []
        lowered: list[str] = []
        keywords: set[str] = set()
        for offset, piece in _pieces(self.text):
            for start, length, stop, punct in nlp.make_doc(piece).to_array(_ATTRIBUTES).tolist():
                word = piece[start : start + length]
                ends.append(offset + start + length)
                lowered.append(word.lower())
                if not stop and not punct and word not in {"-PRON-", "be"}:
                    keywords.update(word.lower().split(":"))
        return Words(ends, lowered, frozenset(keywords))


class Words(NamedTuple):
    """For each token its end and its lemma in lower case; and which lemmas are keywords."""

    ends: list[int]
    lowered: list[str]
    keywords: frozenset[str]


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The text with its place; stretches without a space that are too long for spaCy, cut."""
    done = 0
    for match in _LONG.finditer(text):
        for at in range(match.start(), match.end(), _PIECE):
            yield done, text[done:at]
            done = at
    yield done, text[done:]
