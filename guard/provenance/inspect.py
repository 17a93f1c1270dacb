"""What can be said about the origin of a file: its credential, the manifest beside it, its marks, the record, its likes.

The cheap looks come first. Fingerprints, and marks in pictures that were turned or stretched, are looked for where those
named no entry, or where the caller asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from guard.audit.read import Entry, Reader
from guard.audit.receipt import verify_receipt
from guard.digest import JSON, label
from guard.errors import ContentError, EvidenceError, MissingExtra
from guard.keys import KeyRing
from guard.media import content_of
from guard.provenance import credentials, manifest, wrapped
from guard.provenance.certs import development_anchor
from guard.provenance.registry import Hit, Registry
from guard.provenance.stamp import MANIFEST
from guard.provenance.verdict import Evidence, Inspection, Mark, Named, Verdict, conclude
from guard.types import Content, Image, Media, Text

MAX_ENTRIES = 10
MADE_HERE = ("release", "output")
_ROLES = (*MADE_HERE, "prompt")


class Found(Protocol):
    """What the detector of image marks tells: whose mark it is, and how the picture was changed since it was marked."""

    @property
    def mark_id(self) -> bytes: ...
    @property
    def key_id(self) -> str: ...
    @property
    def scale(self) -> float: ...
    @property
    def rotation(self) -> float: ...
    @property
    def flipped(self) -> bool: ...


Detector = Callable[[Image, bool], Found | None]  # the image, and whether to search as long as it takes
Looked = tuple[Evidence, Sequence[Entry]]  # what a look came to, and the entries that it names, the best first


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
    registry: Registry | None = None,
    detect: Detector | None = None,
    vkeys: Sequence[str] = (),
    search: bool | None = None,
    released_only: bool = False,
) -> Inspection:
    """Look at a file in every way that is at hand, and say what was found. Needs no network, and makes no keys.

    `sidecar` is what lies beside a text: its manifest, or a stamp or outcome as JSON that holds one. `anchors` (PEM) and
    `public_keys` (as `manifest.public_key` writes them) are trusted beside this installation's own; `stampers` (PEM) vouch for
    the time of credentials. With `vkeys`, the keys of the log, every entry that is named is proved to be in it. `search`: look
    for what takes long always, never, or (None) where nothing else named an entry. `released_only` is for answers to strangers:
    that something was asked, or made and withheld, is nothing that they may find out by guessing it.
    """
    try:
        content: Content | None = content_of(data)
    except ContentError:
        content = None
    looks = list(_cheap(content, data, keys, reader, sidecar, watermark, anchors, public_keys, stampers, released_only))
    if isinstance(content, Image) and detect is not None and registry is not None:
        looks.insert(1, _image_mark(content, registry, detect, search=search is True))
    so_far = conclude([evidence for evidence, _ in looks])
    if search or (search is None and so_far is not Verdict.TRUSTED and not any(entries for _, entries in looks)):
        if isinstance(content, Image) and detect is not None and registry is not None and not search:
            looks[1] = _image_mark(content, registry, detect, search=True)
        if content is not None and registry is not None and not any(entries for _, entries in looks):
            looks.append(_fingerprint(content, registry, reader if released_only else None))
    named, evidence = None, []
    for found, entries in looks:
        best = _proved(entries[0], reader, vkeys) if entries and reader is not None else None
        if best is not None and best.proved is False:
            found, best = Evidence(found.layer, "unproved", _UNPROVED), None  # noqa: PLW2901
        named = named or best
        evidence.append(found)
    return Inspection(
        verdict=conclude(evidence),
        kind=content.kind if content else "unknown",
        media_type=content.media_type if content else None,
        digest=label(data),
        evidence=tuple(evidence),
        name=name,
        entry=named,
    )


def _cheap(
    content: Content | None,
    data: bytes,
    keys: KeyRing,
    reader: Reader | None,
    sidecar: str | None,
    watermark: Callable[[str], Mark] | None,
    anchors: Sequence[str],
    public_keys: Sequence[str],
    stampers: Sequence[str],
    released_only: bool,
) -> Iterator[Looked]:
    if content is None:
        yield Evidence("file", "unknown", "It is no image, sound, film, document or UTF-8 text of a known format."), ()
    trusted = [*anchors, *_own_anchors(keys)]
    if isinstance(content, Media):
        yield _credential(partial(credentials.read, content, trusted, stampers=stampers)), ()
    if isinstance(content, Text):
        within = _credential(partial(wrapped.read, content, trusted, stampers=stampers))
        if within.status not in (credentials.State.NONE.value, "unreadable"):  # most texts carry none themselves
            yield within, ()
        yield _manifest(content, sidecar, [*public_keys, *_own_public_keys(keys)]), ()
        yield _watermark(content, watermark), ()
    yield _record(content, data, reader, released_only)


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


def _credential(read: Callable[[], credentials.Credential]) -> Evidence:
    try:
        found = read()
    except ContentError as error:
        return _evidence("unreadable", f"It cannot be read: {error}.")
    except MissingExtra as error:
        return _evidence("not_looked", str(error))
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
    return _evidence(found.state.value, message, {} if found.state is credentials.State.NONE else details)


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


def _record(content: Content | None, data: bytes, reader: Reader | None, released_only: bool) -> Looked:
    if reader is None:
        return Evidence("record", "not_looked", "No record was searched."), ()
    try:
        found = (hit for each in _readings(content, data) for hit in _hits(reader, each))
        hits = [hit for hit in found if hit[0] == "released" or not released_only]
    except EvidenceError as error:
        return Evidence("record", "unreadable", f"The record does not hold: {error}."), ()
    if not hits:
        return Evidence("record", "none", "The record does not hold exactly these bytes."), ()
    status = min((hit[0] for hit in hits), key=list(_RECORD).index)
    details: list[JSON] = [
        {"entry": entry.seq, "request_id": entry.request_id, "at": entry.at, "as": origin, "state": entry.state}
        for origin, entry in hits
    ]
    best = [entry for origin, entry in hits if origin == status and status in ("released", "made")]
    return Evidence("record", status, _RECORD[status], {"entries": details}), best


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
    return "released" if role == "release" and released(reader, entry) else "made"


def released(reader: Reader, entry: Entry) -> bool:
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


# --- the looks that need the registry --------------------------------------------------------------------------------


_MARK = {
    "none": "No mark of this installation was found in it.",
    "recovered": "It carries the mark of an entry here, and shows the picture that the entry released.",
    "transplanted": "It carries the mark of an entry here, and does not show the picture that the entry released.",
    "unverified": "It carries a mark of this installation; whether it is the picture that was marked cannot be told.",
    "unreadable": "It does not decode, so no mark was looked for.",
}
_UNPROVED = "It names an entry that cannot be proved to be in the record: run  guard audit verify."


def _image_mark(image: Image, registry: Registry, detect: Detector, *, search: bool) -> Looked:
    """A mark alone proves nothing, since it can be copied: what it names must have shown the same picture."""
    from guard.provenance.fingerprint import image as prints

    try:
        found = detect(image, search)
        picture = prints.opened(image) if found is not None else None
    except ContentError:
        return Evidence("watermark", "unreadable", _MARK["unreadable"]), ()
    except MissingExtra as error:
        return Evidence("watermark", "not_looked", str(error)), ()
    if found is None or picture is None:
        return Evidence("watermark", "none", _MARK["none"]), ()
    details: dict[str, JSON] = {"mark_id": found.mark_id.hex(), "key_id": found.key_id}
    view = prints.View(found.scale, found.rotation, found.flipped)
    likes = ((registry.fits(picture, entry, view), entry) for entry in registry.marked(found.mark_id))
    told = [(like, entry) for like, entry in likes if like is not None and like.same is not None]
    if not told:
        return Evidence("watermark", "unverified", _MARK["unverified"], details), ()
    like, entry = max(told, key=lambda it: it[0].whole)
    status = "recovered" if like.same else "transplanted"
    details |= {"entry": entry.seq, "likeness": round(like.whole, 3)}
    return Evidence("watermark", status, _MARK[status], details), [entry]


def _fingerprint(content: Content, registry: Registry, reader: Reader | None) -> Looked:
    """Of what was released only, where a reader is given to tell."""
    try:
        hits = [hit for hit in registry.similar(content) if reader is None or released(reader, hit.entry)]
    except ContentError as error:
        return Evidence("fingerprint", "unreadable", f"It cannot be compared: {error}."), ()
    except MissingExtra as error:
        return Evidence("fingerprint", "not_looked", str(error)), ()
    if not hits:
        return Evidence("fingerprint", "none", "Nothing released here is much like it."), ()
    message = "Something much like it was released here."
    return Evidence("fingerprint", "similar", message, {"entries": _likes(hits)}), [hit.entry for hit in hits]


def _likes(hits: Sequence[Hit]) -> list[JSON]:
    return [
        {
            "entry": hit.entry.seq,
            "request_id": hit.entry.request_id,
            "at": hit.entry.at,
            "likeness": round(hit.likeness, 3),
        }
        for hit in hits
    ]


def _proved(entry: Entry, reader: Reader, vkeys: Sequence[str]) -> Named | None:
    """The entry with its receipt; None while no checkpoint covers it."""
    receipt = reader.receipt(entry.seq)
    if receipt is None:
        return None
    proved = None
    if vkeys:
        try:
            verify_receipt(receipt, vkeys, leaf=entry.leaf)
            proved = entry.intact
        except EvidenceError:
            proved = False
    return Named(entry.seq, entry.at, entry.request_id, entry.state, receipt, proved)
