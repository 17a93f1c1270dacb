"""E-mail addresses as they are written, and as people disguise them ("john dot doe at example dot com", "j o h n @ …")."""

from __future__ import annotations

import re
from collections.abc import Iterator

from guard.checkers.patterns import REACH, Match, compiled
from guard.checkers.shadow import Shadow
from guard.checkers.tails import prefixes

EMAIL = "EMAIL_ADDRESS"
_LOCAL = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_\x1f.+'%-"
# No domain ends so: a picture for fine screens ("logo@2x.png") is no address.
_FILE = re.compile(rb"\.(?:png|jpe?g|gif|svg|webp|bmp|ico|css|js|json|html?)\Z", re.IGNORECASE)
_DOMAIN = r"(?:[0-9A-Za-z_][0-9A-Za-z_-]{0,62}\.){1,8}[A-Za-z_][0-9A-Za-z_-]{0,61}[0-9A-Za-z_]"


class Emails:
    """Around each @: as much local part and domain as there is. Any top-level domain counts, reserved ones included."""

    gate = r"@[0-9A-Za-z_]"
    tail = rf"[0-9A-Za-z_\x1f.+'%-]{{1,64}}(?:@(?:{prefixes(_DOMAIN)})?)?"
    exclusive = False
    _at = re.compile(rf"@{_DOMAIN}".encode())

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every address, overlaps included."""
        data = view.data
        for match in self._at.finditer(data, start, min(len(data), stop + REACH)):
            at = match.start()
            if at and data[at - 1] != 46 and data[at - 1] in _LOCAL:
                ahead = data[max(0, at - 64) : at]
                local = ahead[len(ahead.rstrip(_LOCAL)) :].lstrip(b".'%-")
                cloned = local == b"git" and data[match.end() : match.end() + 1] == b":"  # git@host:path
                if local and start <= at - len(local) < stop and not cloned and not _FILE.search(match.group()):
                    yield Match(at - len(local), match.end(), EMAIL, 1.0)


# What a disguised address must end with: without the sign that makes an address, only a well-known end tells it from prose.
_ENDS = (
    "com|org|net|edu|gov|mil|int|info|biz|name|pro|dev|app|io|ai|co|uk|de|fr|nl|eu|ch|jp|cn|ru|br|au|ca|pl|se|dk|fi|cz|gr|hu|"
    "kr|mx|za|nz|sg|test|example|invalid|localhost"
)
_OPEN, _SHUT = r" ?[\[({<] ?", r" ?[\])}>] ?"
_SAY_DOT = "dot|punkt|punto|point|d0t"
_WORD = r"[0-9A-Za-z_%+'\x1f-]{1,40}"
_LABEL = r"[0-9A-Za-z_-]{1,40}"
_AT = rf"(?:{_OPEN}(?:at|@|a){_SHUT}| (?:at|@) | ?@ ?|[\x1f-]at[\x1f-])"
_DOT = rf"(?:{_OPEN}(?:{_SAY_DOT}|\.){_SHUT}| (?:{_SAY_DOT}) | ?\. ?|[\x1f-]dot[\x1f-])"
_SPOKEN = rf"{_WORD}(?:{_DOT}{_WORD}){{0,3}}{_AT}(?:{_LABEL}{_DOT}){{1,3}}(?:{_ENDS})"
_SPACED = r"[0-9A-Za-z](?: [0-9A-Za-z.\x1f+-]){0,30} ?@(?: ?[0-9A-Za-z.-]){3,60}"


class Disguised:
    """Addresses with "at" and "dot" in words or brackets, or with spaces between their letters."""

    # Repeats without a bound where the expression has one: a gate may ask for less, and counting costs states.
    gate = (
        r"(?i)[\[({<] ?(?:at|@|a) ?[\])}>]|"
        rf" at [0-9a-z_-]+\.[a-z]|\bat\b(?s:.)*\b(?:{_SAY_DOT})\b|\b(?:{_SAY_DOT})\b(?s:.)*@| @|@ "
        r"|[\x1f-]at[\x1f-]"
    )
    tail = rf"(?i)\b(?:{prefixes(_SPOKEN)}|{prefixes(_SPACED)})"
    exclusive = False

    def __init__(self) -> None:
        self._where = compiled(rf"(?i)\b(?:{_SPOKEN}|{_SPACED})\b")
        self._spaced = re.compile(rf"{_SPACED}\b".encode(), re.IGNORECASE)

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Every address that is written in another way than usual."""
        data = view.data
        while start < stop and (found := self._where.search(data, start, min(len(data), stop + REACH))):
            begin, written = found.start(), found.group().lower().decode()
            if begin >= stop:
                return
            score = _believable(written)
            if score:
                yield Match(begin, found.end(), EMAIL, score)
            start = begin + 1


_BARE_AT = re.compile(r"^(.*) at (.*)$")
_END = re.compile(rf"(?:{_ENDS})$")


def _believable(written: str) -> float:
    """How sure, from 0: prose also says "at" and puts a full stop before a word."""
    squeezed = written.replace(" ", "")
    if "@" in written and re.fullmatch(r"(?:\S ){2,}.*", written):
        return 0.85 if re.fullmatch(rf"[^@]+@[^@]+\.(?:{_ENDS})", squeezed) else 0.0
    if not _END.search(written):
        return 0.0
    bare = _BARE_AT.match(written)
    if bare is None:
        return 0.0 if written == squeezed and "@" in written and not re.search(r"[\[({<]", written) else 0.85
    local, domain = bare.groups()
    if re.search(rf" (?:{_SAY_DOT}) |[\[({{<]|[\x1f-]dot[\x1f-]", domain):
        return 0.85
    return 0.6 if re.search(r"[.\d\x1f]", local) and " " not in written.replace(" at ", "") else 0.0
