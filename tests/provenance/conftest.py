"""Images drawn on the spot, a development signer, and a second authority that nobody trusts."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID
from PIL import Image as Pillow

from guard.keys import KeyRing
from guard.provenance import certs
from guard.provenance.certs import Identity, development_anchor, development_identity
from guard.provenance.credentials import Claim
from guard.types import Image, PolicyRef

Draw = Callable[..., Image]
MEDIA = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}


@pytest.fixture
def draw() -> Draw:
    """An image of noise: `draw(side, "PNG")`."""

    def make(side: int = 64, form: str = "PNG") -> Image:
        buffer = io.BytesIO()
        Pillow.effect_noise((side, side), 60).convert("RGB").save(buffer, form)
        return Image(buffer.getvalue(), MEDIA.get(form, "image/bmp"))

    return make


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys")


@pytest.fixture
def identity(keys: KeyRing) -> Identity:
    return development_identity(keys)


@pytest.fixture
def anchor(keys: KeyRing, identity: Identity) -> str:
    found = development_anchor(keys)
    assert found is not None
    return found


@pytest.fixture
def stranger(tmp_path: Path) -> Identity:
    """A signer of another installation."""
    return development_identity(KeyRing(tmp_path / "elsewhere"))


@pytest.fixture
def policy() -> PolicyRef:
    return PolicyRef("default", "1.0.0", "sha256:" + "ab" * 32)


@pytest.fixture
def claim(policy: PolicyRef) -> Claim:
    return Claim("request-1", policy, "tiny-painter", "1.0", "sha256:" + "cd" * 32, "hmac-sha256:" + "ef" * 32)


@pytest.fixture
def own_files(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Writes a user's own signer: `own_files(key, purposes=…)` gives the paths of the chain and the key."""
    return partial(_write, tmp_path)


def _write(
    folder: Path,
    key: certs._Key,
    *,
    purposes: tuple[x509.ObjectIdentifier, ...] = (certs.DOCUMENT_SIGNING,),
    until: dt.datetime = dt.datetime(2027, 6, 1, tzinfo=dt.UTC),
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    password: bytes | None = None,
) -> tuple[Path, Path]:
    """A self-signed signer as PEM files."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own signer")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(dt.datetime(2025, 6, 1, tzinfo=dt.UTC))
        .not_valid_after(until)
    )
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(True, False, False, False, False, False, False, False, False), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(builder.sign(key, digest).public_bytes(serialization.Encoding.PEM))
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, lock))
    secret.chmod(0o600)
    return chain, secret
