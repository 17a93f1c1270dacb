"""Provenance: what the content credential of an image, sound, film or document says, and whether it holds.

A file without a credential has no finding: that says nothing about its origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from guard import settings
from guard.digest import label
from guard.keys import KeyRing
from guard.provenance.certs import configured_anchors, development_anchor, read_anchors
from guard.provenance.credentials import Credential, State, read
from guard.types import Content, Finding, Item, Text

# How much each state is worth: the signer of `valid` is unknown, that of `expired` is out of date.
_AI = {
    State.TRUSTED: 1.0,
    State.VALID: 0.8,
    State.EXPIRED: 0.8,
    State.NOT_YET_VALID: 0.8,
    State.CONTRADICTED: 0.8,
}
_BAD = {
    State.INVALID: ("credential_invalid", 1.0, "the credential does not hold: the file or the credential was changed"),
    State.CONTRADICTED: ("credential_contradicted", 1.0, "made from an input whose credential does not hold"),
    State.VALID: ("credential_untrusted", 0.5, "the credential is intact, and its signer unknown here"),
    State.EXPIRED: ("credential_untrusted", 0.5, "the credential is intact, and its signer's certificate has expired"),
    State.NOT_YET_VALID: (
        "credential_untrusted",
        0.5,
        "the credential is intact, and its signer's certificate not valid yet",
    ),
}


class ProvenanceChecker:
    """Reports what the credentials of files say: ai_generated, credential_invalid, _contradicted and _untrusted."""

    class Params(BaseModel):
        """`anchors`: PEM files of certificate authorities to trust beside this installation's own."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        anchors: tuple[Path, ...] = Field((), description="PEM files of trusted certificate authorities")

    name = "provenance"
    version = "1.1.0"  # with the digest of the anchors that it trusts, where there are any
    kinds: ClassVar[frozenset[str]] = frozenset({"image", "audio", "video", "document"})
    horizon = "document"

    def __init__(self, params: Params | None = None, *, keys: KeyRing | None = None) -> None:
        chosen = settings.load()
        self._anchors = configured_anchors(chosen.c2pa_chain)
        self._anchors += [read_anchors(path) for path in (params or self.Params()).anchors]
        self._stampers = [read_anchors(chosen.tsa_anchors)] if chosen.tsa_anchors else []
        if pinned := [*self._anchors, *self._stampers]:
            self.version += f" anchors {label(''.join(pinned).encode())}"
        self._keys = keys or KeyRing(chosen.keys)

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """Findings for each item. Raises ContentError for an image that cannot be parsed."""
        own = development_anchor(self._keys)  # each time, because the authority is made when the first image is stamped
        anchors = [*self._anchors, *([own] if own else [])]
        return [_findings(self._credential(item.content, anchors)) for item in items]

    def _credential(self, content: Content, anchors: Sequence[str]) -> Credential:
        if isinstance(content, Text):
            return Credential(State.NONE)
        return read(content, anchors, stampers=self._stampers)


def _findings(found: Credential) -> list[Finding]:
    findings = []
    if found.ai_generated and found.state in _AI:
        findings.append(Finding("ai_generated", _AI[found.state], message="the credential says that AI made it"))
    if found.state in _BAD:
        category, score, message = _BAD[found.state]
        codes = ", ".join(found.problems)
        findings.append(Finding(category, score, message=f"{message} ({codes})" if codes else message))
    return findings
