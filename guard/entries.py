"""What the entry of an outcome holds: pure functions from a deed to a draft of the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.audit.draft import Draft
from guard.digest import JSON, canonical
from guard.envelope import decision_data, layer_data, redaction_data, result_data
from guard.flow import Deed
from guard.provenance.stamp import manifest_sha256
from guard.redactor import ROLE as PSEUDONYMS
from guard.types import Action, Content, Request, Stamp, State, Text
from guard.version import VERSION

LONGEST_DETAILS = 24_000  # bytes of findings that an entry holds itself; a leaf has at most 65,535
FEW = 20


def state_of(deed: Deed) -> State:
    """What became of the content, by the decision."""
    action = deed.verdict.decision.action
    return State.BLOCKED if action is Action.BLOCK else State.HELD if action is Action.REVIEW else State.RELEASED


def request_data(request: Request) -> dict[str, JSON]:
    """What the entry says of a request. Who asks, and parameters that are text and may quote people, are sealed only."""
    return {
        "purpose": request.purpose,
        "groups": dict(request.groups),
        "params": _scalars(request.params),
        **({"tenant": request.tenant} if request.tenant is not None else {}),
    }


def _scalars(values: Mapping[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in values.items() if value is None or isinstance(value, bool | int | float)}


def sealed_request(request: Request) -> Text:
    """The whole request, as it is sealed: the same request gives the same text."""
    sealed: dict[str, JSON] = {**request_data(request), "requester": request.requester, "params": dict(request.params)}
    if request.sources:
        sealed["sources"] = list(request.sources)
    if request.image:
        sealed["image"] = request.image.digest
    return as_text(sealed)


def as_text(value: JSON) -> Text:
    """Plain data as the text that is sealed."""
    return Text(canonical(value).decode())


def draft_of(deed: Deed, opened: Mapping[str, JSON], subject: str | None) -> Draft:
    """The entry of an outcome; `opened` says which case it opens, and what else the ledger knows."""
    verdict, stamp = deed.verdict, deed.stamp
    decision = decision_data(verdict.decision)
    policy = decision.pop("policy")
    details: dict[str, Any] = {
        "results": [result_data(result) for result in verdict.results],
        "redactions": [redaction_data(stage, cut) for stage, cut in verdict.redactions],
    }
    bodies: dict[str, Content | None] = {
        "prompt": deed.request.prompt if deed.kind != "check" or deed.request.prompt != deed.output else None,
        "request": sealed_request(deed.request),
        "image": deed.request.image,
        "output": deed.output,
        "release": deed.release,
        "manifest": Text(stamp.manifest) if stamp and stamp.manifest else None,
        **(stamp.traces if stamp else {}),
        "left": Text(deed.left.text) if deed.left and deed.left.text and deed.release is None else None,
        PSEUDONYMS: as_text(deed.pseudonyms) if deed.pseudonyms else None,
    }
    shortened = len(canonical(details)) > LONGEST_DETAILS
    if shortened:
        bodies["details"] = as_text(details)
        details = _shortened(details)
    fields: dict[str, JSON] = {
        "request": request_data(deed.request),
        "generator": _facts(deed),
        "content_kind": deed.output.kind if deed.output else None,
        "items": {stage: dict(facts) for stage, facts in verdict.context.items.items()},
        "policy": policy,
        **details,
        "shortened": shortened,
        "restored": deed.restored,
        "decision": decision,
        "basis": _basis(deed),
        "guard": VERSION,
        "state": state_of(deed).value,
        "stage": deed.stage.value,
        "stamp": _stamp_data(stamp) if stamp else None,
        "of": deed.continues,
        **({"stream": deed.left.data} if deed.left else {}),
        **opened,
    }
    kept = {role: body for role, body in bodies.items() if body is not None}
    return Draft(deed.kind, deed.request.id, fields, kept, subject)


def _basis(deed: Deed) -> dict[str, JSON]:
    """How it was found and decided, in the words of DSA Art. 17(3)(c) and of the transparency database."""
    by_people = deed.continues is not None or state_of(deed) is State.HELD
    return {"automated_detection": True, "automated_decision": "partially" if by_people else "fully"}


def _facts(deed: Deed) -> dict[str, JSON] | None:
    if deed.generated is None:
        return None
    facts = dict(deed.generated.facts)
    if isinstance(params := facts.get("params"), Mapping):
        facts["params"] = _scalars(params)
    return facts


def _stamp_data(stamp: Stamp) -> dict[str, JSON]:
    # Neither the digest of the content nor the manifest, which holds it: a plain digest of personal text can be guessed.
    return {"layers": [layer_data(layer) for layer in stamp.layers], "manifest_sha256": manifest_sha256(stamp)}


def _shortened(details: Mapping[str, Any]) -> dict[str, Any]:
    """The strongest findings of each check; the sealed body has them all."""
    results = []
    for result in details["results"]:
        top = sorted(result["findings"], key=lambda finding: -finding["score"])[:FEW]
        results.append({**result, "findings": sorted(top, key=lambda finding: finding["start"] or 0)})
    return {"results": results, "redactions": details["redactions"][:FEW]}


def preview(deed: Deed) -> dict[str, Any]:
    """What `outcome_data` would say, for a deed that is not recorded: without a receipt nothing is released."""
    return {
        "request_id": deed.request.id,
        "state": state_of(deed).value,
        "decision": decision_data(deed.verdict.decision),
        "results": [result_data(result) for result in deed.verdict.results],
        "content": None,
        "stamp": None,
        "receipt": None,
        "case": None,
        "replayed": False,
    }
