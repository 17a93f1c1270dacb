"""The verdict on a credential, from what the C2PA library reports about it.

The library's own verdict is not enough: it calls an intact claim about a tampered parent "Trusted". So every ingredient is
walked, and such a file is `contradicted`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from guard.digest import JSON
from guard.provenance.claim import AI_SOURCES, GENERATION

# Who signed is unknown or no longer vouched for; the bytes and the claim still hold.
_UNTRUSTED = frozenset({"signingCredential.untrusted", "timeStamp.untrusted"})
_EXPIRED = "signingCredential.expired"
_SOFT = _UNTRUSTED | {_EXPIRED}
_SUCCESSES = (".validated", ".match", ".trusted", ".insideValidity", ".accessible", ".notRevoked")


class State(enum.StrEnum):
    """`valid`: intact, signer unknown. `expired` and `not_yet_valid`: intact, the signer's certificate was not in force.
    `contradicted`: intact, about a broken input."""

    TRUSTED = "trusted"
    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    INVALID = "invalid"
    CONTRADICTED = "contradicted"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a credential says, and how far it holds. `problems` are C2PA status codes, never content.

    `generation` is our own assertion, where there is one; it is a claim of `signer`, and worth as much as `state` says.
    `serial` is the number of the signer's certificate, `manifest` the credential's own id; `stamped` the time (ISO 8601) that a
    trusted authority vouches for.
    """

    state: State
    ai_generated: bool = False
    signer: str | None = None
    generator: str | None = None
    generation: Mapping[str, JSON] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    manifest: str | None = None
    stamped: str | None = None
    serial: str | None = None

    def __bool__(self) -> NoReturn:
        raise TypeError("a credential is neither true nor false: compare its state")


def judge(report: Mapping[str, Any]) -> Credential:
    """Judge the library's report on one file, as `Reader.json` writes it."""
    manifests: Mapping[str, Any] = report.get("manifests") or {}
    active = manifests.get(report.get("active_manifest") or "")
    if active is None:
        return Credential(State.INVALID, problems=("manifest.unreadable",))
    results = report.get("validation_results") or {}
    own = _codes(results.get("activeManifest"), "failure")
    # The library's "Trusted" also asks for the signers of all inputs; here it is about who signed this image.
    holds = _codes(results.get("activeManifest"), "success")
    vouched = "signingCredential.trusted" in holds
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
        manifest=_string(report.get("active_manifest")),
        serial=_string(signer.get("cert_serial_number")),
        stamped=_string(signer.get("time")) if "timeStamp.trusted" in holds else None,
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
            if isinstance(action, Mapping) and action.get("digitalSourceType") in AI_SOURCES:
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
