"""The whole of presidio: its AnalyzerEngine, with its registry and its context words, behind the engines' common interface.

`QuickAnalyzer` runs it on a blank pipeline; names come from the recognizer that the policy chooses, which is one of presidio's
recognizers here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from guard.checkers.personal.presidio import RECOGNIZERS, installed, without_models
from guard.errors import MissingExtra
from guard.types import Span

ANALYZED = RECOGNIZERS | {
    "ABA_ROUTING_NUMBER": "AbaRoutingRecognizer",
    "AU_ABN": "AuAbnRecognizer",
    "AU_ACN": "AuAcnRecognizer",
    "AU_TFN": "AuTfnRecognizer",
    "CA_SIN": "CaSinRecognizer",
    "CREDIT_CARD": "CreditCardRecognizer",
    "DATE_TIME": "DateRecognizer",
    "DE_TAX_ID": "DeTaxIdRecognizer",
    "EMAIL_ADDRESS": "EmailRecognizer",
    "ES_NIE": "EsNieRecognizer",
    "ES_NIF": "EsNifRecognizer",
    "FI_PERSONAL_IDENTITY_CODE": "FiPersonalIdentityCodeRecognizer",
    "IBAN_CODE": "IbanRecognizer",
    "IN_AADHAAR": "InAadhaarRecognizer",
    "IT_FISCAL_CODE": "ItFiscalCodeRecognizer",
    "KR_RRN": "KrRrnRecognizer",
    "PHONE_NUMBER": "PhoneRecognizer",
    "PL_PESEL": "PlPeselRecognizer",
    "SE_PERSONNUMMER": "SePersonnummerRecognizer",
    "SG_NRIC_FIN": "SgFinRecognizer",
    "TH_TNIN": "ThTninRecognizer",
    "TR_NATIONAL_ID": "TrNationalIdRecognizer",
    "UK_NHS": "NhsRecognizer",
    "URL": "UrlRecognizer",
    "US_NPI": "UsNpiRecognizer",
    "US_SSN": "UsSsnRecognizer",
    "ZA_ID_NUMBER": "ZaIdNumberRecognizer",
}
NOISY = frozenset({"DATE_TIME", "URL"})  # only where a policy names them
_LANGUAGE = "en"


class Whole:
    """Presidio's findings on the wanted entities. `limit` is the seconds that one expression may take.

    `finder` finds the entities of `named`; `heavy` where it needs torch or transformers. Raises MissingExtra without presidio.
    """

    def __init__(
        self,
        wanted: frozenset[str],
        regions: tuple[str, ...],
        limit: float,
        *,
        finder: Any = None,
        named: frozenset[str] = frozenset(),
        heavy: bool = False,
    ) -> None:
        if not installed():
            raise MissingExtra("checking for personal data with presidio", "pii")
        with without_models(not heavy):
            import presidio_analyzer.predefined_recognizers as predefined
            from presidio_analyzer import RecognizerRegistry

            from guard.checkers.personal.analyzer import QuickAnalyzer
            from guard.checkers.personal.recognizer import FinderRecognizer
            from guard.checkers.personal.words import LocalNlpEngine

            engine = LocalNlpEngine(_LANGUAGE)
        registry = RecognizerRegistry(supported_languages=[_LANGUAGE])
        for category in sorted(wanted & frozenset(ANALYZED)):
            options: dict[str, Any] = {"supported_language": _LANGUAGE}
            if category == "PHONE_NUMBER":
                options["supported_regions"] = regions
            registry.add_recognizer(getattr(predefined, ANALYZED[category])(**options))
        if finder is not None:
            registry.add_recognizer(FinderRecognizer(finder, sorted(named), "Names", _LANGUAGE))
        self._entities = sorted((wanted & frozenset(ANALYZED)) | named)
        self._analyzer = QuickAnalyzer(
            registry=registry, nlp_engine=engine, supported_languages=[_LANGUAGE], timeout=limit
        )

    def matches(self, text: str) -> Iterator[tuple[str, float, Span]]:
        """Category, score and place of every finding. Raises TimeoutError where an expression takes too long."""
        if self._entities:
            for result in self._analyzer.analyze(text, _LANGUAGE, entities=self._entities):
                yield result.entity_type, round(result.score, 4), Span(result.start, result.end)

    def pending(self, text: str) -> int:
        """All of it: presidio's expressions and context words have no bound that could be relied on."""
        return len(text)
