"""Rules as recognizers: a form, found by RE2, confirmed by entropy, check digits and what else a rule asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from guard.checkers.credentials.randomness import entropy
from guard.checkers.credentials.rules import Rule
from guard.checkers.patterns import REACH, Match, compiled
from guard.checkers.shadow import Shadow
from guard.checkers.tails import prefixes

LONGEST = 16_384  # bytes that one secret may take; a private key is the longest
_FORM = 4096  # bytes that a form may take


class Form:
    """One rule. `group` is the part of the form that is the secret (0: all of it)."""

    exclusive = True

    def __init__(
        self, rule: Rule, group: int = 0, allowed: Callable[[str, str], bool] = lambda _secret, _match: False
    ) -> None:
        self.gate = rule.sign
        self._rule, self._allowed = rule, allowed
        self._where = compiled(rule.form, captures=True)
        self._group = group or min(1, self._where.groups)
        self._unless = re.compile(rule.unless) if rule.unless else None
        self.tail = prefixes(rule.form)

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """Where the secret itself stands."""
        data, rule = view.data, self._rule
        while start < stop and (found := self._where.search(data, start, min(len(data), stop + _FORM))):
            if found.start() >= stop:
                return
            place = found.span(self._group)
            secret = data[slice(*place)].decode() if place[0] >= 0 else ""
            start = found.start() + 1
            known = len(secret) > 2 and entropy(secret) >= rule.entropy and rule.valid(secret)
            if (
                known
                and not self._called(data[found.start() : place[0]])
                and not self._allowed(secret, found[0].decode())
            ):
                start = max(start, place[1])
                yield Match(place[0], place[1], rule.category, rule.score)

    def _called(self, ahead: bytes) -> bool:
        """Whether what stands ahead of a secret says that it is none."""
        return self._unless is not None and self._unless.search(ahead.decode()) is not None


_HEADER = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"


class PrivateKeys:
    """Keys in PEM, OpenSSH and OpenPGP armour, and PuTTY's: the whole block, or what there is of it."""

    category, title = "PRIVATE_KEY", "a private key"
    gate = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY|PuTTY-User-Key-File-"
    tail = (
        rf"{prefixes(_HEADER)}|{_HEADER}(?:[^-]|-[^-])*-{{0,5}}(?:-----END[^-]{{0,60}}-{{0,5}})?"
        r"|P(?:u(?:T(?:T(?:Y[^\n]*(?:\n[^\n]*)*)?)?)?)?"
    )
    exclusive = True
    _block = re.compile(rb"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----")
    _rest = re.compile(rb"(?:[ \t\r\n]|\\n|[A-Za-z0-9+/=:,-]){0,16000}")

    def find(self, view: Shadow, start: int, stop: int) -> Iterator[Match]:
        """From the first line to the last."""
        data = view.data
        for header in self._block.finditer(data, start, stop + REACH):
            begin = header.start()
            if begin >= stop:
                return
            footer = b"-----END " + header[1] + b"-----"
            at = data.find(footer, header.end(), begin + LONGEST)
            rest = self._rest.match(data, header.end())
            end = at + len(footer) if at >= 0 else len(data[: rest.end() if rest else header.end()].rstrip())
            body = data[header.end() : at if at >= 0 else end]
            if len(body.strip()) >= 32 and b"..." not in body:  # else somebody writes about keys
                yield Match(begin, end, self.category, 1.0)
        putty = data.find(b"PuTTY-User-Key-File-", start, stop)
        if putty >= 0:
            mac = data.find(b"Private-MAC:", putty, putty + LONGEST)
            if mac >= 0:
                end = data.find(b"\n", mac)
                yield Match(putty, end if end >= 0 else len(data), self.category, 1.0)
