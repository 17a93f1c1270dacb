"""Credentials inside texts that leave as files: in the markup of SVG and HTML, else in characters that nobody sees.

C2PA 2.4 lets a bare text carry its credential as variation selectors at its end (annex A.8), and HTML as an element of its head
(A.7). A bare text grows by some three thousand characters and breaks on any edit, so chat answers do without; an exported
document carries it where the policy says so. The text is put into Unicode form NFC, which the standard asks for.

The hash of the text stands in the credential together with the length of what carries the credential. That length depends on
the signature, and the implementations disagree on how to pad it; so we sign until the length is the one that was foretold.
"""

from __future__ import annotations

import base64
import re
import statistics
import unicodedata
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from guard.digest import sha256
from guard.errors import ContentError, MissingExtra, StampError
from guard.provenance import library
from guard.provenance.certs import Clock, Identity, utcnow
from guard.provenance.claim import Claim, Lineage, definition
from guard.provenance.credentials import check
from guard.provenance.judge import Credential, State, judge
from guard.provenance.library import Trust
from guard.types import Text

ALGORITHM = "c2pa-text"
TRIES = 400  # a dozen will do in most cases

_SVG = "image/svg+xml"
_HASH, _MISMATCH = "c2pa.hash.data", "assertion.dataHash.mismatch"
_CANDIDATE = re.compile("\ufeff[\ufe00-\ufe0f\U000e0100-\U000e01ef]{13}")


def media_type(text: str) -> str:
    """image/svg+xml, text/html or text/plain, by how a text begins."""
    head = text.lstrip("\ufeff \t\r\n")[:512].lower()
    if head.startswith("<svg") or (head.startswith("<?xml") and "<svg" in head):
        return _SVG
    return "text/html" if head.startswith(("<!doctype html", "<html")) else "text/plain"


def sign(text: Text, claim: Claim, identity: Identity, *, now: Clock = utcnow) -> tuple[Text, Credential]:
    """The text with a signed credential in it, and that credential as read back. Raises StampError or MissingExtra."""
    manifest = definition(claim, now(), Lineage())
    try:
        if read(text).state is not State.NONE:
            raise StampError("the text carries a credential already, which would be lost: sign the text without it")
        plain = text.text.encode()
        marked = library.issue(_SVG, plain, manifest, identity).decode() if media_type(text.text) == _SVG else None
        signed = Text(marked if marked is not None else _bound(text.text, manifest, identity))
        written = read(signed)
    except (ContentError, UnicodeEncodeError) as error:
        raise StampError("the text cannot carry a credential: it is not valid Unicode, or not well-formed") from error
    check(written, stamped=False)
    return signed, written


def read(text: Text, anchors: Sequence[str] = (), *, stampers: Sequence[str] = ()) -> Credential:
    """Read and judge the credential in a text; trust and errors as in `guard.provenance.credentials.read`."""
    trust, kind = Trust(anchors, stampers), media_type(text.text)
    if kind == _SVG:
        try:
            svg = library.report(_SVG, text.data, trust)
        except library.Unreadable as error:
            return Credential(State.INVALID, problems=(error.code,))
        return judge(svg) if svg is not None else Credential(State.NONE)
    manifest, code = _extracted(text.text, kind)
    if manifest is None:
        return Credential(State.INVALID, problems=(code,)) if code else Credential(State.NONE)
    try:
        found = library.report(library.SIDECAR, manifest, trust, detailed=True)
        whole = library.report(library.SIDECAR, manifest, trust)
    except (library.Unreadable, ContentError):
        return Credential(State.INVALID, problems=("manifest.unreadable",))
    if found is None or whole is None:
        return Credential(State.INVALID, problems=("manifest.unreadable",))
    return judge(_rebound(whole, holds=_holds(text.text, kind, manifest, _binding(found))))


# --- signing ---------------------------------------------------------------------------------------------------------


def _bound(text: str, manifest: Mapping[str, Any], identity: Identity) -> str:
    kind = media_type(text)
    normal = unicodedata.normalize("NFC", text) if kind == "text/plain" else text
    marked, start, length = _framed(normal, kind, b"")
    outside = _outside(marked.encode(), start, length)
    bound = list(sha256(outside if kind == "text/html" else normal.encode()))
    expected, seen = 0, []
    for _ in range(TRIES):
        exclusion = {"exclusions": [{"start": start, "length": expected}], "alg": "sha256", "hash": bound, "pad": []}
        binding = {"label": _HASH, "data": {**exclusion, "name": "jumbf manifest"}, "created": True}
        whole = {**manifest, "assertions": [*manifest["assertions"], binding]}
        marked, start, length = _framed(normal, kind, library.issue(library.SIDECAR, b"", whole, identity))
        if length == expected:
            return marked
        seen.append(length)
        expected = statistics.median_low(seen)
    raise StampError(f"no credential of the foretold length came about in {TRIES} tries: try again")


def _framed(text: str, kind: str, manifest: bytes) -> tuple[str, int, int]:
    """The text with a manifest in it, and where: first byte and number of bytes."""
    c2pa_text = _library()
    if kind == "text/html":
        try:
            made = c2pa_text.embed_html_inline(text, manifest)
        except c2pa_text.HtmlError as error:
            raise StampError("an HTML document carries its credential in its head: give it a <head>") from error
        return made.html, made.exclusion_start, made.exclusion_length
    wrapper: str = c2pa_text.encode_wrapper(manifest)
    return text + wrapper, len(text.encode()), len(wrapper.encode())


def _outside(data: bytes, start: int, length: int) -> bytes:
    return data[:start] + data[start + length :]


# --- reading ---------------------------------------------------------------------------------------------------------


def _extracted(text: str, kind: str) -> tuple[bytes | None, str]:
    """The manifest, or else why what looks like one is none ("" where nothing looks like one)."""
    if kind == "text/plain" and not _CANDIDATE.search(text):
        return None, ""
    c2pa_text = _library()
    try:
        if kind == "text/html":
            found = c2pa_text.extract_html(text)
            if found is None or found.reference is not None:
                return None, ""
            return found.manifest, "manifest.html.corrupted"
        located = c2pa_text.find_wrapper_info(text)
    except c2pa_text.HtmlError:
        return None, "manifest.html.multipleManifests"
    except ValueError:
        return None, "manifest.text.multipleWrappers"
    return (located[0], "") if located else (None, "manifest.text.corruptedWrapper")


def _binding(found: Mapping[str, Any]) -> Mapping[str, Any]:
    active = (found.get("manifests") or {}).get(found.get("active_manifest") or "") or {}
    binding = (active.get("assertion_store") or {}).get(_HASH)
    return binding if isinstance(binding, Mapping) else {}


def _holds(text: str, kind: str, manifest: bytes, binding: Mapping[str, Any]) -> bool:
    """Whether the credential is about this text: it leaves out exactly its own carrier, and hashes all the rest."""
    exclusions, data = binding.get("exclusions"), text.encode("utf-8", "surrogatepass")
    try:
        [exclusion] = exclusions if isinstance(exclusions, list) else []
        start, length = int(exclusion["start"]), int(exclusion["length"])
        hashed = base64.b64decode(binding["hash"]) if isinstance(binding["hash"], str) else bytes(binding["hash"])
        carrier = data[start : start + length].decode()
        rest = _outside(data, start, length).decode()
    except (KeyError, TypeError, ValueError):
        return False
    if kind == "text/html":
        inside, _ = _extracted(carrier, kind)
        whole = carrier.lower().startswith("<script") and carrier.lower().endswith("</script>")
        return whole and inside == manifest and sha256(rest.encode()) == hashed
    only = carrier.startswith("\ufeff") and not carrier[1:].strip(_SELECTORS)
    located = _library().find_wrapper_info(carrier) if only else None
    return (
        located is not None and located[0] == manifest and sha256(unicodedata.normalize("NFC", rest).encode()) == hashed
    )


_SELECTORS = "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))


def _rebound(report: dict[str, Any], *, holds: bool) -> dict[str, Any]:
    """The library does not see the text and so finds that its hash does not match: what we found takes the place of that."""
    results = (report.get("validation_results") or {}).get("activeManifest") or {}
    failures = [status for status in results.get("failure") or [] if status.get("code") != _MISMATCH]
    if not holds:
        failures.append({"code": _MISMATCH})
    results["failure"] = failures
    report["validation_state"] = "Invalid" if failures else "Valid"
    return report


def _library() -> ModuleType:
    try:
        import c2pa_text  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("a credential inside a text", "exports") from error
    module: ModuleType = c2pa_text
    return module
