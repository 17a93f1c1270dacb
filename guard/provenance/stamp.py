"""Marks for what is about to be released: a credential in images, a signed manifest beside texts.

A mark that cannot be made is reported in the stamp, with the content unchanged; whether that withholds it is the policy's say.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
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


class Stamper:
    """Makes the marks of one deployment. `signer` signs images; without it a development authority does, which says so."""

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
        """The content as it may be released, and its stamp. `layers` are marks that the generator made already."""
        if isinstance(content, Text):
            made, statement = self._text(content, request_id, policy, generator, layers)
            return content, Stamp(content.digest, (made, *layers), statement)
        if isinstance(content, Image):
            claim = credentials.Claim(
                request_id=request_id,
                policy=policy,
                model=_model(generator),
                model_version=_string(generator.get("revision")),
                weights=_string(generator.get("weights")),
                prompt_digest=self._prompt_digest(prompt, request_id) if prompt else None,
            )
            content, made = self._image(content, claim)
            return content, Stamp(content.digest, (made, *layers))
        reason = {"reason": f"no manifest is made for {content.kind} yet"}
        return content, Stamp(content.digest, (Layer(MANIFEST, "not_applicable", "", reason), *layers))

    def _text(
        self,
        text: Text,
        request_id: str,
        policy: PolicyRef,
        generator: Mapping[str, JSON],
        layers: tuple[Layer, ...],
    ) -> tuple[Layer, str | None]:
        mark = next((layer for layer in layers if layer.kind == "watermark"), None)
        statement = manifest.statement(
            text.text,
            request_id=request_id,
            policy=policy,
            generator=_public(generator),
            watermark={"status": mark.status, "algorithm": mark.algorithm} if mark else None,
            created=self._clock(),
            salt=secrets.token_hex(16),
        )
        try:
            key = self._keys.signing_key(MANIFEST)
            signed = manifest.sign(statement, key)
        except KeyFileError as error:
            return _failed(manifest.FORMAT, "key_file", error), None
        except StampError as error:
            return _failed(manifest.FORMAT, "signing_failed", error), None
        detail: dict[str, JSON] = {"key_id": manifest.public_key(key.public_key())}
        return Layer(MANIFEST, "applied", manifest.FORMAT, detail), signed

    def _image(self, image: Image, claim: credentials.Claim) -> tuple[Image, Layer]:
        found = media.media_type(image.data)
        if found not in credentials.SIGNABLE:
            return image, Layer(MANIFEST, "failed", credentials.ALGORITHM, {"reason": "unsupported_format"})
        try:
            identity = self._identity()
            signed = credentials.sign(image, claim, identity, now=self._clock)
        except MissingExtra as error:
            return image, _failed(credentials.ALGORITHM, "missing_extra", error)
        except KeyFileError as error:
            return image, _failed(credentials.ALGORITHM, "key_file", error)
        except StampError as error:
            return image, _failed(credentials.ALGORITHM, "signing_failed", error)
        detail: dict[str, JSON] = {
            "media_type": signed.media_type,
            "signer": identity.fingerprint,
            "signer_expires": identity.expires.isoformat(),
            "development": identity.development,
        }
        return signed, Layer(MANIFEST, "applied", credentials.ALGORITHM, detail)

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


def _failed(algorithm: str, reason: str, error: Exception) -> Layer:
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
