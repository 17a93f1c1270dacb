"""Signed statements about texts, which cannot carry them: a DSSE envelope beside the text.

What is hashed is the text in Unicode form NFC, with CR LF as LF and without line breaks at its end, because editors, mail and
terminals change these and nothing else that a reader could see. Signed are the bytes of the payload as they are (DSSE's
pre-authentication encoding), so nothing is ever serialised again to be verified.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import enum
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guard.digest import JSON, canonical, label
from guard.errors import StampError
from guard.types import PolicyRef

FORMAT = "genguard.text-manifest/1"
PAYLOAD_TYPE = "application/vnd.genguard.text-manifest.v1+json"
MAX_SIZE = 1 << 16
MAX_MARKS = 1024

_KEY_PREFIX = "ed25519:"


class State(enum.StrEnum):
    """`altered`: the text or the statement is not what was signed. `unknown_signer`: intact, by a key not trusted here."""

    VALID = "valid"
    ALTERED = "altered"
    UNKNOWN_SIGNER = "unknown_signer"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far a text manifest holds. Only where the state is `valid` is the statement more than a claim."""

    state: State
    statement: Mapping[str, JSON] = field(default_factory=dict)
    key_id: str | None = None
    problem: str = ""

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict is neither true nor false: compare its state")


def normalise(text: str) -> bytes:
    """The bytes that are hashed. Two texts that differ in anything else differ here."""
    unified = text.replace("\r\n", "\n").rstrip("\r\n")
    if normalisable(unified):
        unified = unicodedata.normalize("NFC", unified)
    return unified.encode("utf-8", "surrogatepass")


def normalisable(text: str) -> bool:
    """Normalising takes time quadratic in the longest run of combining marks, so texts with absurd runs stay as they are."""
    if not text or max(text) < "\u0300":  # nothing below this composes with what follows it
        return False
    marks = [char for char in set(text) if unicodedata.combining(unicodedata.normalize("NFD", char)[0])]
    if not marks:
        return True
    runs = re.finditer("[" + re.escape("".join(marks)) + "]+", text)
    return all(run.end() - run.start() <= MAX_MARKS for run in runs)


def statement(
    text: str,
    *,
    request_id: str,
    policy: PolicyRef,
    generator: Mapping[str, JSON],
    watermark: Mapping[str, JSON] | None,
    created: dt.datetime,
    salt: str,
) -> dict[str, JSON]:
    """What is said about a text: a digest of it, who made it, and under which policy it was released.

    The random `salt` is for the record, which keeps a digest of the manifest: nobody can make the manifest of a text that they
    guess, not even with the key that signs.
    """
    data = normalise(text)
    return {
        "format": FORMAT,
        "text_sha256": label(data),
        "length": len(data),
        "ai_generated": True,
        "generator": dict(generator),
        "policy": policy._asdict(),
        "request_id": request_id,
        "created": created.astimezone(dt.UTC).isoformat(timespec="seconds"),
        "watermark": dict(watermark) if watermark else None,
        "salt": salt,
    }


def sign(payload: Mapping[str, JSON], key: Ed25519PrivateKey) -> str:
    """A manifest: one line of JSON. Keep it exactly as it is, beside the text."""
    data = canonical(payload)
    signature = key.sign(_to_be_signed(data))
    manifest = _envelope(data, public_key(key.public_key()), signature)
    if len(manifest) > MAX_SIZE:
        raise StampError(f"the statement about a text is over {MAX_SIZE} characters long: use shorter ids and names")
    return manifest


def verify(manifest: str, text: str, keys: Iterable[str]) -> Verdict:
    """Judge a manifest against a text. `keys` are the public keys to trust, as `public_key` writes them. Never raises
    over what the manifest holds."""
    parsed = _parse(manifest)
    if parsed is None:
        return Verdict(State.MALFORMED, problem="this is not a text manifest as genguard writes it")
    data, signer, signature = parsed
    payload = _statement(data)
    if payload is None:
        return Verdict(State.MALFORMED, problem="the signed payload is not a statement about a text")
    try:
        _load_key(signer).verify(signature, _to_be_signed(data))
    except ValueError:
        return Verdict(State.MALFORMED, problem="it does not name the key that signed it")
    except InvalidSignature:
        return Verdict(State.ALTERED, problem="the statement was changed after it was signed")
    if not _describes(payload, text):
        return Verdict(State.ALTERED, payload, signer, "the text is not the one that was signed")
    if signer not in set(keys):
        return Verdict(State.UNKNOWN_SIGNER, payload, signer, "it was signed by an unknown key")
    return Verdict(State.VALID, payload, signer)


def public_key(key: Ed25519PublicKey) -> str:
    """A public key as text, which also names it in manifests: `ed25519:<base64>`. Hand it to those who verify."""
    return _KEY_PREFIX + base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def manifest_sha256(manifest: str) -> str:
    """`sha256:<hex>` of a manifest as it was handed out, for the record."""
    return label(manifest.encode())


def _to_be_signed(data: bytes) -> bytes:
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(data), data)


def _envelope(data: bytes, signer: str, signature: bytes) -> str:
    envelope: dict[str, JSON] = {
        "payload": base64.b64encode(data).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": signer, "sig": base64.b64encode(signature).decode()}],
    }
    return canonical(envelope).decode()


def _parse(manifest: str) -> tuple[bytes, str, bytes] | None:
    """Payload, key id and signature, if the manifest is exactly what `sign` would have written from them."""
    line = manifest.strip("\r\n")
    if len(line) > MAX_SIZE:
        return None
    try:
        envelope = json.loads(line)
        (entry,) = envelope["signatures"]
        data = base64.b64decode(envelope["payload"], validate=True)
        signer, signature = entry["keyid"], base64.b64decode(entry["sig"], validate=True)
        same = isinstance(signer, str) and _envelope(data, signer, signature) == line
    except (KeyError, TypeError, ValueError, RecursionError, binascii.Error):
        return None
    return (data, signer, signature) if same else None


def _statement(data: bytes) -> dict[str, JSON] | None:
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        return None
    return payload


def _describes(payload: Mapping[str, JSON], text: str) -> bool:
    data = normalise(text)
    return payload.get("text_sha256") == label(data) and payload.get("length") == len(data)


def _load_key(text: str) -> Ed25519PublicKey:
    if not text.startswith(_KEY_PREFIX):
        raise ValueError(f"a public key for text manifests starts with {_KEY_PREFIX}")
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.removeprefix(_KEY_PREFIX), validate=True))
