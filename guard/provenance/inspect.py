"""What can be said about the origin of a file: its credential, the manifest beside it, the record, a watermark.

No verdict says "not made by AI": marks can be removed, and most content never had one. A verdict has no truth value, so that
nobody writes `if inspect(data)` and reads an absence of evidence as evidence.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from guard.audit.read import Entry, Reader
from guard.digest import JSON, label
from guard.errors import ContentError, EvidenceError, MissingExtra
from guard.keys import KeyRing
from guard.media import content_of
from guard.provenance import credentials, manifest, wrapped
from guard.provenance.certs import development_anchor
from guard.provenance.stamp import MANIFEST
from guard.types import Content, Image, Text

MAX_ENTRIES = 10
MADE_HERE = ("release", "output")
_ROLES = (*MADE_HERE, "prompt")


class Verdict(enum.Enum):
    """The strongest thing that can be said; compare it, it is neither true nor false."""

    TRUSTED = "trusted"
    VALID = "valid"
    RECOVERED = "recovered"
    PROBABLE = "probable"
    CONTRADICTED = "contradicted"
    NO_EVIDENCE = "no_evidence"

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict is neither true nor false: compare it with Verdict.TRUSTED and the others")


SUMMARY = {
    Verdict.TRUSTED: "It carries an intact statement of origin, signed by somebody this installation trusts.",
    Verdict.VALID: "It carries an intact statement of origin, but nobody trusted here vouches for the signer.",
    Verdict.RECOVERED: "The record holds exactly this content as made here; the mark itself is missing or not trusted.",
    Verdict.PROBABLE: "It carries this installation's watermark; a watermark names no request and proves nothing alone.",
    Verdict.CONTRADICTED: "It carries a statement of origin that does not hold: changed, or attached to something else.",
    Verdict.NO_EVIDENCE: "Nothing was found. This says nothing about origin: marks can be removed, and most content has none.",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look came to. `details` may hold text written by strangers: show it as text only."""

    layer: str
    status: str
    message: str
    details: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a watermark detector found."""

    detected: bool
    algorithm: str
    details: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inspection:
    """All evidence about one file, and the verdict that follows from it."""

    verdict: Verdict
    kind: str
    media_type: str | None
    digest: str
    evidence: tuple[Evidence, ...]
    name: str | None = None

    def __bool__(self) -> NoReturn:
        raise TypeError("an inspection is neither true nor false: look at its verdict")

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        return SUMMARY[self.verdict]

    def data(self) -> dict[str, JSON]:
        """For JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "media_type": self.media_type,
            "digest": self.digest,
            "verdict": self.verdict.value,
            "summary": self.summary,
            "evidence": [
                {"layer": each.layer, "status": each.status, "message": each.message, "details": dict(each.details)}
                for each in self.evidence
            ],
        }


def inspect(
    data: bytes,
    *,
    keys: KeyRing,
    name: str | None = None,
    reader: Reader | None = None,
    sidecar: str | None = None,
    watermark: Callable[[str], Mark] | None = None,
    anchors: Sequence[str] = (),
    public_keys: Sequence[str] = (),
    stampers: Sequence[str] = (),
) -> Inspection:
    """Look at a file in every way that is at hand, and say what was found. Needs no network, and makes no keys.

    `sidecar` is what lies beside a text: its manifest, or a stamp or outcome as JSON that holds one. `anchors` (PEM) and
    `public_keys` (as `manifest.public_key` writes them) are trusted beside this installation's own; `stampers` (PEM) vouch for
    the time of credentials.
    """
    try:
        content: Content | None = content_of(data)
    except ContentError:
        content = None
    evidence: list[Evidence] = []
    if content is None:
        evidence.append(Evidence("file", "unknown", "It is no image, sound or UTF-8 text of a known format."))
    if content is not None:
        evidence += _credential(content, [*anchors, *_own_anchors(keys)], stampers)
    if isinstance(content, Text):
        evidence.append(_manifest(content, sidecar, [*public_keys, *_own_public_keys(keys)]))
        evidence.append(_watermark(content, watermark))
    evidence.append(_record(content, data, reader))
    return Inspection(
        verdict=conclude(evidence),
        kind=content.kind if content else "unknown",
        media_type=content.media_type if content else None,
        digest=label(data),
        evidence=tuple(evidence),
        name=name,
    )


def conclude(evidence: Sequence[Evidence]) -> Verdict:
    """The verdict: a broken claim outweighs everything, a trusted signature the record, and the record an unknown signer."""
    found = {(each.layer, each.status) for each in evidence}
    order = (
        (Verdict.CONTRADICTED, {("credential", "invalid"), ("credential", "contradicted"), ("manifest", "altered")}),
        (Verdict.TRUSTED, {("credential", "trusted"), ("manifest", "valid")}),
        (Verdict.RECOVERED, {("record", "released"), ("record", "made")}),
        (
            Verdict.VALID,
            {
                ("credential", "valid"),
                ("credential", "expired"),
                ("credential", "not_yet_valid"),
                ("manifest", "unknown_signer"),
            },
        ),
        (Verdict.PROBABLE, {("watermark", "detected")}),
    )
    return next((verdict for verdict, signs in order if found & signs), Verdict.NO_EVIDENCE)


def sidecar_manifest(text: str) -> str | None:
    """The manifest in what lies beside a text: bare, or inside a stamp or an outcome as JSON."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(parsed, dict) and isinstance(parsed.get("stamp"), dict):
        parsed = parsed["stamp"]
    if isinstance(parsed, dict) and "payloadType" not in parsed and "manifest" in parsed:
        return parsed["manifest"] if isinstance(parsed["manifest"], str) else None
    return text


# --- the looks -------------------------------------------------------------------------------------------------------


_CREDENTIAL = {
    credentials.State.TRUSTED: "Its credential is intact, and its signer is trusted here.",
    credentials.State.VALID: "Its credential is intact; its signer is not known here.",
    credentials.State.EXPIRED: "Its credential is intact; its signer's certificate has expired, and it has no time stamp.",
    credentials.State.NOT_YET_VALID: "Its credential is intact; its signer's certificate is not valid yet.",
    credentials.State.INVALID: "Its credential does not hold: the file or the credential was changed.",
    credentials.State.CONTRADICTED: "Its credential is intact, but what it was made from carries one that does not hold.",
    credentials.State.NONE: "It carries no credential.",
}
_TEXT = {
    manifest.State.VALID: "Its manifest is intact, signed here, and about this text.",
    manifest.State.UNKNOWN_SIGNER: "Its manifest is intact and about this text; the key that signed it is not known here.",
    manifest.State.ALTERED: "Its manifest does not hold",
    manifest.State.MALFORMED: "What lies beside it is not a manifest as genguard writes it.",
}


def _credential(content: Content, anchors: Sequence[str], stampers: Sequence[str]) -> list[Evidence]:
    """Of a text only where there is one: most texts that leave carry none themselves."""
    try:
        if isinstance(content, Text):
            found = wrapped.read(content, anchors, stampers=stampers)
        else:
            found = credentials.read(content, anchors, stampers=stampers)
    except ContentError as error:
        return [] if isinstance(content, Text) else [_evidence("unreadable", f"It cannot be read: {error}.")]
    except MissingExtra as error:
        return [_evidence("not_looked", str(error))]
    if isinstance(content, Text) and found.state is credentials.State.NONE:
        return []
    message = _CREDENTIAL[found.state]
    if "manifest.remote" in found.problems:
        message = "Its credential lies on a server; it was not fetched."
    if found.ai_generated and found.state not in (credentials.State.INVALID, credentials.State.NONE):
        message += " It says that AI made it."
    details: dict[str, JSON] = {
        "signer": found.signer,
        "stamped": found.stamped,
        "generator": found.generator,
        "ai_generated": found.ai_generated,
        "generation": dict(found.generation),
        "problems": list(found.problems),
    }
    return [_evidence(found.state.value, message, {} if found.state is credentials.State.NONE else details)]


def _evidence(status: str, message: str, details: Mapping[str, JSON] | None = None) -> Evidence:
    return Evidence("credential", status, message, details or {})


def _manifest(text: Text, sidecar: str | None, public_keys: Sequence[str]) -> Evidence:
    statement = sidecar_manifest(sidecar) if sidecar is not None else None
    if statement is None:
        return Evidence(MANIFEST, "none", "No manifest lies beside it.")
    found = manifest.verify(statement, text.text, public_keys)
    if found.state is manifest.State.ALTERED and text.text.startswith("\ufeff"):  # some editors put a mark in front
        found = manifest.verify(statement, text.text[1:], public_keys)
    message = _TEXT[found.state]
    if found.state is manifest.State.ALTERED:
        message += f": {found.problem}."
    return Evidence(MANIFEST, found.state.value, message, {"key_id": found.key_id, "statement": dict(found.statement)})


def _watermark(text: Text, detect: Callable[[str], Mark] | None) -> Evidence:
    if detect is None:
        return Evidence("watermark", "not_looked", "No watermark was looked for: that takes the model (--model).")
    found = detect(text.text)
    if found.detected:
        return Evidence("watermark", "detected", "It carries this installation's watermark.", found.details)
    message = "No watermark was found; short, edited or translated texts lose it."
    return Evidence("watermark", "none", message, found.details)


def _record(content: Content | None, data: bytes, reader: Reader | None) -> Evidence:
    if reader is None:
        return Evidence("record", "not_looked", "No record was searched.")
    try:
        hits = [hit for each in _readings(content, data) for hit in _hits(reader, each)]
    except EvidenceError as error:
        return Evidence("record", "unreadable", f"The record does not hold: {error}.")
    if not hits:
        return Evidence("record", "none", "The record does not hold exactly these bytes.")
    status = min((hit[0] for hit in hits), key=list(_RECORD).index)
    details: list[JSON] = [
        {"entry": entry.seq, "request_id": entry.request_id, "at": entry.at, "as": found, "state": entry.state}
        for found, entry in hits
    ]
    return Evidence("record", status, _RECORD[status], {"entries": details})


_RECORD = {
    "released": "The record shows that exactly this was released here.",
    "made": "The record shows that exactly this was made here, and not released in this form.",
    "checked": "The record shows that this was checked here; it was made elsewhere.",
    "asked": "The record shows this as something that was asked; it was not made here.",
}


def _readings(content: Content | None, data: bytes) -> list[Content]:
    """What to search for: a text file often has a line break at its end, or a mark in front, that the text had not."""
    if not isinstance(content, Text):
        return [content or Image(data, "application/octet-stream")]
    bare = content.text.removeprefix("\ufeff")
    return [Text(each) for each in dict.fromkeys([content.text, bare, bare.rstrip("\r\n")])]


def _hits(reader: Reader, content: Content) -> list[tuple[str, Entry]]:
    hits = []
    for entry in reader.find(content, limit=MAX_ENTRIES):
        bodies = (reader.body(entry.seq, role) for role in _ROLES)
        role = next(
            (role for role, body in zip(_ROLES, bodies, strict=True) if body and body.data == content.data), None
        )
        if role is not None:
            hits.append((_origin(reader, entry, role), entry))
    return hits


def _origin(reader: Reader, entry: Entry, role: str) -> str:
    if role not in MADE_HERE:
        return "asked"
    if entry.kind == "check":
        return "checked"
    return "released" if role == "release" and _released(reader, entry) else "made"


def _released(reader: Reader, entry: Entry) -> bool:
    """At once, or by the newest ruling of a reviewer."""
    if entry.state != "held" or entry.request_id is None:
        return entry.state == "released"
    rulings = [
        it for it in reader.history(entry.request_id) if it.kind == "ruling" and it.fields.get("of") == entry.seq
    ]
    return bool(rulings) and rulings[-1].fields.get("ruling") == "approve"


def _own_anchors(keys: KeyRing) -> list[str]:
    anchor = development_anchor(keys)
    return [anchor] if anchor else []


def _own_public_keys(keys: KeyRing) -> list[str]:
    if not (keys.folder / f"{MANIFEST}.pem").exists():
        return []
    return [manifest.public_key(keys.signing_key(MANIFEST).public_key())]
