"""Redacting with keys: the function that `redact` is handed where a rule hashes, encrypts or gives pseudonyms; and back.

Ours and not presidio-anonymizer's, whose names and parameters it keeps: its `hash` is salted anew for each value, so equal
values cannot be linked, or takes a salt and is no HMAC; its `encrypt` is AES-CBC without authentication; where spans overlap
each of its operators sees a part, and two masks leave digits between them; it has no pseudonyms; and its engine costs 80 µs
a text. Where spans do not overlap, `replace`, `mask` and `redact` do what its operators do (a test holds them to it).
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from guard import pictures
from guard.audit import access
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.audit.vault import Vault
from guard.digest import keyed, mac, subkey
from guard.errors import CallerError, EvidenceError
from guard.keys import KeyRing
from guard.operators import KEYED, Cover, Redaction, safe
from guard.policy.decide import redact, without_keys
from guard.pseudonyms import Pseudonyms, is_json, may_be_json, meant
from guard.types import CheckResult, Content, Image, Region, Request, Span, Stage, Text

ROLE = "pseudonyms"  # of the sealed body that holds them
_KEY_FILE = "redaction"  # the key file behind hashes, and behind all that concerns no known person
_ENCRYPTED = re.compile(r"\[[^\[\]:]*:enc-([0-9a-f]{8}):([A-Za-z0-9_-]+)\]")
_NOISE = 8  # blocks of 32 bytes: what gives a surrogate its letters


class Keys:
    """The keys of one request. What concerns a known person hangs on their key, and is erased with it."""

    def __init__(self, keys: KeyRing, vault: Vault, request_id: str, subject: str | None) -> None:
        secret = keys.secret(_KEY_FILE)
        own = vault.keys.key(subject, create=True) if subject else None
        self._hash = subkey(secret, "hash")
        self._seal = _cipher_key(own or secret)
        self._scopes = {"request": keyed(secret, "request", request_id.encode("utf-8", "surrogatepass"))}
        self._scopes["subject"] = subkey(own, "pseudonym") if own else self._scopes["request"]

    def hash(self, category: str, value: str) -> str:
        """The same for equal values everywhere in a deployment, and no use to who has not its key: HMAC-SHA256, 128 bits."""
        digest = mac(self._hash, _bytes(value)).hex()[:32]
        return f"[{safe(category).replace(':', '_')}:hmac-{_key_id(self._hash)}:{digest}]"

    def encrypt(self, category: str, value: str) -> str:
        """Reversible by who has the key. Deterministic (AES-256-SIV, RFC 5297), so a redaction can be replayed."""
        sealed = AESSIV(self._seal).encrypt(b"\0" + _bytes(value), None)
        token = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
        return f"[{safe(category).replace(':', '_')}:enc-{_key_id(self._seal)}:{token}]"

    def noise(self, scope: str, value: str, attempt: int) -> bytes:
        """See `guard.pseudonyms.Noise`."""
        data = b"%d:%b" % (attempt, _bytes(value))
        return b"".join(mac(self._scopes[scope], b"%d:%b" % (block, data)) for block in range(_NOISE))


class Redactor:
    """Redacts the texts of one request: first the prompt, then the answer. Without keys it takes out and masks only."""

    def __init__(self, keys: Keys | None = None, prompt: Content | None = None) -> None:
        self._keys = keys
        self._pseudonyms = Pseudonyms(keys.noise if keys else None)
        if keys is not None and isinstance(prompt, Text):
            self._pseudonyms.see(prompt.text)
        self._returned: set[str] = set()
        self._withheld: set[str] = set()

    @property
    def pseudonyms(self) -> dict[str, str]:
        """Pseudonym to value: personal data, for the sealed part of the record only."""
        return self._pseudonyms.table

    def redacted(self, content: Content, cuts: Sequence[Redaction | Cover], stage: Stage) -> Content:
        """Text without what has to go; an image with those parts covered."""
        if isinstance(content, Image):
            return self.covered(content, cuts)
        if not isinstance(content, Text) or not cuts:
            return content
        in_json = False
        if self._keys is not None:
            self._pseudonyms.see(content.text)
            in_json = is_json(content.text)
        put = partial(self._put, stage, in_json)
        return Text(redact(content.text, [cut for cut in cuts if isinstance(cut, Redaction)], put))

    def covered(self, image: Image, cuts: Sequence[Redaction | Cover]) -> Image:
        """An image with the parts that have to go filled, or blurred by the operator `mask`; as it is where there are none."""
        parts = [cut for cut in cuts if isinstance(cut, Cover)]
        if not parts:
            return image
        filled, blurred = (
            [Region(*cut.region) for cut in parts if (cut.operator.name == "mask") is blur] for blur in (False, True)
        )
        return pictures.covered(image, filled, blurred)

    def piece(self, text: str, start: int, end: int, cuts: Sequence[Redaction]) -> str:
        """A stretch of an answer that is no JSON document, with the cuts that lie in it made; none gives a pseudonym."""
        moved = [cut._replace(start=cut.start - start, end=cut.end - start) for cut in cuts]
        return redact(text[start:end], moved, partial(self._put, Stage.OUTPUT, False))

    def _put(self, stage: Stage, in_json: bool, cut: Redaction, found: str) -> str:
        keys = self._keys
        if keys is None or cut.operator.name not in KEYED:
            return without_keys(cut, found)
        value = meant(found, in_json=in_json)
        if cut.operator.name == "hash":
            return keys.hash(cut.category, value)
        if cut.operator.name == "encrypt":
            return keys.encrypt(cut.category, value)
        if not cut.operator.restore:
            self._withheld.add(value)  # also when another rule would turn it back
        elif stage is Stage.INPUT:
            self._returned.add(value)
        return self._pseudonyms.of(value, cut.category, cut.operator)

    def foreign(self, results: Sequence[CheckResult], content: Content) -> tuple[CheckResult, ...]:
        """Results without findings on pseudonyms that we wrote: those are nobody's data, and say nothing about the model."""
        if not isinstance(content, Text) or not self._pseudonyms.table:
            return tuple(results)
        ours = sorted(span for span, _ in self._pseudonyms.found(content.text))

        def is_ours(span: Span) -> bool:
            index = bisect_right(ours, span.start, key=lambda it: it.start) - 1
            return index >= 0 and span.end <= ours[index].end

        return tuple(
            replace(result, findings=tuple(it for it in result.findings if it.span is None or not is_ours(it.span)))
            for result in results
        )

    @property
    def returning(self) -> frozenset[str]:
        """The values whose pseudonyms are turned back in the answer."""
        return frozenset(self._returned - self._withheld)

    def unfinished(self, text: str) -> int:
        """Where a pseudonym may begin that more text could make or change: the end of the text if nowhere."""
        return self._pseudonyms.unfinished(text)

    def restored_from(self, text: str, start: int) -> tuple[str, int]:
        """See `Pseudonyms.restored_from`."""
        return self._pseudonyms.restored_from(text, start, self.returning)

    def may_be_json(self, text: str) -> bool:
        """Whether a text that begins so may become a JSON document, in which values are written in another way."""
        return self._keys is not None and may_be_json(text)

    def restored(self, content: Content) -> tuple[Content, int]:
        """The answer for the caller, with the pseudonyms of the prompt turned back where all rules say so; and how many."""
        values = self.returning
        if not isinstance(content, Text) or not values:
            return content, 0
        text, count = self._pseudonyms.restored(content.text, values)
        return Text(text) if count else content, count


class Restorer:
    """`Redactor.restored` for an answer that comes in pieces."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = " "  # what is held, behind one character that patterns may look back at
        self._may_be_json = bool(redactor.returning)

    def feed(self, piece: str) -> str:
        """What may follow what was returned before."""
        if not self._redactor.returning:
            return piece
        self._held += piece
        self._may_be_json = self._may_be_json and self._redactor.may_be_json(self._held[1:])
        if self._may_be_json:
            return ""
        out, end = self._redactor.restored_from(self._held, 1)
        self._held = self._held[end - 1 :]
        return out


def redactor(keys: KeyRing, vault: Vault, request: Request) -> Redactor:
    """The redactor of one request, with its keys."""
    subject = vault.pseudonym(request.requester) if request.requester else None
    return Redactor(Keys(keys, vault, request.id, subject), request.prompt)


def reidentify(log: Log, keys: KeyRing, request_id: str, text: str, *, by: str, reason: str) -> str:
    """A text with the pseudonyms and the encrypted values of a request turned back, for who is entitled to them.

    That it was done, by whom and why is in the record before the text is handed out. Raises CallerError where the request
    has none, EvidenceError where they were erased.
    """
    if not by.strip() or not reason.strip():
        raise CallerError("say who reads the values, and why: the record keeps it")
    reader = Reader(log.engine, log.vault)
    entries = reader.history(request_id)
    tables = [entry for entry in entries if ROLE in (entry.fields.get("bodies") or {})]
    encrypted = _ENCRYPTED.search(text) is not None
    about = tables or [entry for entry in entries if encrypted and entry.fields.get("redactions")][:1]
    if not about:
        raise CallerError(
            "this request has no pseudonyms and no encrypted values; was it recorded in another database?"
        )
    found: dict[str, str] = {}
    for entry in about:
        roles = [*([ROLE] if tables else []), *(["encrypted"] if encrypted else [])]
        access.note(log, entry, roles, who=by, why="re-identification", reason=reason)
        sealed = reader.body(entry.seq, ROLE) if tables else None
        if tables and not isinstance(sealed, Text):
            raise EvidenceError("the pseudonyms of this request were erased: the text cannot be turned back")
        found |= json.loads(sealed.text) if isinstance(sealed, Text) else {}
    subject = next((entry.subject for entry in about if entry.subject), None)
    return _opened(Pseudonyms.read(found).restored(text)[0], keys, log.vault, subject)


def _opened(text: str, keys: KeyRing, vault: Vault, subject: str | None) -> str:
    own = vault.keys.key(subject, create=False) if subject else None
    ciphers = {_key_id(key): key for key in map(_cipher_key, filter(None, (own, keys.secret(_KEY_FILE))))}

    def opened(match: re.Match[str]) -> str:
        key = ciphers.get(match[1])
        if key is None:
            raise EvidenceError("the key of an encrypted value is not in the key store: it was erased, or is elsewhere")
        try:
            sealed = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
            return AESSIV(key).decrypt(sealed, None)[1:].decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError):
            raise EvidenceError("an encrypted value does not open: it was changed") from None

    return _ENCRYPTED.sub(opened, text)


def _cipher_key(key: bytes) -> bytes:
    return subkey(key, "encrypt 1") + subkey(key, "encrypt 2")


def _key_id(key: bytes) -> str:
    """Names a key, so that it is known which one to look for after it was changed; says nothing about it."""
    return keyed(key, "id", b"").hex()[:8]


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
