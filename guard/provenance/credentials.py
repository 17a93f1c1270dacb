"""Content credentials (C2PA) in images: signed on the way out, read and judged on the way in.

The library's own verdict is not enough: it calls an intact claim about a tampered parent "Trusted". So every ingredient is
walked, and such a file is `contradicted`. Each call has its own library context: the default one would fetch remote manifests.
"""

from __future__ import annotations

import datetime as dt
import enum
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NoReturn

from guard import media
from guard.digest import JSON
from guard.errors import ContentError, MissingExtra, StampError
from guard.provenance.certs import ACCEPTED_PURPOSES, Clock, Identity, utcnow
from guard.types import Image, PolicyRef
from guard.version import VERSION

logger = logging.getLogger(__name__)

ALGORITHM = "c2pa"
GENERATION = "org.genguard.generation"
SIGNABLE = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})

_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_GENERATED = _SOURCES + "trainedAlgorithmicMedia"
_AI_SOURCES = frozenset({_GENERATED, _SOURCES + "compositeWithTrainedAlgorithmicMedia"})
_PARENT = "parent"

# Who signed is unknown or no longer vouched for; the bytes and the claim still hold.
_UNTRUSTED = frozenset({"signingCredential.untrusted", "timeStamp.untrusted"})
_EXPIRED = "signingCredential.expired"
_SOFT = _UNTRUSTED | {_EXPIRED}
_SUCCESSES = (".validated", ".match", ".trusted", ".insideValidity", ".accessible", ".notRevoked")


class State(enum.StrEnum):
    """`valid`: intact, signer unknown. `expired`: intact, signer out of date. `contradicted`: intact, about a broken input."""

    TRUSTED = "trusted"
    VALID = "valid"
    EXPIRED = "expired"
    INVALID = "invalid"
    CONTRADICTED = "contradicted"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a credential says about a generated image. A prompt is named by its keyed digest only."""

    request_id: str
    policy: PolicyRef
    model: str
    model_version: str | None = None
    weights: str | None = None
    prompt_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """What an image's credential says, and how far it holds. `problems` are C2PA status codes, never content.

    `generation` is our own assertion, where there is one; it is a claim of `signer`, and worth as much as `state` says.
    """

    state: State
    ai_generated: bool = False
    signer: str | None = None
    generator: str | None = None
    generation: Mapping[str, JSON] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __bool__(self) -> NoReturn:
        raise TypeError("a credential is neither true nor false: compare its state")


def sign(image: Image, claim: Claim, identity: Identity, *, now: Clock = utcnow) -> Image:
    """The image with a signed credential in it, read back before it is returned. Raises StampError or MissingExtra.

    A credential that the image already carries is kept, as the parent that ours builds on.
    """
    c2pa = _library()
    kind = media.media_type(image.data)
    if kind not in SIGNABLE:
        raise StampError(f"no credential can be put into {kind or 'this format'}: make PNG, JPEG, WebP or GIF")
    inherits = b"jumb" in image.data  # every embedded credential is a JUMBF box
    target = io.BytesIO()
    try:
        with ExitStack() as stack:
            info = c2pa.C2paSignerInfo(identity.algorithm, identity.chain.encode(), identity.key.encode(), None)
            context = stack.enter_context(c2pa.Context.from_dict(_settings(()), signer=c2pa.Signer.from_info(info)))
            manifest = _manifest(claim, now(), parent=inherits)
            builder = stack.enter_context(c2pa.Builder(manifest, context=context))
            if inherits:
                parent = {"title": "input", "relationship": "parentOf", "instance_id": _PARENT}
                builder.add_ingredient(parent, kind, io.BytesIO(image.data))
            builder.sign(kind, io.BytesIO(image.data), target)
    except c2pa.C2paError as error:
        logger.warning("an image could not be signed: %s", error)
        raise StampError("the image could not be signed: see the log, and check the certificate and its key") from error
    signed = Image(target.getvalue(), kind)
    written = read(signed)
    if written.state not in (State.VALID, State.TRUSTED):
        problems = ", ".join(written.problems)
        logger.warning("a signed image does not verify: %s", problems)
        raise StampError(
            f"the signed image does not verify ({problems}): check the key, and the credential of the input"
        )
    return signed


def read(image: Image, anchors: Sequence[str] = ()) -> Credential:
    """Read and judge an image's credential. `anchors` are PEM certificates of trusted authorities; no others are trusted.

    Raises ContentError where the bytes are no image that can be parsed. Nothing is fetched over the network.
    """
    c2pa = _library()
    kind = media.media_type(image.data) or image.media_type  # the library looks at the bytes again itself
    try:
        with ExitStack() as stack:
            context = stack.enter_context(c2pa.Context.from_dict(_settings(anchors)))
            reader = c2pa.Reader.try_create(kind, io.BytesIO(image.data), context=context)
            if reader is None:
                return Credential(State.NONE)
            stack.enter_context(reader)
            report = json.loads(reader.json())
    except c2pa.C2paError as error:
        return _unreadable(error, c2pa, kind)
    return _judge(report)


# --- writing ---------------------------------------------------------------------------------------------------------


def _library() -> Any:
    try:
        import c2pa  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("content credentials", "images") from error
    return c2pa


def _settings(anchors: Sequence[str]) -> dict[str, object]:
    trust: dict[str, object] = {"trust_config": "\n".join(oid.dotted_string for oid in ACCEPTED_PURPOSES)}
    if anchors:
        trust["trust_anchors"] = "\n".join(anchors)
    return {
        "trust": trust,
        "verify": {
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_after_sign": False,  # `sign` reads the result back itself, and walks the ingredients too
            "verify_trust": bool(anchors),
        },
        "builder": {"thumbnail": {"enabled": False}},
    }


def _manifest(claim: Claim, now: dt.datetime, *, parent: bool) -> dict[str, object]:
    agent = {"name": claim.model, "version": claim.model_version} if claim.model_version else {"name": claim.model}
    when = now.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    made = {"when": when, "digitalSourceType": _GENERATED, "softwareAgent": agent}
    actions: list[dict[str, object]] = [{"action": "c2pa.created", **made}]
    if parent:
        actions = [
            {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT]}},
            {"action": "c2pa.published", **made},
        ]
    not_allowed = {"use": "notAllowed"}
    return {
        "claim_generator_info": [{"name": "genguard", "version": VERSION}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": "c2pa.ai-disclosure", "data": _disclosure(claim)},
            {
                "label": "cawg.training-mining",
                "data": {
                    "entries": {
                        "cawg.ai_generative_training": not_allowed,
                        "cawg.ai_training": not_allowed,
                        "cawg.data_mining": not_allowed,
                    }
                },
            },
            {"label": GENERATION, "data": _generation(claim)},
        ],
    }


def _disclosure(claim: Claim) -> dict[str, str]:
    disclosure = {"modelType": "c2pa.types.model", "modelName": claim.model}
    return {**disclosure, "modelIdentifier": claim.weights} if claim.weights else disclosure


def _generation(claim: Claim) -> dict[str, object]:
    data: dict[str, object] = {
        "request_id": claim.request_id,
        "policy": claim.policy._asdict(),
        "model": {"name": claim.model, "weights": claim.weights},
    }
    return {**data, "prompt": claim.prompt_digest} if claim.prompt_digest else data


# --- judging ---------------------------------------------------------------------------------------------------------


def _unreadable(error: Exception, c2pa: Any, kind: str) -> Credential:
    """The library raises for what it cannot parse; its message tells a broken file from a broken credential."""
    text = str(error)
    if text.startswith("Remote"):
        return Credential(State.NONE, problems=("manifest.remote",))  # it lies on somebody's server, and stays there
    if isinstance(error, c2pa.C2paError.NotSupported) and kind not in SIGNABLE:
        return Credential(State.NONE, problems=("format.unsupported",))
    unparsable = isinstance(error, c2pa.C2paError.NotSupported | c2pa.C2paError.Io)
    if unparsable or "asset could not be parsed" in text:
        raise ContentError("the image is truncated or malformed") from error
    return Credential(State.INVALID, problems=("manifest.unreadable",))


def _judge(report: Mapping[str, Any]) -> Credential:
    manifests: Mapping[str, Any] = report.get("manifests") or {}
    active = manifests.get(report.get("active_manifest") or "")
    if active is None:
        return Credential(State.INVALID, problems=("manifest.unreadable",))
    results = report.get("validation_results") or {}
    own = _codes(results.get("activeManifest"), "failure")
    # The library's "Trusted" also asks for the signers of all inputs; here it is about who signed this image.
    vouched = "signingCredential.trusted" in _codes(results.get("activeManifest"), "success")
    inputs = [*_deltas(results), *_ingredient_failures(active, manifests)]
    signer = active.get("signature_info") or {}
    makers = active.get("claim_generator_info") or [{}]
    return Credential(
        state=_state(str(report.get("validation_state")), own, inputs, vouched=vouched),
        ai_generated=any(_says_generated(manifest) for manifest in _lineage(active, manifests)),
        signer=_string(signer.get("common_name")) or _string(signer.get("issuer")),
        generator=_string(makers[0].get("name")),
        generation=_assertion(active, GENERATION),
        problems=tuple(dict.fromkeys([*own, *(f"ingredient: {code}" for code in inputs)])),
    )


def _state(reported: str, own: Sequence[str], inputs: Sequence[str], *, vouched: bool) -> State:
    broken_input = any(not _soft(code) for code in inputs)
    if reported == "Invalid":
        if any(not _soft(code) for code in own):
            return State.INVALID
        if broken_input:
            return State.CONTRADICTED
        return State.EXPIRED if _EXPIRED in own else State.INVALID
    if broken_input:
        return State.CONTRADICTED
    return State.TRUSTED if vouched else State.VALID


def _soft(code: str) -> bool:
    """Identity claims beside the credential (CAWG) say who somebody is, not whether the bytes hold."""
    return code in _SOFT or code.startswith("cawg.")


def _codes(results: object, outcome: str) -> list[str]:
    if not isinstance(results, Mapping):
        return []
    return [_code(status) for status in results.get(outcome) or [] if isinstance(status, Mapping)]


def _code(status: Mapping[str, Any]) -> str:
    """What failed inside an ingredient is what its signer wrote down, so it may be any text; only a code goes further."""
    code = str(status.get("code"))
    return code if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", code) else "unknown"


def _deltas(results: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for delta in results.get("ingredientDeltas") or []:
        found += _codes(delta.get("validationDeltas"), "failure")
    return found


def _ingredient_failures(active: Mapping[str, Any], manifests: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for manifest in _lineage(active, manifests):
        for ingredient in manifest.get("ingredients") or []:
            results = ingredient.get("validation_results") or {}
            found += [*_codes(results.get("activeManifest"), "failure"), *_deltas(results)]
            # Claims of version 1 list their failures here, seldom with a flag that says so.
            old = [status for status in ingredient.get("validation_status") or [] if status.get("success") is not True]
            found += [code for code in map(_code, old) if not code.endswith(_SUCCESSES)]
            label = ingredient.get("active_manifest")
            if label is not None and label not in manifests:
                found.append("ingredient.manifest.missing")
    return found


def _lineage(active: Mapping[str, Any], manifests: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The active manifest and all that it builds on, each once: a hostile file may refer in circles."""
    waiting, seen = [active], set()
    while waiting:
        manifest = waiting.pop()
        yield manifest
        for ingredient in manifest.get("ingredients") or []:
            label = ingredient.get("active_manifest")
            if label in manifests and label not in seen:
                seen.add(label)
                waiting.append(manifests[label])


def _says_generated(manifest: Mapping[str, Any]) -> bool:
    for label in ("c2pa.actions.v2", "c2pa.actions"):
        actions = _assertion(manifest, label).get("actions")
        for action in actions if isinstance(actions, list) else []:
            if isinstance(action, Mapping) and action.get("digitalSourceType") in _AI_SOURCES:
                return True
    return False


def _assertion(manifest: Mapping[str, Any], label: str) -> Mapping[str, JSON]:
    for assertion in manifest.get("assertions") or []:
        if assertion.get("label") == label and isinstance(assertion.get("data"), Mapping):
            data: Mapping[str, JSON] = assertion["data"]
            return data
    return {}


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None
