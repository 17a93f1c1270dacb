"""Check digits of identity, tax and health numbers, by country. Pure functions over compact strings (no separators)."""

from __future__ import annotations

from guard.checkers.personal.checksums import day, ean, icao, luhn, mod_11_2, mod_11_10, verhoeff, weighted

_ITALIAN_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21) * 2 + (2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip
# Letters that stand for digits where two people would share a code.
_ITALIAN_DIGIT = str.maketrans("LMNPQRSTUV", "0123456789")


def ssn(text: str) -> bool:
    """US social security number: blocks that are never given out, and two that advertisements made famous."""
    area, group, serial = text[:3], text[3:5], text[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000" and text not in (
        "078051120", "219099999", "123456789",
    )  # fmt: skip


def npi(text: str) -> bool:
    """US national provider identifier."""
    return text[0] in "12" and luhn("80840" + text)


def nhs(text: str) -> bool:
    """UK National Health Service number."""
    return len(set(text)) > 1 and weighted(text, (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def bsn(text: str) -> bool:
    """Dutch citizen service number."""
    padded = text.zfill(9)
    return int(padded) > 0 and (weighted(padded, (9, 8, 7, 6, 5, 4, 3, 2)) - int(padded[8])) % 11 == 0


def steuer_id(text: str) -> bool:
    """German tax identification number: one digit of the first ten comes two or three times."""
    repeats = sorted(text[:10].count(digit) for digit in set(text[:10]))
    return text[0] != "0" and repeats[-1] in (2, 3) and repeats[:-1].count(1) == len(repeats) - 1 and mod_11_10(text)


def nir(text: str) -> bool:
    """French social security number, with the letters of the two Corsican departments."""
    number = (
        text.replace("2A", "19", 1) if text[5:7] == "2A" else text.replace("2B", "18", 1) if text[5:7] == "2B" else text
    )
    month = int(number[3:5])
    usual = 1 <= month <= 12 or 20 <= month <= 42 or 50 <= month <= 99
    return number.isdecimal() and number[0] in "123478" and usual and 97 - int(number[:13]) % 97 == int(number[13:])


def nif(text: str) -> bool:
    """Spanish DNI and NIE."""
    number = str("XYZ".index(text[0])) + text[1:-1] if text[0] in "XYZ" else text[:-1]
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


def codice_fiscale(text: str) -> bool:
    """Italian tax code of a person."""
    month_and_day = text[8:11].translate(_ITALIAN_DIGIT)
    total = sum(
        int(character, 36) - (10 if character.isalpha() else 0) if index % 2 else _ITALIAN_ODD[character]
        for index, character in enumerate(text[:15])
    )
    return 1 <= int(month_and_day[1:]) % 40 <= 31 and chr(65 + total % 26) == text[15]


def pesel(text: str) -> bool:
    """Polish personal number; the century is folded into the month."""
    born = day(str(int(text[2:4]) % 20), text[4:6])
    return born and (weighted(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) + int(text[10])) % 10 == 0


def _brazilian(text: str, first: tuple[int, ...]) -> bool:
    for weights in (first, (first[0] + 1 if len(text) == 11 else 6, *first)):
        rest = weighted(text, weights) % 11
        if int(text[len(weights)]) != (0 if rest < 2 else 11 - rest):
            return False
    return len(set(text)) > 1


def cpf(text: str) -> bool:
    """Brazilian personal tax number."""
    return _brazilian(text, (10, 9, 8, 7, 6, 5, 4, 3, 2))


def cnpj(text: str) -> bool:
    """Brazilian company number."""
    return _brazilian(text, (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))


def sin(text: str) -> bool:
    """Canadian social insurance number."""
    return text[0] not in "08" and luhn(text)


def tfn(text: str) -> bool:
    """Australian tax file number."""
    weights = (1, 4, 3, 7, 5, 8, 6, 9, 10) if len(text) == 9 else (10, 7, 8, 4, 6, 3, 5, 1)
    return int(text) > 0 and weighted(text, weights) % 11 == 0


def abn(text: str) -> bool:
    """Australian business number."""
    return (
        text[0] != "0" and weighted(str(int(text[0]) - 1) + text[1:], (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) % 89 == 0
    )


def aadhaar(text: str) -> bool:
    """Indian identity number."""
    return text[0] not in "01" and text != text[::-1] and verhoeff(text)


def south_african(text: str) -> bool:
    """South African identity number."""
    return day(text[2:4], text[4:6]) and text[10] in "01" and luhn(text)


def swiss(text: str) -> bool:
    """Swiss old-age insurance number: an EAN-13 under prefix 756."""
    return text.startswith("756") and ean(text)


def belgian(text: str) -> bool:
    """Belgian national number; those born since 2000 count with a 2 in front. Stand-in numbers add 20 or 40 to the month."""
    rest = int(text[9:])
    known = int(text[2:4]) % 20 <= 12 and int(text[4:6]) <= 31
    return known and (97 - int(text[:9]) % 97 == rest or 97 - int("2" + text[:9]) % 97 == rest)


def personnummer(text: str) -> bool:
    """Swedish personal or co-ordination number."""
    short = text[-10:]
    return day(short[2:4], str(int(short[4:6]) % 60 or 99)) and luhn(short)


def hetu(text: str) -> bool:
    """Finnish personal identity code."""
    check = "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(text[:6] + text[7:10]) % 31]
    return day(text[2:4], text[:2]) and check == text[10]


def fodselsnummer(text: str) -> bool:
    """Norwegian birth number or D-number."""
    born = day(str(int(text[2:4]) % 40), str(int(text[:2]) % 40))
    first = weighted(text, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
    return born and first and weighted(text, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def cpr(text: str) -> bool:
    """Danish personal number: a date; its check digit is no longer kept."""
    return day(text[2:4], text[:2])


def portuguese(text: str) -> bool:
    """Portuguese tax number."""
    return text[0] != "0" and (11 - weighted(text, (9, 8, 7, 6, 5, 4, 3, 2)) % 11) % 11 % 10 == int(text[8])


def cnp(text: str) -> bool:
    """Romanian personal number."""
    check = weighted(text, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return text[0] != "0" and day(text[3:5], text[5:7]) and check % 10 + (check == 10) == int(text[12])


def egn(text: str) -> bool:
    """Bulgarian personal number."""
    born = day(str(int(text[2:4]) % 20), text[4:6])
    return born and weighted(text, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(text[9])


def rodne_cislo(text: str) -> bool:
    """Czech and Slovak birth number of ten digits; women add 50 to the month."""
    born = day(str(int(text[2:4]) % 50 % 20), text[4:6])
    return born and (int(text) % 11 == 0 or (int(text[:9]) % 11 == 10 and text[9] == "0"))


def pps(text: str) -> bool:
    """Irish personal public service number."""
    extra = 9 * (0 if text[8:] in ("", "W") else ord(text[8]) - 64)
    return "WABCDEFGHIJKLMNOPQRSTUV"[(weighted(text[:7], (8, 7, 6, 5, 4, 3, 2)) + extra) % 23] == text[7]


def turkish(text: str) -> bool:
    """Turkish identity number."""
    digits = [int(digit) for digit in text]
    tenth = (7 * sum(digits[:9:2]) - sum(digits[1:8:2])) % 10
    return digits[0] != 0 and tenth == digits[9] and sum(digits[:10]) % 10 == digits[10]


def chinese(text: str) -> bool:
    """Chinese resident identity number: a date, and ISO 7064, MOD 11-2."""
    return day(text[10:12], text[12:14]) and text[6:8] in ("19", "20") and mod_11_2(text)


def singaporean(text: str) -> bool:
    """Singaporean NRIC or FIN."""
    total = weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(text[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "KLJNPQRTUWX"}[
        text[0]
    ]
    return letters[10 - total % 11 if text[0] == "M" else total % 11] == text[8]


def curp(text: str) -> bool:
    """Mexican population register code."""
    alphabet = "0123456789ABCDEFGHIJKLMN\u00d1OPQRSTUVWXYZ"
    total = sum(alphabet.index(character) * (18 - index) for index, character in enumerate(text[:17]))
    return day(text[6:8], text[8:10]) and -total % 10 == int(text[17])


def rut(text: str) -> bool:
    """Chilean tax number."""
    total = sum(int(digit) * (2 + index % 6) for index, digit in enumerate(reversed(text[:-1])))
    return "0K987654321"[total % 11] == text[-1]


def cuit(text: str) -> bool:
    """Argentine tax number."""
    check = 11 - weighted(text, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    check = {10: 9, 11: 0}.get(check, check)
    return text[:2] in ("20", "23", "24", "27", "30", "33", "34") and check == int(text[10])


def my_number(text: str) -> bool:
    """Japanese individual number."""
    rest = (
        sum(int(digit) * (index + 2 if index < 6 else index - 4) for index, digit in enumerate(reversed(text[:11])))
        % 11
    )
    return len(set(text)) > 1 and (0 if rest <= 1 else 11 - rest) == int(text[11])


def thai(text: str) -> bool:
    """Thai identity number."""
    return text[0] not in "09" and (11 - weighted(text, tuple(range(13, 1, -1))) % 11) % 10 == int(text[12])


def rrn(text: str) -> bool:
    """Korean resident number: a date and a century; those given out since 2020 have no check digit."""
    return day(text[2:4], text[4:6]) and text[6] in "12345678"


def israeli(text: str) -> bool:
    """Israeli identity number."""
    return int(text) > 0 and luhn(text)


def baltic(text: str) -> bool:
    """Estonian and Lithuanian personal code."""
    rest = weighted(text, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    check = weighted(text, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10 if rest == 10 else rest
    return text[0] in "12345678" and day(text[3:5], text[5:7]) and check == int(text[10])


def amka(text: str) -> bool:
    """Greek social security number."""
    return day(text[2:4], text[:2]) and luhn(text)


def ird(text: str) -> bool:
    """New Zealand tax number."""
    padded = text.zfill(9)
    check = -weighted(padded, (3, 2, 7, 6, 5, 4, 3, 2)) % 11
    if check == 10:
        check = -weighted(padded, (7, 4, 3, 2, 5, 2, 7, 6)) % 11
    return 10_000_000 < int(text) < 150_000_000 and check == int(padded[8])


def hong_kong(text: str) -> bool:
    """Hong Kong identity card; a letter in front counts from ten, none as a space."""
    letters, digits = text[:-7], text[-7:-1]
    values = [36] * (2 - len(letters)) + [int(letter, 36) for letter in letters] + [int(digit) for digit in digits]
    total = sum(value * (9 - index) for index, value in enumerate(values))
    return (total + int(text[-1], 16)) % 11 == 0


def itin(text: str) -> bool:
    """US individual taxpayer number."""
    group = int(text[3:5])
    return text[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or group >= 94)


def dea(text: str) -> bool:
    """US drug enforcement registration of a prescriber."""
    digits = text[2:]
    return (weighted(digits, (1, 0, 1, 0, 1)) + 2 * weighted(digits, (0, 1, 0, 1, 0, 1))) % 10 == int(digits[6])


def utr(text: str) -> bool:
    """UK unique taxpayer reference; the first digit checks the others."""
    return "21987654321"[weighted(text[1:], (6, 7, 8, 9, 10, 5, 4, 3, 2)) % 11] == text[0]


def nino(text: str) -> bool:
    """UK national insurance number: pairs of letters that are never given out."""
    return text[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def driving_licence(text: str) -> bool:
    """UK driving licence: the month of birth (women add 5 to its tens) and the day."""
    return day(str(int(text[6:8]) % 50), text[8:10])


def austrian(text: str) -> bool:
    """Austrian social insurance number; its fourth digit checks the others."""
    return text[0] != "0" and weighted(text, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(text[3])


def cypriot(text: str) -> bool:
    """Cypriot tax number."""
    odd = sum((1, 0, 5, 7, 9, 13, 15, 17, 19, 21)[int(digit)] for digit in text[:8:2])
    return text[:2] != "12" and chr(65 + (odd + sum(map(int, text[1:8:2]))) % 26) == text[8]


def afm(text: str) -> bool:
    """Greek tax number."""
    return int(text) > 0 and weighted(text, (256, 128, 64, 32, 16, 8, 4, 2)) % 11 % 10 == int(text[8])


def spi(text: str) -> bool:
    """French tax number of a person."""
    return text[0] in "0123" and int(text[:10]) % 511 == int(text[10:])


def taj(text: str) -> bool:
    """Hungarian social security number."""
    return int(text) > 0 and weighted(text, (3, 7) * 4) % 10 == int(text[8])


def adoazonosito(text: str) -> bool:
    """Hungarian tax number of a person."""
    return text[0] == "8" and weighted(text, (1, 2, 3, 4, 5, 6, 7, 8, 9)) % 11 == int(text[9])


def latvian(text: str) -> bool:
    """Latvian personal code; those given out since 2017 begin with 32 and carry no date."""
    known = text.startswith("32") or (day(text[2:4], text[:2]) and text[6] in "012")
    return known and (1 + weighted(text, (10, 5, 8, 4, 2, 1, 6, 3, 7, 9))) % 11 % 10 == int(text[10])


def matricule(text: str) -> bool:
    """Luxembourgish identification number: a date, then a check digit by Luhn and one by Verhoeff."""
    dated = text[:2] in ("18", "19", "20") and day(text[4:6], text[6:8])
    return dated and luhn(text[:12]) and verhoeff(text[:11] + text[12])


def emso(text: str) -> bool:
    """Slovenian personal number (and those of the other successors of Yugoslavia)."""
    return day(text[2:4], text[:2]) and -weighted(text, (7, 6, 5, 4, 3, 2) * 2) % 11 % 10 == int(text[12])


def acn(text: str) -> bool:
    """Australian company number."""
    return int(text) > 0 and -weighted(text, (8, 7, 6, 5, 4, 3, 2, 1)) % 10 == int(text[8])


def medicare(text: str) -> bool:
    """Australian Medicare card."""
    return text[0] in "23456" and weighted(text, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(text[8])


def gstin(text: str) -> bool:
    """Indian goods and services tax number; Luhn's scheme in base 36."""
    total = sum(sum(divmod(int(character, 36) * (1 + index % 2), 36)) for index, character in enumerate(text[:14]))
    return 1 <= int(text[:2]) <= 38 and -total % 36 == int(text[14], 36)


def rfc(text: str) -> bool:
    """Mexican tax number of a person."""
    alphabet = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ \u00d1"
    total = sum(alphabet.index(character) * (13 - index) for index, character in enumerate(text[:12]))
    return day(text[6:8], text[8:10]) and "0123456789A"[-total % 11] == text[12]


def versicherungsnummer(text: str) -> bool:
    """German pension insurance number; the letter counts as two digits."""
    digits = f"{text[:8]}{ord(text[8]) - 64:02d}{text[9:11]}"
    total = sum(
        sum(divmod(int(digit) * weight, 10))
        for digit, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)
    )
    return 1 <= int(text[2:4]) % 50 <= 31 and 1 <= int(text[4:6]) <= 12 and total % 10 == int(text[11])


def german_card(text: str) -> bool:
    """German identity card or passport, with its check digit where that is written."""
    return any(map(str.isdigit, text)) and (len(text) == 9 or icao(text))


def nin(text: str) -> bool:
    """Nigerian identity number."""
    return len(set(text)) > 1 and verhoeff(text)
