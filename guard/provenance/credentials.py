"""Content credentials (C2PA) in images, sounds, films and documents: signed on the way out, judged on the way in.

What is signed is read back before it leaves. Nothing is fetched over the network but the time stamp that a policy asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from guard import media
from guard.errors import ContentError, StampError
from guard.provenance import library
from guard.provenance.certs import Clock, Identity, begins_later, utcnow
from guard.provenance.claim import GENERATION, INPUT, PARENT, Claim, Lineage, definition
from guard.provenance.judge import Credential, State, judge
from guard.provenance.library import Ingredient, Trust
from guard.types import Media

__all__ = ["ALGORITHM", "GENERATION", "SIGNABLE", "Claim", "Credential", "State", "issue", "read", "sign"]

ALGORITHM = "c2pa"
# Those on whose credentials the library and an independent verifier agree; see README.md for those on which they do not.
SIGNABLE = frozenset(
    {
        "image/png", "image/jpeg", "image/webp", "image/gif", "image/tiff", "image/avif",
        "audio/wav", "audio/mpeg", "audio/flac", "audio/mp4",
        "video/mp4", "video/quicktime",
        "application/pdf",
    }
)  # fmt: skip

Signed = TypeVar("Signed", bound=Media)


def carried(data: bytes) -> bool:
    """Whether a file seems to carry a credential already."""
    return b"jumb" in data


def issue(
    content: Signed,
    claim: Claim,
    identity: Identity,
    *,
    source: Media | None = None,
    authority: str | None = None,
    stampers: Sequence[str] = (),
    now: Clock = utcnow,
) -> tuple[Signed, Credential]:
    """The content with a signed credential in it, and that credential as read back. Raises StampError or MissingExtra.

    A credential that the content already carries is kept, as the parent that ours builds on; so is that of `source`, the image
    that the model started from. `authority` is the URL of an RFC 3161 authority; its stamp must lead to one of `stampers`.
    """
    kind = media.media_type(content.data)
    if kind not in SIGNABLE:
        formats = ", ".join(sorted(SIGNABLE))
        raise StampError(f"no credential can be put into {kind or 'this format'}: use {formats}", "unsupported_format")
    lineage = Lineage(
        carried=carried(content.data), source=source is not None
    )  # every embedded credential is a JUMBF box
    ingredients = []
    if lineage.carried:
        ingredients.append(Ingredient(PARENT, "parentOf", kind, content.data))
    if source is not None:
        name, relation = (INPUT, "inputTo") if lineage.carried else (PARENT, "parentOf")
        source_kind = media.media_type(source.data) or source.media_type
        ingredients.append(Ingredient(name, relation, source_kind, source.data))
    manifest = definition(claim, now(), lineage)
    data = library.issue(kind, content.data, manifest, identity, ingredients=ingredients, authority=authority)
    signed = replace(content, data=data, media_type=kind)
    try:
        written = read(signed, stampers=stampers)
    except ContentError as error:
        raise StampError("what was signed cannot be read back: check the input") from error
    check(written, stamped=authority is not None)
    return signed, written


def sign(content: Signed, claim: Claim, identity: Identity, *, now: Clock = utcnow) -> Signed:
    """The content with a signed credential in it. See `issue`."""
    return issue(content, claim, identity, now=now)[0]


def check(written: Credential, *, stamped: bool) -> None:
    """Whether a credential that was just signed holds. Raises StampError."""
    problems = ", ".join(written.problems)
    if written.state is State.CONTRADICTED:
        raise StampError(
            f"what it was made from carries a credential that does not verify ({problems})", "input_contradicted"
        )
    if written.state not in (State.VALID, State.TRUSTED):
        raise StampError(f"what was signed does not verify ({problems}): check the key and its certificate")
    if stamped and written.stamped is None:
        raise StampError("the time stamp does not lead to a trusted authority: check GUARD_TSA_ANCHORS")


def read(content: Media, anchors: Sequence[str] = (), *, stampers: Sequence[str] = ()) -> Credential:
    """Read and judge a credential. `anchors` are PEM certificates of authorities that vouch for signers, `stampers` of those
    that vouch for the time; no others are trusted.

    Raises ContentError where the bytes cannot be parsed as what they seem to be. Nothing is fetched over the network.
    """
    kind = media.media_type(content.data) or content.media_type  # the library looks at the bytes again itself
    try:
        found = library.report(kind, content.data, Trust(anchors, stampers))
    except library.Unreadable as error:
        if error.code == "format.unsupported" and kind in SIGNABLE:  # so it only begins like one
            raise ContentError("the file is truncated or malformed") from error
        harmless = error.code in ("manifest.remote", "format.unsupported")
        return Credential(State.NONE if harmless else State.INVALID, problems=(error.code,))
    if found is None:
        return Credential(State.NONE)
    credential = judge(found)
    if credential.state is State.EXPIRED and begins_later(content.data, credential.serial, utcnow()):
        return replace(credential, state=State.NOT_YET_VALID)
    return credential
