"""The C2PA library, in the one place that calls it: it signs and reports; what that is worth is `guard.provenance.judge`'s say.

Each call has a context of its own: the default one fetches remote manifests and asks for revocations, which we never do.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from guard.errors import ContentError, MissingExtra, StampError
from guard.provenance.certs import ACCEPTED_PURPOSES, Identity

logger = logging.getLogger(__name__)

SIDECAR = "application/c2pa"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures and whose time stamps count: PEM certificates of authorities. One does not vouch for the other."""

    signers: Sequence[str] = ()
    stampers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Ingredient:
    """What content was made from; `relation` is a C2PA word: parentOf, inputTo."""

    name: str
    relation: str
    media_type: str
    data: bytes


class Unreadable(Exception):  # noqa: N818  (what it says of a credential)
    """There is a credential, or may be one, that cannot be judged; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def issue(
    media_type: str,
    data: bytes,
    definition: Mapping[str, object],
    identity: Identity,
    *,
    ingredients: Sequence[Ingredient] = (),
    authority: str | None = None,
) -> bytes:
    """The file with a signed credential in it; for `SIDECAR`, the credential alone. `authority` is the URL of a time stamper.

    Raises StampError, or MissingExtra.
    """
    c2pa = load()
    target = io.BytesIO()
    try:
        with ExitStack() as stack:
            signer = _signer(c2pa, identity, authority)
            context = stack.enter_context(c2pa.Context.from_dict(settings(Trust()), signer=signer))
            builder = stack.enter_context(c2pa.Builder(definition, context=context))
            for each in ingredients:
                facts = {"title": each.name, "relationship": each.relation, "instance_id": each.name}
                builder.add_ingredient(facts, each.media_type, io.BytesIO(each.data))
            if media_type == SIDECAR:
                builder.set_no_embed()
                alone: bytes = builder.sign(SIDECAR, io.BytesIO(), target)
                return alone
            builder.sign(media_type, io.BytesIO(data), target)
    except c2pa.C2paError as error:
        logger.warning("a file could not be signed: %s", error)
        raise StampError(
            "the content could not be signed: see the log, and check the certificate and its key"
        ) from error
    return target.getvalue()


def report(media_type: str, data: bytes, trust: Trust, *, detailed: bool = False) -> dict[str, Any] | None:
    """What the library finds out about a file's credential; None where it has none.

    Raises ContentError for bytes that cannot be parsed, Unreadable for a credential that cannot be looked at.
    """
    c2pa = load()
    try:
        with ExitStack() as stack:
            context = stack.enter_context(c2pa.Context.from_dict(settings(trust)))
            reader = c2pa.Reader.try_create(media_type, io.BytesIO(data), context=context)
            if reader is None:
                return None
            stack.enter_context(reader)
            found: dict[str, Any] = json.loads(reader.detailed_json() if detailed else reader.json())
    except c2pa.C2paError as error:
        raise _reason(error, c2pa) from error
    return found


def load() -> Any:
    """The library. Raises MissingExtra."""
    try:
        import c2pa  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("content credentials", "images") from error
    return c2pa


def settings(trust: Trust) -> dict[str, object]:
    """No network, no thumbnails (they take a hundred times as long as signing), and no trust but what is handed over."""
    trusted: dict[str, object] = {"trust_config": "\n".join(oid.dotted_string for oid in ACCEPTED_PURPOSES)}
    if trust.signers:
        trusted["trust_anchors"] = "\n".join(trust.signers)
    if trust.stampers:
        trusted["anchors"] = [{"trust_anchors": "\n".join(trust.stampers), "trust_kind": "tsa"}]
    return {
        "trust": trusted,
        "verify": {
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_after_sign": False,  # whoever signs reads the result back, and walks the ingredients too
            "verify_trust": bool(trust.signers),
            "verify_timestamp_trust": True,
        },
        "builder": {"thumbnail": {"enabled": False}},
    }


def _signer(c2pa: Any, identity: Identity, authority: str | None) -> Any:
    if identity.service is None:
        url = authority.encode() if authority else None
        return c2pa.Signer.from_info(
            c2pa.C2paSignerInfo(identity.algorithm, identity.chain.encode(), identity.key.encode(), url)
        )
    algorithm = c2pa.C2paSigningAlg[identity.algorithm.upper()]
    return c2pa.Signer.from_callback(_asking(identity.service.sign), algorithm, identity.chain, authority)


def _asking(sign: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The library only says that there was no signature; why is known here alone."""

    def ask(data: bytes) -> bytes:
        try:
            return sign(data)
        except Exception:
            logger.exception("the signing service did not sign")
            raise

    return ask


def _reason(error: Exception, c2pa: Any) -> ContentError | Unreadable:
    """Its message tells a broken file from a broken credential."""
    text = str(error)
    if text.startswith("Remote"):
        return Unreadable("manifest.remote")  # it lies on somebody's server, and stays there
    if isinstance(error, c2pa.C2paError.NotSupported):
        return Unreadable("format.unsupported")
    if isinstance(error, c2pa.C2paError.Io) or "asset could not be parsed" in text:
        return ContentError("the file is truncated or malformed")
    return Unreadable("manifest.unreadable")
