"""Marks for what is about to be released, in a fixed order: watermark, label, credential (registry and record follow).

A mark that cannot be made is reported in the stamp, with the content unchanged; whether that withholds it is the policy's say.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from guard import media
from guard.digest import JSON, keyed
from guard.errors import KeyFileError, MissingExtra, StampError
from guard.keys import KeyRing
from guard.provenance import credentials, manifest
from guard.provenance.certs import Clock, Identity, development_identity, utcnow
from guard.types import Content, Image, Layer, PolicyRef, Stamp, Text

logger = logging.getLogger(__name__)

MANIFEST = "manifest"
_PROMPT_KEY = "prompt-digest"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the marks say about where content comes from, whatever its kind."""

    request_id: str
    policy: PolicyRef
    generator: Mapping[str, JSON]
    prompt: Content | None = None


class Stamper:
    """Makes the marks of one deployment. `signer` signs media; without it a development authority does, which says so."""

    def __init__(self, keys: KeyRing, *, signer: Identity | None = None, clock: Clock = utcnow) -> None:
        self._keys = keys
        self._clock = clock
        self._known = signer

    def stamp(
        self,
        content: Content,
        *,
        request_id: str,
        policy: PolicyRef,
        generator: Mapping[str, JSON],
        layers: tuple[Layer, ...] = (),
        prompt: Content | None = None,
    ) -> tuple[Content, Stamp]:
        """The content as it may be released, and its stamp. `layers` are marks that the generator made already.

        The order is fixed, because each step covers those before it: watermark → label → credential → registry → record. The
        last two are rows of one transaction, which `guard.ledger` makes once the decision stands.
        """
        origin = Origin(request_id, policy, generator, prompt)
        content, marks = self._watermark(content, layers)
        content, labels = self._label(content)
        content, credential, statement = self._credential(content, origin, marks)
        return content, Stamp(content.digest, (credential, *marks, *labels), statement)

    # --- the steps, in their order -----------------------------------------------------------------------------------

    def _watermark(self, content: Content, layers: tuple[Layer, ...]) -> tuple[Content, tuple[Layer, ...]]:
        """A text was marked while it was drawn, or never will be."""
        return content, layers

    def _label(self, content: Content) -> tuple[Content, tuple[Layer, ...]]:
        """What people and other software read: labels and XMP, before the credential, which binds them."""
        return content, ()

    def _credential(
        self, content: Content, origin: Origin, marks: tuple[Layer, ...]
    ) -> tuple[Content, Layer, str | None]:
        """The signed claim: inside an image; of a text, which cannot carry it, beside it."""
        if isinstance(content, Text):
            layer, statement = self._statement(content, origin, marks)
            return content, layer, statement
        if isinstance(content, Image):
            signed, layer = self._signed(content, origin)
            return signed, layer, None
        return content, Layer(MANIFEST, "not_applicable", "", {"reason": f"none is made for {content.kind} yet"}), None

    def _statement(self, text: Text, origin: Origin, marks: tuple[Layer, ...]) -> tuple[Layer, str | None]:
        mark = next((layer for layer in marks if layer.kind == "watermark"), None)
        statement = manifest.statement(
            text.text,
            request_id=origin.request_id,
            policy=origin.policy,
            generator=_public(origin.generator),
            watermark={"status": mark.status, "algorithm": mark.algorithm} if mark else None,
            created=self._clock(),
            salt=secrets.token_hex(16),
        )
        try:
            key = self._keys.signing_key(MANIFEST)
            signed = manifest.sign(statement, key)
        except (KeyFileError, StampError) as error:
            return _failed(manifest.FORMAT, error), None
        detail: dict[str, JSON] = {"key_id": manifest.public_key(key.public_key())}
        return Layer(MANIFEST, "applied", manifest.FORMAT, detail), signed

    def _signed(self, image: Image, origin: Origin) -> tuple[Image, Layer]:
        if media.media_type(image.data) not in credentials.SIGNABLE:
            return image, Layer(MANIFEST, "failed", credentials.ALGORITHM, {"reason": "unsupported_format"})
        try:
            identity = self._identity()
            signed = credentials.sign(image, self._claim(origin), identity, now=self._clock)
        except (MissingExtra, KeyFileError, StampError) as error:
            return image, _failed(credentials.ALGORITHM, error)
        detail: dict[str, JSON] = {
            "media_type": signed.media_type,
            "signer": identity.fingerprint,
            "signer_expires": identity.expires.isoformat(),
            "development": identity.development,
        }
        return signed, Layer(MANIFEST, "applied", credentials.ALGORITHM, detail)

    # --- what the steps need -----------------------------------------------------------------------------------------

    def _claim(self, origin: Origin) -> credentials.Claim:
        return credentials.Claim(
            request_id=origin.request_id,
            policy=origin.policy,
            model=_model(origin.generator),
            model_version=_string(origin.generator.get("revision")),
            weights=_string(origin.generator.get("weights")),
            prompt_digest=self._prompt_digest(origin.prompt, origin.request_id) if origin.prompt else None,
        )

    def _identity(self) -> Identity:
        if self._known is None:
            self._known = development_identity(self._keys, now=self._clock)
        return self._known

    def _prompt_digest(self, prompt: Content, request_id: str) -> str | None:
        """A keyed digest, and another one for each request, so that equal prompts cannot be told from the images."""
        try:
            key = self._keys.secret(_PROMPT_KEY)
        except KeyFileError as error:
            logger.warning("no prompt digest is stamped: %s", error)
            return None
        name = request_id.encode("utf-8", "surrogatepass")
        return "hmac-sha256:" + keyed(key, _PROMPT_KEY, b"%d:%b:%b" % (len(name), name, prompt.data)).hex()


def manifest_sha256(stamp: Stamp) -> str | None:
    """`sha256:<hex>` of a stamp's manifest, for the record; None where the content carries its marks itself."""
    return manifest.manifest_sha256(stamp.manifest) if stamp.manifest is not None else None


_REASONS: dict[type[Exception], str] = {
    MissingExtra: "missing_extra",
    KeyFileError: "key_file",
    StampError: "signing_failed",
}


def _failed(algorithm: str, error: Exception) -> Layer:
    """A mark that could not be made; the record gets the reason, the log what to do."""
    reason = _REASONS[type(error)]
    logger.warning("a mark could not be made (%s): %s", reason, error)
    return Layer(MANIFEST, "failed", algorithm, {"reason": reason})


def _public(generator: Mapping[str, JSON]) -> dict[str, JSON]:
    """What may be told to everybody: parameters, for one, may quote the request."""
    facts: dict[str, JSON] = {"model": _model(generator)}
    return facts | {name: generator.get(name) for name in ("revision", "weights") if generator.get(name)}


def _model(generator: Mapping[str, JSON]) -> str:
    """The model's name; of a path only the last part, because a stamp leaves the house."""
    name = _string(generator.get("model")) or "unknown"
    return PurePath(name).name if PurePath(name).is_absolute() else name


def _string(value: JSON) -> str | None:
    return value if isinstance(value, str) and value else None
