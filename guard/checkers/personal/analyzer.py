"""Presidio's AnalyzerEngine with the same findings in a fraction of the time, and with its traps closed.

What presidio does for every text, `QuickAnalyzer` does where a text needs it: a pattern is searched for where a gate says that
it can match, tokens are made where a context word could raise a score, and a phone number is parsed once where its country
stands in it. The findings are those of AnalyzerEngine on the same registry and the same NLP engine, except that an expression
that runs too long is an error and not a pass, and that a stretch of thousands of characters without a space is split before
spaCy's tokenizer, whose time is quadratic there.
"""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import regex  # type: ignore[import-untyped]
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, PatternRecognizer, RecognizerResult
from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
from presidio_analyzer.nlp_engine import NlpArtifacts
from presidio_analyzer.predefined_recognizers import IbanRecognizer, PhoneRecognizer, SpacyRecognizer

from guard.checkers.personal.regions import phone_spans
from guard.checkers.personal.superset import Gate
from guard.checkers.personal.words import Artifacts, Words

TIMEOUT = 1.0  # seconds for one expression on one text
_ID = RecognizerResult.RECOGNIZER_IDENTIFIER_KEY
_RAISED = RecognizerResult.IS_SCORE_ENHANCED_BY_CONTEXT_KEY
_BOUND = (PatternRecognizer.analyze, IbanRecognizer.analyze)  # what finds nothing where no pattern matches


def offline() -> None:
    """Keep presidio's recognizer of e-mail addresses from downloading the list of public suffixes in the midst of a check."""
    import tldextract

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # type: ignore[assignment]


class QuickAnalyzer(AnalyzerEngine):
    """An AnalyzerEngine in whose place it can stand.

    `analyze` raises TimeoutError where an expression takes longer than `timeout` seconds. Calls that want more than findings
    (a decision process, ad-hoc recognizers, context from outside) go to AnalyzerEngine itself.
    """

    def __init__(self, *arguments: Any, timeout: float = TIMEOUT, **named: Any) -> None:
        offline()
        super().__init__(*arguments, **named)
        self.timeout = timeout
        self._plans: dict[Any, _Plan] = {}
        self._lock = threading.Lock()

    def analyze(
        self,
        text: str,
        language: str,
        entities: list[str] | None = None,
        correlation_id: str | None = None,
        score_threshold: float | None = None,
        return_decision_process: bool | None = False,
        ad_hoc_recognizers: list[EntityRecognizer] | None = None,
        context: list[str] | None = None,
        allow_list: list[str] | None = None,
        allow_list_match: str | None = "exact",
        regex_flags: int | None = regex.DOTALL | regex.MULTILINE | regex.IGNORECASE,
        nlp_artifacts: NlpArtifacts | None = None,
    ) -> list[RecognizerResult]:
        """See AnalyzerEngine."""
        if return_decision_process or ad_hoc_recognizers or context or nlp_artifacts or self.log_decision_process:
            return super().analyze(
                text, language, entities, correlation_id, score_threshold, return_decision_process, ad_hoc_recognizers,
                context, allow_list, allow_list_match, regex_flags, nlp_artifacts,
            )  # fmt: skip
        plan = self._plan(language, entities)
        artifacts = Artifacts(text, self.nlp_engine, language)
        results = plan.found(text, artifacts, self.timeout)
        if not results:
            return []
        if plan.own_context or type(self.context_aware_enhancer) is not LemmaContextAwareEnhancer:
            results = self._enhance_using_context(text, results, artifacts, plan.recognizers)
        else:
            _raise_scores(results, artifacts, plan.by_id, self.context_aware_enhancer)
        results = [it for it in results if it.score >= self._least(it, plan, score_threshold)]
        results = EntityRecognizer.remove_duplicates(results)
        if allow_list:
            results = self._remove_allow_list(results, allow_list, text, regex_flags, allow_list_match or "exact")
        for result in results:
            result.analysis_explanation = None  # type: ignore[assignment]
        return results

    def _plan(self, language: str, entities: list[str] | None) -> _Plan:
        # Recognizers may be added at any time, so what stands in the registry now is part of the key.
        key = (language, tuple(entities or ()), tuple(map(id, self.registry.recognizers)))
        plan = self._plans.get(key)
        if plan is None:
            with self._lock:
                found = self.registry.get_recognizers(language=language, entities=entities, all_fields=not entities)
                wanted = entities or self.get_supported_entities(language=language)
                self._plans = {**self._plans, key: (plan := _Plan(found, wanted))}
        return plan

    def _least(self, result: RecognizerResult, plan: _Plan, threshold: float | None) -> float:
        if threshold is not None:
            return threshold
        thresholds: dict[str, float] = plan.thresholds.get(result.recognition_metadata[_ID], {})
        return thresholds.get(result.entity_type, thresholds.get("default", self.default_score_threshold))


class _Plan:
    """What a call with certain entities has to run."""

    def __init__(self, recognizers: Sequence[Any], entities: list[str]) -> None:
        self.recognizers, self.entities = list(recognizers), entities
        self.by_id = {it.id: it for it in recognizers}
        self.thresholds = {it.id: getattr(it, "score_thresholds", {}) for it in recognizers}
        self.own_context = any(
            type(it).enhance_using_context is not EntityRecognizer.enhance_using_context for it in recognizers
        )
        gated: list[tuple[str, bool]] = []
        self._numbers: dict[str, range] = {}
        self._compiled: list[Any] = []
        for it in recognizers:
            if type(it).analyze in _BOUND:
                self._numbers[it.id] = range(len(gated), len(gated) + len(it.patterns))
                gated += [(pattern.regex, bool(it.global_regex_flags & regex.IGNORECASE)) for pattern in it.patterns]
                self._compiled += [regex.compile(pattern.regex, it.global_regex_flags) for pattern in it.patterns]
        self._gate = Gate(gated)

    def found(self, text: str, artifacts: Artifacts, timeout: float) -> list[RecognizerResult]:
        """What the recognizers find, before words around it count."""
        results: list[RecognizerResult] = []
        fired = self._gate.fired(text)
        it: Any
        for it in self.recognizers:
            numbers = self._numbers.get(it.id)
            if numbers is not None and fired.isdisjoint(numbers):
                continue
            if type(it).analyze is PatternRecognizer.analyze:
                results += self._searched(it, [number for number in numbers or () if number in fired], text, timeout)
            elif type(it) is PhoneRecognizer:
                spans = phone_spans(text, it.supported_regions, it.leniency or 0)
                results += EntityRecognizer.remove_duplicates([_result(it, *span, it.SCORE) for span in spans])
            elif not (type(it) is SpacyRecognizer and artifacts.bare):
                found = it.analyze(text=text, entities=self.entities, nlp_artifacts=artifacts)
                for result in found or ():
                    result.recognition_metadata = {**_made_by(it), **(result.recognition_metadata or {})}
                results += found or ()
        return results

    def _searched(self, recognizer: Any, numbers: Sequence[int], text: str, timeout: float) -> list[RecognizerResult]:
        results = []
        first = self._numbers[recognizer.id].start
        for number in numbers:
            pattern = recognizer.patterns[number - first]
            for match in self._compiled[number].finditer(text, timeout=timeout):
                found = match.group()
                if not found:
                    continue
                verdict = recognizer.validate_result(found)
                score = pattern.score if verdict is None else 1.0 if verdict else 0.0
                if score > 0 and not recognizer.invalidate_result(found):
                    results.append(_result(recognizer, match.start(), match.end(), score))
        return EntityRecognizer.remove_duplicates(results) if len(results) > 1 else results


# --- words around a match ------------------------------------------------------------------------------------------


def _raise_scores(
    results: Sequence[RecognizerResult],
    artifacts: Artifacts,
    by_id: dict[str, EntityRecognizer],
    enhancer: LemmaContextAwareEnhancer,
) -> None:
    """What LemmaContextAwareEnhancer does, with a search for the token of a match in place of a walk to it."""
    for result in results:
        recognizer = by_id[result.recognition_metadata[_ID]]
        if not recognizer.context or result.recognition_metadata.get(_RAISED):
            continue
        around = _around(artifacts.words, result.start, enhancer)
        if enhancer._find_supportive_word_in_context(around, recognizer.context, enhancer.context_matching_mode):  # noqa: SLF001
            raised = max(result.score + enhancer.context_similarity_factor, enhancer.min_score_with_context_similarity)
            result.score = min(raised, enhancer.MAX_SCORE)


def _around(words: Words, start: int, enhancer: LemmaContextAwareEnhancer) -> list[str]:
    at = bisect_right(words.ends, start)
    return [
        *_nearest(words, range(at, -1, -1), enhancer.context_prefix_count + 1),
        *_nearest(words, range(at, len(words.ends)), enhancer.context_suffix_count + 1),
    ]


def _nearest(words: Words, places: Iterable[int], most: int) -> list[str]:
    lemmas = (words.lowered[place] for place in places)
    return list(itertools.islice((lemma for lemma in lemmas if lemma in words.keywords), most))


def _result(recognizer: Any, start: int, end: int, score: float) -> RecognizerResult:
    entity = recognizer.supported_entities[0]
    return RecognizerResult(entity, start, end, score, recognition_metadata=_made_by(recognizer))


def _made_by(recognizer: Any) -> dict[str, str]:
    return {RecognizerResult.RECOGNIZER_NAME_KEY: recognizer.name, _ID: recognizer.id}
