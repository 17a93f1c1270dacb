"""Numbers and codes that identify a person or an account, recognised by shape, check digits and the words around them.

A number of nine or ten digits with one check digit passes by chance in one case of ten, so such kinds count only beside a word
that names them ("needs context" in the table: alone = bare = 0). Everything runs in one pass over the digit groups of a text,
in time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from guard.checkers import checksums as check

Validator = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of identifier.

    `form` is either shapes of digit groups ("9 3-2-4": nine digits, or three groups) or, for codes with letters, an expression.
    The score is `alone` in its usual written form, `bare` as digits without separators, `near` beside one of the words of
    `context`; 0 means: not enough to say anything.
    """

    category: str
    form: str
    valid: Validator
    context: str
    alone: float = 0.0
    bare: float = 0.0
    near: float = 0.95
    drop: Mapping[int, None] = field(default_factory=lambda: dict.fromkeys(map(ord, " .()-+")))  # before validation


@dataclass(frozen=True, slots=True)
class Hit:
    """A stretch that has the form and the check digits of a kind."""

    kind: Kind
    start: int
    end: int
    separated: bool


NUMBERS = (
    Kind("CREDIT_CARD", "14 15 16 4-4-4-4 4-6-5 4-6-4 8-8 1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", check.card,
         "card|credit|debit|visa|mastercard|amex|american express|maestro|cvc|cvv|karte|carte|tarjeta|payment", 0.95, 0.9, 1.0),
    Kind("CREDIT_CARD", "12 13 17 18 19 4-4-4-4-3 4-4-4-1 4-4-5 4-4-4 6-13", check.card,
         "card|credit|debit|visa|mastercard|amex|maestro|unionpay|cvc|cvv|karte|carte|tarjeta"),
    Kind("US_SSN", "9 3-2-4", check.ssn, "ssn|social security|social sec|soc sec|itin|tax id", 0.85, 0.0),
    Kind("ABA_ROUTING_NUMBER", "9 4-4-1", check.aba, "aba|routing|rtn|wire|bank"),
    Kind("US_NPI", "10", check.npi, "npi|national provider|provider"),
    Kind("UK_NHS", "10 3-3-4", check.nhs, "nhs|national health|health service"),
    Kind("NL_BSN", "9 8 3-3-3 4-2-3", check.bsn, "bsn|burgerservicenummer|sofi|sofinummer|citizen service"),
    Kind("DE_TAX_ID", "11 2-3-3-3", check.steuer_id, "steuer|tin|tax|idnr|identifikationsnummer", 0.7, 0.0),
    Kind("FR_NIR", "15 13-2 1-2-2-2-3-3-2", check.nir,
         "nir|insee|s\u00e9curit\u00e9 sociale|securite sociale|vitale", 0.95, 0.8),
    Kind("PL_PESEL", "11", check.pesel, "pesel"),
    Kind("BR_CPF", "11 3-3-3-2", check.cpf, "cpf|cadastro", 0.9, 0.0),
    Kind("BR_CNPJ", "14 2-3-3-4-2", check.cnpj, "cnpj|cadastro", 0.9, 0.6),
    Kind("CA_SIN", "9 3-3-3", check.sin, "sin|social insurance|nas"),
    Kind("AU_TFN", "9 8 3-3-3 2-3-3", check.tfn, "tfn|tax file"),
    Kind("AU_ABN", "11 2-3-3-3", check.abn, "abn|australian business", 0.6, 0.0),
    Kind("IN_AADHAAR", "12 4-4-4", check.aadhaar, "aadhaar|aadhar|uidai|uid", 0.6, 0.0),
    Kind("ZA_ID_NUMBER", "13 6-4-3 6-4-2-1", check.south_african, "south africa|identity|id number|rsa", 0.7, 0.5),
    Kind("CH_AHV", "13 3-4-4-2", check.ean, "ahv|avs|sozialversicherung|old-age", 0.95, 0.9),
    Kind("BE_NATIONAL_NUMBER", "11 2-2-2-3-2 6-3-2", check.belgian, "rijksregister|registre national|insz|niss|belg", 0.9, 0.0),
    Kind("SE_PERSONNUMMER", "6-4 8-4", check.personnummer, "personnummer|samordningsnummer|personal number|swed", 0.7, 0.0),
    Kind("SE_PERSONNUMMER", "10 12", check.personnummer, "personnummer|samordningsnummer|personal number|swed"),
    Kind("NO_FNR", "11 6-5", check.fodselsnummer, "f\u00f8dselsnummer|fodselsnummer|d-nummer|personnummer|norw", 0.7, 0.0),
    Kind("DK_CPR", "10 6-4", check.cpr, "cpr|personnummer"),
    Kind("PT_NIF", "9 3-3-3", check.portuguese, "nif|contribuinte|fiscal"),
    Kind("RO_CNP", "13", check.cnp, "cnp|cod numeric", 0.0, 0.5),
    Kind("BG_EGN", "10", check.egn, "egn|\u0435\u0433\u043d"),
    Kind("CZ_RODNE_CISLO", "10 6-4", check.rodne_cislo, "rodn\u00e9|rodne|birth number|r\u010d"),
    Kind("HR_OIB", "11", check.mod_11_10, "oib|osobni"),
    Kind("TR_NATIONAL_ID", "11", check.turkish, "tckn|t.c.|kimlik|turk"),
    Kind("AR_CUIT", "11 2-8-1", check.cuit, "cuit|cuil", 0.85, 0.0),
    Kind("JP_MY_NUMBER", "12 4-4-4", check.my_number, "my number|mynumber|\u30de\u30a4\u30ca\u30f3\u30d0\u30fc"),
    Kind("TH_TNIN", "13 1-4-5-2-1", check.thai, "thai|\u0e1b\u0e23\u0e30\u0e0a\u0e32\u0e0a\u0e19", 0.85, 0.0),
    Kind("KR_RRN", "13 6-7", check.rrn, "rrn|resident registration|korea|\uc8fc\ubbfc", 0.7, 0.0),
    Kind("IL_ID", "9", check.israeli, "teudat|israel|\u05ea\u05e2\u05d5\u05d3\u05ea"),
    Kind("EE_IK", "11", check.baltic, "isikukood|eston"),
    Kind("LT_AK", "11", check.baltic, "asmens kodas|lithuan"),
    Kind("GR_AMKA", "11", check.amka, "amka|\u03b1\u03bc\u03ba\u03b1"),
    Kind("NZ_IRD", "8 9 2-3-3 3-3-3", check.ird, "ird|inland revenue"),
)  # fmt: skip

CODES = (
    Kind("FR_NIR", r"[12]\d{4}2[AB]\d{8}", check.nir, "nir|insee|sociale", 0.95),
    Kind("ES_NIF", r"\d{8}[ -]?[A-HJ-NP-TV-Z]", check.nif, "dni|nif|identidad|spain|spanish|espa", 0.6),
    Kind("ES_NIE", r"[XYZ][ -]?\d{7}[ -]?[A-HJ-NP-TV-Z]", check.nif, "nie|nif|extranjero|spain|spanish|espa", 0.85),
    Kind("IT_FISCAL_CODE", r"[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPRST][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z]", check.codice_fiscale,
         "codice|fiscale|tax", 0.95),
    Kind("FI_PERSONAL_IDENTITY_CODE", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", check.hetu,
         "hetu|henkil\u00f6tunnus|finn", 0.9, drop={}),
    Kind("IE_PPS", r"\d{7}[ ]?[A-W][A-IW]?", check.pps, "pps|ppsn|public service", 0.6),
    Kind("CN_RESIDENT_ID", r"[1-9]\d{16}[0-9X]", check.chinese, "resident|chin|\u8eab\u4efd\u8bc1", 0.9),
    Kind("SG_NRIC_FIN", r"[STFGM]\d{7}[A-Z]", check.singaporean, "nric|fin|singapore", 0.85),
    Kind("MX_CURP", r"[A-Z]{4}\d{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[0-9A-Z]\d", check.curp, "curp", 0.95),
    Kind("CL_RUT", r"\d{1,2}\.?\d{3}\.?\d{3}-[0-9K]", check.rut, "rut|rol|chile", 0.6),
    Kind("HK_ID", r"[A-Z]{1,2}\d{6} ?\([0-9A]\)", check.hong_kong, "hkid|hong kong|identity", 0.85),
    Kind("SE_PERSONNUMMER", r"\d{6}\+\d{4}", check.personnummer, "personnummer|swed", 0.7),
)  # fmt: skip

IBAN = Kind("IBAN_CODE", "IBAN", check.mod_97, "iban|account|konto|compte|cuenta|bank", 0.95, 0.95, 1.0)
_IBAN_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ XK LT LU MN", 21: "HR LV LI CH",
    22: "BH BG CR GE DE IE ME RS GB VA", 23: "TL GI IL IQ OM SO AE", 24: "AD CZ MD PK RO SA SK ES SE TN VG", 25: "LY PT ST",
    26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW YE MU",
    31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
CATEGORIES = frozenset(kind.category for kind in (*NUMBERS, *CODES, IBAN))

_GROUPS = re.compile(r"\d+")
_SEPARATORS = frozenset((" ", "-", ".", "/", " - ", ". ", "  "))
_IBAN_START = re.compile(r"(?<![^\W_])[A-Z]{2}\d{2}(?=[ -]?[A-Z0-9])", re.IGNORECASE)
_MOST_GROUPS = 16


class Finder:
    """Finds the wanted kinds in plain (folded) text."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._iban = IBAN.category in wanted
        self._shapes = _by_shape([kind for kind in NUMBERS if kind.category in wanted])
        self._codes = [
            (kind, re.compile(rf"(?<![^\W_])(?:{kind.form})(?![^\W_])", re.IGNORECASE))
            for kind in CODES
            if kind.category in wanted
        ]

    def hits(self, text: str) -> Iterator[Hit]:
        """Every stretch that has the form and check digits of a wanted kind, overlaps included."""
        if _GROUPS.search(text) is None:
            return
        yield from self._numbers(text)
        for kind, expression in self._codes:
            for match in expression.finditer(text):
                if kind.valid(match.group().translate(kind.drop).upper()):
                    yield Hit(kind, match.start(), match.end(), separated=True)
        if self._iban:
            yield from _ibans(text)

    def _numbers(self, text: str) -> Iterator[Hit]:
        run: list[tuple[int, int]] = []
        for match in _GROUPS.finditer(text):
            if run and text[run[-1][1] : match.start()] not in _SEPARATORS:
                yield from self._in_run(text, run)
                run = []
            run.append(match.span())
        yield from self._in_run(text, run)

    def _in_run(self, text: str, run: Sequence[tuple[int, int]]) -> Iterator[Hit]:
        for first in range(len(run)):
            lengths: tuple[int, ...] = ()
            for start, end in run[first : first + _MOST_GROUPS]:
                lengths += (end - start,)
                for kind in self._shapes.get(lengths, ()):
                    place = (run[first][0], end)
                    digits = "".join(text[left:right] for left, right in run[first : first + len(lengths)])
                    if _stands_alone(text, *place, kind) and kind.valid(digits):
                        yield Hit(kind, *place, separated=len(lengths) > 1)


def _stands_alone(text: str, start: int, end: int, kind: Kind) -> bool:
    """Letters may touch a card number ("CC4111…"); other kinds stand apart from letters."""
    if kind.category == "CREDIT_CARD":
        return True
    return not (text[start - 1 : start].isalpha() or text[end : end + 1].isalpha())


def _by_shape(kinds: Sequence[Kind]) -> Mapping[tuple[int, ...], list[Kind]]:
    shapes: dict[tuple[int, ...], list[Kind]] = {}
    for kind in kinds:
        for shape in kind.form.split():
            shapes.setdefault(tuple(map(int, shape.split("-"))), []).append(kind)
    return shapes


def _ibans(text: str) -> Iterator[Hit]:
    lengths = {country: length for length, countries in _IBAN_LENGTHS.items() for country in countries.split()}
    for match in _IBAN_START.finditer(text):
        wanted = lengths.get(match.group()[:2].upper())
        if wanted is None:
            continue
        compact, end = "", match.start()
        while len(compact) < wanted and end < len(text):
            character = text[end]
            if character.isascii() and character.isalnum():
                compact += character.upper()
            elif character not in " -" or text[end - 1] in " -":
                break
            end += 1
        if len(compact) == wanted and not text[end : end + 1].isalnum() and check.mod_97(compact[4:] + compact[:4]):
            yield Hit(IBAN, match.start(), end, separated=end - match.start() > wanted)
