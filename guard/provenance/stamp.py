"""Marks for what is about to be released, in a fixed order: watermark, label, credential (registry and record follow).

A mark that cannot be made is reported in the stamp, with the content unchanged; whether that withholds it is the policy's say.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

from guard.digest import JSON, keyed
from guard.errors import ConfigError, KeyFileError, MissingExtra, StampError
from guard.keys import KeyRing
from guard.options import AuthoritySpec
from guard.provenance import credentials, labels, manifest, watermark, wrapped
from guard.provenance.certs import Clock, Identity, development_identity, read_anchors, utcnow
from guard.provenance.claim import Claim
from guard.provenance.watermark import audio, image
from guard.types import Audio, Content, Image, Layer, Media, PolicyRef, Stamp, StampSpec, Text

logger = logging.getLogger(__name__)

MANIFEST, WATERMARK = "manifest", "watermark"
_DEFAULT = StampSpec()
_PROMPT_KEY = "prompt-digest"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the marks say of where content comes from, whatever its kind. `source` is the image that the model started from."""

    request_id: str
    policy: PolicyRef
    generator: Mapping[str, JSON]
    prompt: Content | None = None
    source: Media | None = None


class Stamper:
    """Makes the marks of one deployment. `signer` signs media; without it a development authority does, which says so.

    `authority` vouches for the time of credentials where `spec` asks for that; `record` names the log that entries go to.
    """

    def __init__(
        self,
        keys: KeyRing,
        spec: StampSpec = _DEFAULT,
        *,
        signer: Identity | None = None,
        authority: AuthoritySpec | None = None,
        record: str | None = None,
        clock: Clock = utcnow,
    ) -> None:
        if spec.timestamp == "required" and authority is None:
            raise ConfigError("the policy requires time stamps in credentials: set GUARD_TSA and GUARD_TSA_ANCHORS")
        if spec.timestamp == "preferred" and authority is None:
            logger.warning(
                "credentials get no time stamps, which the policy prefers: set GUARD_TSA and GUARD_TSA_ANCHORS"
            )
        self._keys = keys
        self._spec = spec
        self._known = signer
        self._authority = authority
        self._stampers = [read_anchors(authority.anchors)] if authority and spec.timestamp != "none" else []
        self._record = record
        self._clock = clock

    def stamp(
        self,
        content: Content,
        *,
        request_id: str,
        policy: PolicyRef,
        generator: Mapping[str, JSON],
        layers: tuple[Layer, ...] = (),
        prompt: Content | None = None,
        source: Media | None = None,
        export: bool = False,
    ) -> tuple[Content, Stamp]:
        """The content as it may be released, and its stamp. `layers` are marks that the generator made already; `export` says
        that a text leaves as a file.

        The order is fixed, because each step covers those before it: watermark → label → credential → registry → record. The
        last two are rows of one transaction, which `guard.ledger` makes once the decision stands.
        """
        origin = Origin(request_id, policy, generator, prompt, source)
        content, marks = self._watermark(content, layers)
        content, told = self._label(content, origin)
        beside = isinstance(content, Text) and not (export and self._spec.exports == "embedded")
        content, credential, statement = self._credential(content, origin, marks, beside=beside)
        return content, Stamp(content.digest, (credential, *marks, *told), statement)

    # --- the steps, in their order -----------------------------------------------------------------------------------

    def _watermark(self, content: Content, layers: tuple[Layer, ...]) -> tuple[Content, tuple[Layer, ...]]:
        """Images and sounds are marked here; a text was marked while it was drawn, or never will be."""
        if not self._spec.watermark or not isinstance(content, Image | Audio) or _marks(layers):
            return content, layers
        algorithm = image.ALGORITHM if isinstance(content, Image) else audio.ALGORITHM
        if credentials.carried(content.data):
            reason = {"reason": "carries_a_credential"}  # which a change of the pixels would break
            return content, (*layers, Layer(WATERMARK, "not_applicable", algorithm, reason))
        try:
            if isinstance(content, Image):
                key = watermark.newest(self._keys, watermark.IMAGE_MARK)
                marked, layer = image.embed(content, secrets.token_bytes(image.ID_SIZE), key)
                return marked, (*layers, layer)
            key = watermark.newest(self._keys, watermark.AUDIO_MARK)
            sound, layer = audio.embed(content, audio.provider(key), key)
        except (MissingExtra, KeyFileError) as error:
            return content, (*layers, _failed(algorithm, error, kind=WATERMARK))
        return sound, (*layers, layer)

    def _label(self, content: Content, origin: Origin) -> tuple[Content, tuple[Layer, ...]]:
        """What people and other software read: labels and XMP, before the credential, which binds them."""
        content, layer = labels.label(content, self._spec.label, origin.request_id)
        return content, (layer,) if layer else ()

    def _credential(
        self, content: Content, origin: Origin, marks: tuple[Layer, ...], *, beside: bool
    ) -> tuple[Content, Layer, str | None]:
        """The signed claim: inside a file; of a text that is no file, beside it."""
        if isinstance(content, Text) and beside:
            layer, statement = self._statement(content, origin, marks)
            return content, layer, statement
        signed, layer = self._signed(content, origin, marks)
        return signed, layer, None

    def _statement(self, text: Text, origin: Origin, marks: tuple[Layer, ...]) -> tuple[Layer, str | None]:
        mark = _marks(marks)
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

    def _signed(self, content: Content, origin: Origin, marks: tuple[Layer, ...]) -> tuple[Content, Layer]:
        algorithm = wrapped.ALGORITHM if isinstance(content, Text) else credentials.ALGORITHM
        try:
            identity = self._identity()
            signed, written, detail = self._issued(content, self._claim(origin, marks), origin.source, identity)
        except (MissingExtra, KeyFileError, StampError) as error:
            return content, _failed(algorithm, error)
        detail |= {
            "media_type": wrapped.media_type(signed.text) if isinstance(signed, Text) else signed.media_type,
            "manifest": written.manifest,
            "signer": identity.fingerprint,
            "signer_expires": identity.expires.isoformat(),
            "development": identity.development,
        }
        return signed, Layer(MANIFEST, "applied", algorithm, detail)

    def _issued(
        self, content: Content, claim: Claim, source: Media | None, identity: Identity
    ) -> tuple[Content, credentials.Credential, dict[str, JSON]]:
        """Signed, with the time where the policy asks for it. One that is only preferred is told to be missing."""
        if isinstance(content, Text):
            if self._spec.timestamp == "required":
                raise StampError(
                    "no time is stamped into texts: export a PDF, or say `exports: beside`", "timestamp_failed"
                )
            missing: dict[str, JSON] = {} if self._spec.timestamp == "none" else {"timestamp": "missing"}
            return (*wrapped.sign(content, claim, identity, now=self._clock), missing)
        issue = partial(credentials.issue, content, claim, identity, source=source, now=self._clock)
        if self._spec.timestamp == "none":
            return (*issue(), {})
        if self._authority is None:
            return (*issue(), {"timestamp": "missing"})
        try:
            signed, written = issue(authority=self._authority.url, stampers=self._stampers)
        except StampError as error:
            signed, written = issue()  # this fails too, and says why, where the time was not to blame
            if self._spec.timestamp == "required":
                raise StampError(f"the time could not be stamped: {error}", "timestamp_failed") from error
            logger.warning("a credential has no time stamp: %s", error)
            return signed, written, {"timestamp": "missing"}
        return signed, written, {"timestamp": written.stamped}

    # --- what the steps need -----------------------------------------------------------------------------------------

    def _claim(self, origin: Origin, marks: tuple[Layer, ...]) -> Claim:
        return Claim(
            request_id=origin.request_id,
            policy=origin.policy,
            model=_model(origin.generator),
            model_version=_string(origin.generator.get("revision")),
            weights=_string(origin.generator.get("weights")),
            prompt_digest=self._prompt_digest(origin.prompt, origin.request_id)
            if origin.prompt and origin.prompt.data
            else None,
            record=self._record,
            watermark=_marks(marks),
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


def _marks(layers: tuple[Layer, ...]) -> Layer | None:
    """The watermark among the layers."""
    return next((layer for layer in layers if layer.kind == WATERMARK), None)


def _failed(algorithm: str, error: MissingExtra | KeyFileError | StampError, *, kind: str = MANIFEST) -> Layer:
    """A mark that could not be made; the record gets the reason, the log what to do."""
    reason = error.reason if isinstance(error, StampError) else "key_file"
    if isinstance(error, MissingExtra):
        reason = "missing_extra"
    logger.warning("a mark could not be made (%s): %s", reason, error)
    return Layer(kind, "failed", algorithm, {"reason": reason})


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
