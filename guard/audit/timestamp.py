"""RFC 3161 time stamps over checkpoints: an authority's word on when a checkpoint existed, signatures included.

It is evidence of time and not of a single history: an authority stamps whatever it is sent, a fork as gladly, and remembers
nothing. So it stands beside a witness and does not replace one. What it adds is that an older checkpoint stays believable
when the log's key is stolen or its algorithm broken later.

A stamp is stored and travels as one more signature line of the note, of the kind that C2SP signed-note leaves to others
(0xff), so receipts and exports carry it and foreign readers ignore it. What is stamped is the note as the log signed it.
Certificates are judged at the time of the stamp; whether one was revoked is not asked.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Self
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from guard.audit.checkpoint import NoteKey, own_note, parse_signature, signature_line, split_note
from guard.audit.outside import SECONDS, Service
from guard.errors import ConfigError, MissingExtra, NoteError, TimestampError
from guard.options import AuthoritySpec

PREFIX = "rfc3161/"
_KIND, _TYPE = 0xFF, b"rfc3161-timestamp-response"


class Anchors:
    """The certificates that a stamp must lead to: roots, and issuers below them that authorities do not send along."""

    def __init__(self, pem: bytes) -> None:
        try:
            found = x509.load_pem_x509_certificates(pem)
        except ValueError:
            raise ConfigError("GUARD_TSA_ANCHORS holds no PEM certificates") from None
        self._roots = [one for one in found if one.subject == one.issuer]
        self._others = [one for one in found if one.subject != one.issuer]
        if not self._roots:
            raise ConfigError("GUARD_TSA_ANCHORS holds no root certificate: add the one that the authority publishes")

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a PEM file."""
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}; check GUARD_TSA_ANCHORS") from error

    def stamped_at(self, note: str, answer: bytes, nonce: int | None = None) -> datetime:
        """When an authority under these certificates stamped a note as the log signed it. NoteError where none did."""
        client = _client()
        builder = client.VerifierBuilder(roots=[*self._roots], intermediates=[*self._others], nonce=nonce)
        try:
            response = client.decode_timestamp_response(answer)
            builder.build().verify_message(response, note.encode())
            moment: datetime = response.tst_info.gen_time
        except (
            client.VerificationError,
            ValueError,
            TypeError,
            UnsupportedAlgorithm,
            x509.DuplicateExtension,
            x509.UnsupportedGeneralNameType,
        ) as error:
            raise NoteError(f"the time stamp does not hold: {str(error).split(':')[0]}") from None
        return moment


def stamps(note: str, anchors: Anchors) -> Iterator[tuple[str, datetime]]:
    """The authorities that stamped a note, each with its time."""
    stamped = own_note(note)
    for line in split_note(note)[1]:
        answer = answer_in(line)
        if answer is not None:
            yield parse_signature(line)[0], anchors.stamped_at(stamped, answer)


def answer_in(line: str) -> bytes | None:
    """The authority's answer (a TimeStampResp) in a line that is a stamp; None for another."""
    name, key_id, answer = parse_signature(line)
    return answer if name.startswith(PREFIX) and key_id == _key(name).id else None


class Authority:
    """A time stamp authority at a URL."""

    def __init__(self, spec: AuthoritySpec, *, timeout: float = SECONDS) -> None:
        _client()  # rather at the start than when the first stamp is due
        self.required = spec.required
        self.anchors = Anchors.read(spec.anchors)
        self._service = Service(spec.url, "the time stamp authority", "GUARD_TSA", TimestampError, timeout=timeout)
        parts = self._service.parts
        self.name = PREFIX + quote(parts.netloc + parts.path.rstrip("/"), safe="/:[]~")

    def stamp(self, note: str) -> str:
        """The signature line with a stamp over a note as the log signed it. Raises TimestampError where none is to be had."""
        client = _client()
        request = (
            client.TimestampRequestBuilder().data(note.encode()).hash_algorithm(client.HashAlgorithm.SHA256).build()
        )
        status, answer = self._service.ask("POST", "", request.as_bytes(), "application/timestamp-query")
        if status != http.client.OK:
            raise TimestampError(
                f"the time stamp authority answered HTTP {status}: try again later, or check GUARD_TSA"
            )
        try:
            self.anchors.stamped_at(note, answer, request.nonce)
        except NoteError as error:
            raise TimestampError(
                f"the time stamp authority's answer is not to be trusted: {error}; check GUARD_TSA_ANCHORS"
            ) from error
        return signature_line(self.name, _key(self.name).id, answer)


def _key(name: str) -> NoteKey:
    return NoteKey(name, _KIND, _TYPE)


def _client() -> ModuleType:
    try:
        import rfc3161_client
    except ImportError:
        raise MissingExtra("An RFC 3161 time stamp", "timestamps") from None
    return rfc3161_client
