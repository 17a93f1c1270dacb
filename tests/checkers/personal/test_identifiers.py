"""Identifiers against python-stdnum: what it calls valid we find, what it calls invalid we do not."""

from __future__ import annotations

import importlib
import random
from functools import cache
from typing import Any

import pytest

from guard.checkers.personal import checksums, identifiers, national
from guard.checkers.personal.native import Native

# category, stdnum module, a form to draw from (9 a digit, A a letter, or a choice in brackets)
ORACLES = [
    ("US_SSN", "us.ssn", "999999999", national.ssn),
    ("ABA_ROUTING_NUMBER", "us.rtn", "[0123]99999999", checksums.aba),
    ("UK_NHS", "gb.nhs", "9999999999", national.nhs),
    ("NL_BSN", "nl.bsn", "999999999", national.bsn),
    ("DE_TAX_ID", "de.idnr", "99999999999", national.steuer_id),
    ("FR_NIR", "fr.nir", "[12]99[01]99999999999", national.nir),
    ("PL_PESEL", "pl.pesel", "99[0123]9[012]999999", national.pesel),
    ("BR_CPF", "br.cpf", "99999999999", national.cpf),
    ("BR_CNPJ", "br.cnpj", "99999999000199", national.cnpj),
    ("CA_SIN", "ca.sin", "999999999", national.sin),
    ("AU_TFN", "au.tfn", "999999999", national.tfn),
    ("AU_ABN", "au.abn", "99999999999", national.abn),
    ("IN_AADHAAR", "in_.aadhaar", "999999999999", national.aadhaar),
    ("ZA_ID_NUMBER", "za.idnr", "99[01]9[012]99999[01]99", national.south_african),
    ("CH_AHV", "ch.ssn", "7569999999999", national.swiss),
    ("BE_NATIONAL_NUMBER", "be.nn", "99[01]9[012]999999", national.belgian),
    ("SE_PERSONNUMMER", "se.personnummer", "99[01]9[012]99999", national.personnummer),
    ("NO_FNR", "no.fodselsnummer", "[012]9[01]99999999", national.fodselsnummer),
    ("PT_NIF", "pt.nif", "999999999", national.portuguese),
    ("RO_CNP", "ro.cnp", "[12]99[01]9[012]9[0123]99999", national.cnp),
    ("BG_EGN", "bg.egn", "99[01]9[012]99999", national.egn),
    ("CZ_RODNE_CISLO", "cz.rc", "[789]9[01]9[012]99999", national.rodne_cislo),
    ("HR_OIB", "hr.oib", "99999999999", checksums.mod_11_10),
    ("TR_NATIONAL_ID", "tr.tckimlik", "99999999999", national.turkish),
    ("AR_CUIT", "ar.cuit", "20999999999", national.cuit),
    ("JP_MY_NUMBER", "jp.in_", "999999999999", national.my_number),
    ("TH_TNIN", "th.pin", "9999999999999", national.thai),
    ("IL_ID", "il.idnr", "999999999", national.israeli),
    ("EE_IK", "ee.ik", "[3456]99[01]9[012]99999", national.baltic),
    ("GR_AMKA", "gr.amka", "[012]9[01]99999999", national.amka),
    ("NZ_IRD", "nz.ird", "[1]99999999", national.ird),
    ("ES_NIF", "es.dni", "99999999A", national.nif),
    ("ES_NIE", "es.nie", "[XYZ]9999999A", national.nif),
    ("IE_PPS", "ie.pps", "9999999A", national.pps),
    ("CN_RESIDENT_ID", "cn.ric", "11010119[789]9[01]9[012]99999", national.chinese),
    ("CL_RUT", "cl.rut", "99999999", national.rut),
    ("FI_PERSONAL_IDENTITY_CODE", "fi.hetu", "[012]9[01]9[56789]9-999A", national.hetu),
    ("US_ITIN", "us.itin", "[9]99[789]99999", national.itin),
    ("UK_UTR", "gb.utr", "9999999999", national.utr),
    ("AT_SSN", "at.vnr", "9999[012]9[01]999", national.austrian),
    ("FR_TAX_ID", "fr.nif", "[0123]999999999[01234]99", national.spi),
    ("GR_TIN", "gr.vat", "999999999", national.afm),
    ("LV_PERSONAS_KODS", "lv.pvn", "[012]9[01]999[012]9999", national.latvian),
    ("SI_EMSO", "si.emso", "[012]9[01]9[9]99999999", national.emso),
    ("AU_ACN", "au.acn", "999999999", national.acn),
    ("CY_TIC", "cy.vat", "99999999A", national.cypriot),
    ("IN_GSTIN", "in_.gstin", "[012]9AAA[ABCFGHJLPT]A9999A1ZA", national.gstin),
    ("MX_RFC", "mx.rfc", "AAAA99[01]9[012]9AA[0123456789A]", national.rfc),
    ("MX_CURP", "mx.curp", "A[AEIOU]AA99[01]9[012]9[HM][D][F][BCD][FGH][JKL][0AB]9", national.curp),
    ("IT_FISCAL_CODE", "it.codicefiscale", "AAAAAA99[ABCDEHLMPRST][0123]9A999A", national.codice_fiscale),
    ("LT_AK", "lt.asmens", "[3456]99[01]9[012]99999", national.baltic),
    ("IN_PAN", "in_.pan", "AAA[ABCFGHJLPT]A9999A", checksums.anything),
]


def draw(form: str, random_: random.Random) -> str:
    out, rest = "", form
    while rest:
        if rest[0] == "[" and "]" in rest:
            choice, rest = rest[1:].split("]", 1)
            out += random_.choice(choice)
            continue
        out += (
            str(random_.randint(0, 9))
            if rest[0] == "9"
            else random_.choice("ABCDEFGHJKLMNPQRSTUVWXYZ")
            if rest[0] == "A"
            else rest[0]
        )
        rest = rest[1:]
    return out


# We know more than the oracle (unused prefixes and centuries), or less (dates to come, stand-in numbers).
STRICTER = {"ABA_ROUTING_NUMBER", "CN_RESIDENT_ID", "FR_NIR", "MX_RFC"}
UNCHECKED = {"US_SSN", "US_ITIN", "IN_PAN"}  # schemes without a check digit
LAXER = {
    "BE_NATIONAL_NUMBER",
    "FI_PERSONAL_IDENTITY_CODE",
    "PL_PESEL",
    "RO_CNP",
    "SE_PERSONNUMMER",
    "NO_FNR",
    "AU_ABN",
    "EE_IK",
    "ZA_ID_NUMBER",
}


@pytest.mark.parametrize(("category", "module", "form", "check"), ORACLES, ids=[row[0] for row in ORACLES])
def test_agrees_with_the_oracle(category: str, module: str, form: str, check: Any) -> None:
    oracle = importlib.import_module(f"stdnum.{module}")
    random_ = random.Random(category)
    drawn: list[str] = []
    valid: set[str] = set()
    while len(valid) <= 10 and len(drawn) < 40_000:
        more = [draw(form, random_) for _ in range(4000)]
        drawn += more
        valid |= {text for text in more if oracle.is_valid(text)}
    ours = {text for text in drawn if check(text)}
    assert len(valid) > 10, "the form draws too few valid numbers to test anything"
    assert ours
    assert category in STRICTER or valid <= ours
    assert len(ours - valid) <= (len(drawn) * 0.01 if category in LAXER else 0)


@cache
def engine(category: str) -> Native:
    return Native(frozenset({category}), (), 64)


def find(text: str, category: str) -> list[str]:
    return [text[slice(*span)] for _, _, span in engine(category).matches(text)]


WORDS = {kind.category: kind.context.split("|")[0] for kind in (*identifiers.NUMBERS, *identifiers.CODES)}


@pytest.mark.parametrize(("category", "module", "form", "check"), ORACLES, ids=[row[0] for row in ORACLES])
def test_found_in_running_text_by_its_own_name(category: str, module: str, form: str, check: Any) -> None:
    oracle = importlib.import_module(f"stdnum.{module}")
    random_ = random.Random(category)
    drawn = (draw(form, random_) for _ in range(4000))
    valid = [text for text in drawn if oracle.is_valid(text) and check(text)][:20]
    for number in valid:
        written = f"{number[:-1]}-{number[-1]}" if category == "CL_RUT" else number
        assert find(f"His {WORDS[category]}, {written}, was noted.", category) == [written]
        assert find(f"{WORDS[category]} x{written}" if category != "CN_RESIDENT_ID" else f"7{written}", category) == []


@pytest.mark.parametrize(("category", "module", "form", "check"), ORACLES, ids=[row[0] for row in ORACLES])
def test_one_wrong_digit_is_noticed(category: str, module: str, form: str, check: Any) -> None:
    """Check digits exist to notice a slip; only schemes without one may miss it."""
    random_ = random.Random(category)
    valid = [text for text in (draw(form, random_) for _ in range(4000)) if check(text)][:30]
    slips = []
    for number in valid:
        place = random_.choice([index for index, character in enumerate(number) if character.isdigit()])
        wrong = random_.choice([digit for digit in "0123456789" if digit != number[place]])
        slips.append(number[:place] + wrong + number[place + 1 :])
    missed = sum(check(slip) for slip in slips)
    assert missed <= (len(slips) if category in UNCHECKED else len(slips) * 0.2)


def test_ibans_of_every_country_that_the_oracle_makes() -> None:
    from stdnum import iban

    random_ = random.Random(7)
    for country in (
        "DE",
        "GB",
        "FR",
        "NL",
        "ES",
        "IT",
        "PL",
        "CH",
        "NO",
        "BE",
        "AT",
        "SE",
        "PT",
        "IE",
        "GR",
        "BR",
        "SA",
        "TR",
    ):
        length = identifiers.IBAN_LENGTHS[country]
        body = "".join(str(random_.randint(0, 9)) for _ in range(length - 4))
        number = country + iban.calc_check_digits(f"{country}00{body}") + body
        grouped = " ".join(number[index : index + 4] for index in range(0, length, 4))
        for written in (number, grouped, number.lower(), grouped.replace(" ", "-")):
            assert find(f"Pay to {written} 2 days from now.", "IBAN_CODE") == [written]
        slip = number[:-1] + str((int(number[-1]) + 1) % 10)
        assert find(f"Pay to {slip}.", "IBAN_CODE") == []


ISSUERS = (
    "4 16|4 13|4 19|51 16|2221 16|2720 16|34 15|37 15|36 14|3528 16|6011 16|65 16|62 16|62 19|2200 16|50 12|6759 18"
)


@pytest.mark.parametrize("issuer", ISSUERS.split("|"))
def test_cards_of_every_issuer(issuer: str) -> None:
    from stdnum import luhn

    prefix, length = issuer.split(maxsplit=1)[0], int(issuer.split()[1])
    random_ = random.Random(prefix)
    body = prefix + "".join(str(random_.randint(0, 9)) for _ in range(length - len(prefix) - 1))
    number = body + luhn.calc_check_digit(body)
    assert checksums.card(number)
    assert find(f"Card {number}.", "CREDIT_CARD") == [number]
    assert not checksums.card(body + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize("number", ["0000000000000000", "1111111111111117", "2721000000000004", "9999999999999995"])
def test_luhn_alone_makes_no_card(number: str) -> None:
    assert not checksums.card(number)


def test_shapes_are_kept_apart_from_tables_of_numbers() -> None:
    assert find("10 20 30 40 50 60 70 80 90 100 110 120 130 140 150 160", "CREDIT_CARD") == []
    assert find("41111111 11111111 2 3", "CREDIT_CARD") == ["41111111 11111111"]
    assert find("411111111111111 1", "CREDIT_CARD") == []
