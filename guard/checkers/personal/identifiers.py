"""The table of numbers and codes that identify a person or an account: forms, check digits and the words that name them.

A number of nine or ten digits with one check digit passes by chance in one case of ten, so such kinds count only beside a word
that names them (alone = bare = 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guard.checkers.personal import checksums as check
from guard.checkers.personal import national as nation
from guard.checkers.personal import wallets
from guard.checkers.personal.context import Words

Validator = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of identifier.

    `form` is, for numbers, shapes of digit groups ("9 3-2-4": nine digits, or three groups); for codes, an expression in the
    syntax that RE2 and `re` share, over a shadow, where case does not count. The score is `alone` in its usual written form,
    `bare` as digits without separators, `near` beside one of the words of `context`; 0 means: not enough to say anything.
    `drop` is taken out before validation, and the rest turned to upper case unless it is `cased`. `gate`, where given, is a cheaper sign that the form may be there.
    """

    category: str
    form: str
    valid: Validator
    context: str
    alone: float = 0.0
    bare: float = 0.0
    near: float = 0.95
    drop: bytes = b" .()-+/\n\r\t\x1f"
    gate: str = ""
    cased: bool = False

    @property
    def words(self) -> Words:
        """The context words."""
        return Words(self.context.split("|"))


NUMBERS = (
    Kind("CREDIT_CARD", "14 15 16 4-4-4-4 4-6-5 4-6-4 8-8 1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1 2-2-2-2-2-2-2-2", check.card,
         "card|credit|debit|visa|mastercard|amex|american express|maestro|cvc|cvv|karte|carte|tarjeta|payment", 0.95, 0.9, 1.0),
    Kind("CREDIT_CARD", "12 13 17 18 19 4-4-4-4-3 4-4-4-1 4-4-5 4-4-4 6-13", check.card,
         "card|credit|debit|visa|mastercard|amex|maestro|unionpay|cvc|cvv|karte|carte|tarjeta"),
    Kind("US_SSN", "9 3-2-4", nation.ssn, "ssn|social security|social sec|soc sec|tax id", 0.85),
    Kind("US_SSN", "3-6 5-4", nation.ssn, "ssn|social security|social sec|soc sec"),
    Kind("US_ITIN", "9 3-2-4", nation.itin, "itin|taxpayer|tax id|individual taxpayer", 0.85),
    Kind("ABA_ROUTING_NUMBER", "9 4-4-1", check.aba, "aba|routing|rtn|wire|bank"),
    Kind("US_BANK_NUMBER", "8 9 10 11 12 13 14 15 16 17", check.anything,
         "account number|account no|account #|acct|bank account|checking account|savings account|bank acc", near=0.6),
    Kind("US_PASSPORT", "9", check.anything, "us passport|u.s. passport|american passport|passport", near=0.7),
    Kind("US_DRIVER_LICENSE", "7 8 9", check.anything,
         "driver license|drivers license|driver's license|driver\u2019s license|driver licence|dl number|dl no|dl#", near=0.65),
    Kind("US_NPI", "10", nation.npi, "npi|national provider|provider"),
    Kind("UK_NHS", "10 3-3-4", nation.nhs, "nhs|national health|health service"),
    Kind("UK_UTR", "10 5-5", nation.utr, "utr|unique taxpayer|self assessment"),
    Kind("UK_PASSPORT", "9", check.anything, "uk passport|british passport|gb passport", near=0.75),
    Kind("NL_BSN", "9 8 3-3-3 4-2-3", nation.bsn, "bsn|burgerservicenummer|sofi|sofinummer|citizen service"),
    Kind("DE_TAX_ID", "11 2-3-3-3", nation.steuer_id, "steuer|tin|tax|idnr|identifikationsnummer", 0.7),
    Kind("AT_SSN", "10 4-6", nation.austrian, "svnr|sozialversicherung|versicherungsnummer|austria|\u00f6sterreich|social security"),
    Kind("FR_NIR", "15 13-2 1-2-2-2-3-3-2", nation.nir,
         "nir|insee|s\u00e9curit\u00e9 sociale|securite sociale|vitale", 0.95, 0.8),
    Kind("FR_TAX_ID", "13 2-2-3-3-3", nation.spi, "num\u00e9ro fiscal|numero fiscal|spi|imp\u00f4ts|impots|fiscal", 0.7),
    Kind("PL_PESEL", "11", nation.pesel, "pesel"),
    Kind("BR_CPF", "11 3-3-3-2 9-2", nation.cpf, "cpf|cadastro", 0.9),
    Kind("BR_CNPJ", "14 2-3-3-4-2", nation.cnpj, "cnpj|cadastro", 0.9, 0.6),
    Kind("CA_SIN", "9 3-3-3", nation.sin, "sin|social insurance|nas"),
    Kind("AU_TFN", "9 8 3-3-3 2-3-3", nation.tfn, "tfn|tax file"),
    Kind("AU_ABN", "11 2-3-3-3", nation.abn, "abn|australian business", 0.6),
    Kind("AU_ACN", "9 3-3-3", nation.acn, "acn|australian company"),
    Kind("AU_MEDICARE", "10 4-5-1", nation.medicare, "medicare"),
    Kind("IN_AADHAAR", "12 4-4-4", nation.aadhaar, "aadhaar|aadhar|uidai|uid", 0.6),
    Kind("ZA_ID_NUMBER", "13 6-4-3 6-4-2-1", nation.south_african, "south africa|identity|id number|rsa", 0.7, 0.5),
    Kind("CH_AHV", "13 3-4-4-2", nation.swiss, "ahv|avs|sozialversicherung|old-age", 0.95, 0.9),
    Kind("BE_NATIONAL_NUMBER", "11 2-2-2-3-2 6-3-2", nation.belgian, "rijksregister|registre national|insz|niss|belg", 0.9),
    Kind("SE_PERSONNUMMER", "6-4 8-4", nation.personnummer, "personnummer|samordningsnummer|personal number|swed", 0.7),
    Kind("SE_PERSONNUMMER", "10 12", nation.personnummer, "personnummer|samordningsnummer|personal number|swed"),
    Kind("NO_FNR", "11 6-5", nation.fodselsnummer, "f\u00f8dselsnummer|fodselsnummer|d-nummer|personnummer|norw", 0.7),
    Kind("DK_CPR", "10 6-4", nation.cpr, "cpr|personnummer"),
    Kind("PT_NIF", "9 3-3-3", nation.portuguese, "nif|contribuinte|fiscal"),
    Kind("RO_CNP", "13", nation.cnp, "cnp|cod numeric", 0.0, 0.5),
    Kind("BG_EGN", "10", nation.egn, "egn|\u0435\u0433\u043d"),
    Kind("CZ_RODNE_CISLO", "10 6-4", nation.rodne_cislo, "rodn\u00e9|rodne|birth number|r\u010d"),
    Kind("HR_OIB", "11", check.mod_11_10, "oib|osobni"),
    Kind("HU_TAJ", "9 3-3-3", nation.taj, "taj|t\u00e1rsadalombiztos\u00edt\u00e1si"),
    Kind("HU_TAX_ID", "10", nation.adoazonosito, "ad\u00f3azonos\u00edt\u00f3|adoazonosito|ad\u00f3sz\u00e1m|hungar"),
    Kind("LV_PERSONAS_KODS", "11 6-5", nation.latvian, "personas kods|latvia"),
    Kind("LU_MATRICULE", "13 8-5 4-2-2-5 4-2-2-3-2", nation.matricule, "matricule|luxemb|cns", 0.9, 0.6),
    Kind("SI_EMSO", "13", nation.emso, "em\u0161o|emso|mati\u010dna \u0161tevilka|slovenia", 0.0, 0.5),
    Kind("TR_NATIONAL_ID", "11", nation.turkish, "tckn|t.c.|kimlik|turk"),
    Kind("AR_CUIT", "11 2-8-1", nation.cuit, "cuit|cuil", 0.85),
    Kind("JP_MY_NUMBER", "12 4-4-4", nation.my_number, "my number|mynumber|\u30de\u30a4\u30ca\u30f3\u30d0\u30fc"),
    Kind("TH_TNIN", "13 1-4-5-2-1", nation.thai, "thai|\u0e1b\u0e23\u0e30\u0e0a\u0e32\u0e0a\u0e19", 0.85),
    Kind("KR_RRN", "13 6-7", nation.rrn, "rrn|resident registration|korea|\uc8fc\ubbfc", 0.7),
    Kind("IL_ID", "9", nation.israeli, "teudat|israel|\u05ea\u05e2\u05d5\u05d3\u05ea"),
    Kind("EE_IK", "11", nation.baltic, "isikukood|eston"),
    Kind("LT_AK", "11", nation.baltic, "asmens kodas|lithuan"),
    Kind("GR_AMKA", "11", nation.amka, "amka|\u03b1\u03bc\u03ba\u03b1"),
    Kind("GR_TIN", "9", nation.afm, "afm|\u03b1\u03c6\u03bc|greek tax|vat"),
    Kind("NZ_IRD", "8 9 2-3-3 3-3-3", nation.ird, "ird|inland revenue"),
    Kind("NG_NIN", "11", nation.nin, "nin|nimc|national identification number|nigeria"),
)  # fmt: skip


_BASE58 = "1-9A-HJ-NP-Za-km-z"
_GERMAN = "CFGHJKLMNPRTVWXYZ"
_MBI = "AC-HJKMNP-RT-Y"
CODES = (
    Kind("FR_NIR", r"[12]\d{4}2[AB]\d{8}", nation.nir, "nir|insee|sociale", 0.95),
    Kind("ES_NIF", r"\d{8}[ -]?[A-HJ-NP-TV-Z]", nation.nif, "dni|nif|identidad|spain|spanish|espa", 0.6),
    Kind("ES_NIE", r"[XYZ][ -]?\d{7}[ -]?[A-HJ-NP-TV-Z]", nation.nif, "nie|nif|extranjero|spain|spanish|espa", 0.85),
    Kind("IT_FISCAL_CODE", r"[A-Z]{6}[0-9L-NP-V]{2}[A-EHLMPRST][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z]", nation.codice_fiscale,
         "codice|fiscale|tax", 0.95),
    Kind("IT_IDENTITY_CARD", r"[A-Z]{2} ?\d{5}[A-Z]{2}|[A-Z]{2} ?\d{7}|\d{7}[A-Z]{2}", check.anything,
         "carta d'identit\u00e0|carta di identit\u00e0|carta d'identita|carta identit\u00e0|carta identita|identity card|cie", near=0.7),
    Kind("IT_PASSPORT", r"[A-Z]{2}\d{7}", check.anything, "passaporto|italian passport", near=0.75),
    Kind("IT_DRIVER_LICENSE", r"[A-Z]{2}\d{7}[A-Z]|U1[A-Z0-9]{7}[A-Z]", check.anything, "patente|italian driving", near=0.7),
    Kind("FI_PERSONAL_IDENTITY_CODE", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", nation.hetu,
         "hetu|henkil\u00f6tunnus|finn", 0.9, drop=b""),
    Kind("IE_PPS", r"\d{7}[ ]?[A-W][A-IW]?", nation.pps, "pps|ppsn|public service", 0.6),
    Kind("CN_RESIDENT_ID", r"[1-9]\d{16}[0-9X]", nation.chinese, "resident|chin|\u8eab\u4efd\u8bc1", 0.9),
    Kind("SG_NRIC_FIN", r"[STFGM]\d{7}[A-Z]", nation.singaporean, "nric|fin|singapore", 0.85),
    Kind("MX_CURP", r"[A-Z]{4}\d{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[0-9A-Z]\d", nation.curp, "curp", 0.95),
    Kind("MX_RFC", r"[A-Z&]{4}[ -]?\d{6}[ -]?[0-9A-Z]{2}[0-9A]", nation.rfc, "rfc|registro federal", 0.85),
    Kind("CL_RUT", r"\d{1,2}\.?\d{3}\.?\d{3}-[0-9K]", nation.rut, "rut|rol|chile", 0.6),
    Kind("HK_ID", r"[A-Z]{1,2}\d{6} ?\([0-9A]\)", nation.hong_kong, "hkid|hong kong|identity", 0.85),
    Kind("SE_PERSONNUMMER", r"\d{6}\+\d{4}", nation.personnummer, "personnummer|swed", 0.7),
    Kind("CY_TIC", r"\d{8}[A-Z]", nation.cypriot, "tic|cyprus|cypriot|\u03b1\u03c6\u03c4"),
    Kind("MT_ID", r"\d{6,7}[MGAPLHBZ]", check.anything, "malta|maltese|identity card|id card", near=0.7),
    Kind("IN_PAN", r"[A-Z]{3}[ABCFGHLJPTK][A-Z]\d{4}[A-Z]", check.anything, "pan|permanent account|income tax", 0.7),
    Kind("IN_GSTIN", r"\d{2}[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z[0-9A-Z]", nation.gstin, "gst|gstin", 0.95),
    Kind("IN_VOTER", r"[A-Z]{3}\d{7}", check.anything, "voter|epic|election", near=0.75),
    Kind("IN_PASSPORT", r"[A-PR-WY][1-9]\d ?\d{4}[1-9]", check.anything, "indian passport|india passport|passport", near=0.65),
    Kind("DE_ID_CARD", rf"[LMNPRTVWXYZ][0-9{_GERMAN}]{{8}}\d?", nation.german_card,
         "personalausweis|ausweis|identity card|id card", near=0.7),
    Kind("DE_PASSPORT", rf"[CFGHJK][0-9{_GERMAN}]{{8}}\d?", nation.german_card, "reisepass|passnummer|german passport", near=0.75),
    Kind("DE_SOCIAL_SECURITY", r"\d{2}[ -]?[0-7]\d[01]\d\d{2}[ -]?[A-Z][ -]?\d{2}[ -]?\d", nation.versicherungsnummer,
         "rentenversicherung|sozialversicherung|versicherungsnummer|rvnr|svnr", 0.8),
    Kind("UK_NINO", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[A-D]", nation.nino,
         "nino|ni number|national insurance|ni no|insurance number", 0.75),
    Kind("UK_DRIVING_LICENCE", r"[A-Z9]{5}[ -]?\d[0156]\d[0-3]\d\d[ -]?[A-Z9]{2}[0-9A-Z][A-Z]{2}", nation.driving_licence,
         "driving|licence|dvla", 0.8),
    Kind("UK_PASSPORT", r"[A-Z]{2}\d{7}", check.anything, "uk passport|british passport|passport", near=0.6),
    Kind("US_PASSPORT", r"[A-Z]\d{8}", check.anything, "passport", near=0.7),
    Kind("US_DRIVER_LICENSE", r"[A-Z]{1,2}[ -]?\d{3,4}[ -]?\d{3,4}(?:[ -]?\d{3,6})?", check.anything,
         "driver license|drivers license|driver's license|driver\u2019s license|driver licence|dl number|dl no|dl#", near=0.65),
    Kind("US_MBI", rf"[1-9][{_MBI}][{_MBI}0-9]\d-?[{_MBI}][{_MBI}0-9]\d-?[{_MBI}]{{2}}\d{{2}}", check.anything,
         "medicare|mbi|beneficiary", 0.8),
    Kind("MEDICAL_LICENSE", r"[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}", nation.dea, "dea|medical license|medical licence|prescriber", 0.6),
    Kind("CRYPTO", rf"[13][{_BASE58}]{{25,34}}|(?:bc|tb)1[ac-hj-np-z02-9]{{11,87}}", wallets.bitcoin,
         "bitcoin|btc|wallet|crypto", 1.0, drop=b"", cased=True, gate=rf"[13][{_BASE58}]{{25}}|(?:bc|tb)1[ac-hj-np-z02-9]{{11}}"),
    Kind("CRYPTO", r"0x[0-9A-F]{40}", check.anything, "ethereum|eth|wallet|crypto", 0.9, drop=b""),
    Kind("MAC_ADDRESS", r"[0-9A-F]{2}(?:[:-][0-9A-F]{2}){5}|[0-9A-F]{4}\.[0-9A-F]{4}\.[0-9A-F]{4}", check.hardware,
         "mac|hardware|ethernet|bssid", 0.8, drop=b""),
    Kind("URL_CREDENTIALS", r"[A-Z][A-Z0-9+.-]{1,20}://[^ \t\r\n/?#@:\"'<>]{1,64}:[^ \t\r\n/?#@\"'<>]{1,128}@[0-9A-Z_.-]{1,128}(?::\d{1,5})?",
         check.anything, "", 1.0, drop=b"", gate=r"[A-Z][A-Z0-9+.-]{1,20}://[^ \t\r\n/?#@:]+:"),
)  # fmt: skip

IBAN = "IBAN_CODE"
IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ XK LT LU MN", 21: "HR LV LI CH",
        22: "BH BG CR GE DE IE ME RS GB VA", 23: "TL GI IL IQ OM SO AE", 24: "AD CZ MD PK RO SA SK ES SE TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW YE MU", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
CATEGORIES = frozenset(kind.category for kind in (*NUMBERS, *CODES)) | {IBAN, "DATE_OF_BIRTH", "IP_ADDRESS"}
