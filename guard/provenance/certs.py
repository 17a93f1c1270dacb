"""Certificates for content credentials: a development authority made on first use, or the user's own PEM files.

The development authority is for trying things out: nobody else trusts it, and its names say so. Its signers are renewed every
year and last five, because a credential without a time stamp stops holding on the day its signer expires.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from guard.digest import label
from guard.errors import ConfigError, KeyFileError
from guard.keys import KeyRing, read_private

logger = logging.getLogger(__name__)

AUTHORITY_FILE = "c2pa-development-ca.pem"

# Verifiers disagree on which of the two a signer needs, so ours carry both.
CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")
PURPOSES = (ExtendedKeyUsageOID.EMAIL_PROTECTION, CLAIM_SIGNING)
ACCEPTED_PURPOSES = (*PURPOSES, DOCUMENT_SIGNING)

_AUTHORITY_LIFE = dt.timedelta(days=30 * 365)
_SIGNER_LIFE = dt.timedelta(days=5 * 365)
_SIGNER_RENEWAL = dt.timedelta(days=4 * 365)
_CLOCK_SKEW = dt.timedelta(minutes=5)
_CURVES = {256: "es256", 384: "es384", 521: "es512"}

_Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
Clock = Callable[[], dt.datetime]


def utcnow() -> dt.datetime:
    """The time, with its zone."""
    return dt.datetime.now(dt.UTC)


class SigningService(Protocol):
    """Whoever holds a private key and signs with it, such as a key management service. Threads may call it at once.

    `chain` is PEM, the signer's certificate first. `sign` gets the bytes (not their digest) and gives the signature as COSE has
    it. For EC keys: r and s after each other, each as long as the curve (P-256: 64 bytes in all, with SHA-256; P-384 with
    SHA-384; P-521 with SHA-512), not the ASN.1 that most services give. For RSA keys: PSS with SHA-256 and 32 bytes of salt.
    For Ed25519: 64 bytes. What it raises is logged, and the mark counts as failed.
    """

    chain: str

    def sign(self, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs: a certificate chain (PEM, signer first), the algorithm's C2PA name, and the private key (PKCS 8 PEM) or the
    service that holds it."""

    chain: str = field(repr=False)
    key: str = field(repr=False)
    algorithm: str
    expires: dt.datetime
    fingerprint: str
    development: bool = False
    service: SigningService | None = field(default=None, repr=False)


def development_identity(keys: KeyRing, *, now: Clock = utcnow) -> Identity:
    """The development signer in the key folder, made or renewed where needed. Two processes agree on one."""
    authority = keys.file(AUTHORITY_FILE, lambda: _announce(keys, _new_authority(now())))
    ca_key, ca = _pair(authority, keys.folder / AUTHORITY_FILE)
    if ca.not_valid_after_utc - now() < _SIGNER_LIFE - _SIGNER_RENEWAL:
        raise KeyFileError(
            f"the authority in {keys.folder / AUTHORITY_FILE} expires: move the file away, a new one is made"
        )
    number = 1
    while True:  # a renewal is a new file, because key files are written once
        name = f"c2pa-development-signer-{number}.pem"
        signer = keys.file(name, lambda: _new_signer(ca, ca_key, now()))
        key, leaf = _pair(signer, keys.folder / name)
        try:
            leaf.verify_directly_issued_by(ca)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise KeyFileError(
                f"{keys.folder / name} was not issued by {AUTHORITY_FILE} beside it: move it away"
            ) from error
        if leaf.not_valid_after_utc - now() > _renewal_margin(ca, now()):
            return _identity(key, [leaf], development=True)
        number += 1


def development_anchor(keys: KeyRing) -> str | None:
    """The development authority's certificate (PEM), or None where none was made. Never makes one."""
    if not (keys.folder / AUTHORITY_FILE).exists():
        return None
    data = keys.file(AUTHORITY_FILE, _refuse)
    return _pem(_pair(data, keys.folder / AUTHORITY_FILE)[1])


def identity_from_files(chain: Path, key: Path, *, now: Clock = utcnow) -> Identity:
    """A user's own signer: a PEM chain (signer first) and its private key, which others must not be able to read."""
    private, certificates = _own_key(key), _own_chain(chain, now())
    if _spki(private.public_key()) != _spki(certificates[0].public_key()):
        raise KeyFileError(f"the key {key} does not belong to the first certificate in {chain}: put the signer first")
    return _identity(private, certificates)


def identity_from_service(service: SigningService, *, now: Clock = utcnow) -> Identity:
    """A signer whose key stays with a service. Raises KeyFileError for a chain that cannot serve."""
    source = Path("the service's chain")
    certificates = _checked_chain(service.chain.encode(), source, now())
    return _identity(service, certificates)


def configured_identity(chain: Path, key: Path, *, now: Clock = utcnow) -> Identity:
    """The signer that the settings name. Raises ConfigError naming the setting that cannot serve."""
    with _setting("c2pa_chain"):
        _own_chain(chain, now())
    with _setting("c2pa_key"):
        return identity_from_files(chain, key, now=now)


def configured_anchors(chain: Path | None) -> list[str]:
    """The authority that issued the signer of the settings (the signer itself, where it stands alone), to be trusted.

    Only that one: those above it vouch for more strangers. A renewed signer of the same authority stays trusted with it.
    """
    if chain is None:
        return []
    with _setting("c2pa_chain"):
        certificates = _certificates(_bytes(chain), chain)
    return [_pem(certificates[min(1, len(certificates) - 1)])]


def begins_later(data: bytes, serial: str | None, now: dt.datetime) -> bool:
    """Whether the certificate with this number, which lies somewhere in `data`, is not valid yet: the C2PA library calls it
    expired. Where a format cuts its data into pieces it is not found, and so not told apart."""
    for match in re.finditer(rb"\x30\x82(..)", data, re.DOTALL):
        end = match.start() + 4 + int.from_bytes(match[1], "big")
        try:
            certificate = x509.load_der_x509_certificate(data[match.start() : end])
        except ValueError:
            continue
        if str(certificate.serial_number) == serial:
            return certificate.not_valid_before_utc > now
    return False


def read_anchors(path: Path) -> str:
    """The trusted authorities in a PEM file, checked to be certificates."""
    return "".join(map(_pem, _certificates(_bytes(path), path)))


# --- making ----------------------------------------------------------------------------------------------------------


def _announce(keys: KeyRing, data: bytes) -> bytes:
    logger.warning(
        "made a DEVELOPMENT certificate authority in %s: nobody else trusts its signatures; "
        "for production hand over your own chain and key",
        keys.folder,
    )
    return data


def _new_authority(now: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("genguard DEVELOPMENT CA, not for production", key.public_key())
    certificate = _certificate(name, key.public_key(), (name, key), now, now + _AUTHORITY_LIFE, authority=True)
    return _key_pem(key).encode() + _pem(certificate).encode()


def _new_signer(ca: x509.Certificate, ca_key: _Key, now: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("genguard DEVELOPMENT signer, not for production", key.public_key())
    until = min(now + _SIGNER_LIFE, ca.not_valid_after_utc)
    certificate = _certificate(name, key.public_key(), (ca.subject, ca_key), now, until, authority=False)
    return _key_pem(key).encode() + _pem(certificate).encode()


def _name(common: str, key: ec.EllipticCurvePublicKey) -> x509.Name:
    mark = x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()[:8]
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "genguard DEVELOPMENT"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{common} ({mark})"),
        ]
    )


def _certificate(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: tuple[x509.Name, _Key],
    now: dt.datetime,
    until: dt.datetime,
    *,
    authority: bool,
) -> x509.Certificate:
    issuer_name, issuer_key = issuer
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(PURPOSES), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _renewal_margin(ca: x509.Certificate, now: dt.datetime) -> dt.timedelta:
    """Near the authority's own end a signer cannot last four years: then any that lasts as long as it can will do."""
    return min(_SIGNER_RENEWAL, ca.not_valid_after_utc - now - dt.timedelta(days=1))


# --- reading ---------------------------------------------------------------------------------------------------------


def _refuse() -> bytes:
    raise KeyFileError(f"{AUTHORITY_FILE} disappeared while it was read: try again")


def _pair(data: bytes, path: Path) -> tuple[_Key, x509.Certificate]:
    """A key and its certificate from one file of ours."""
    key = _private_key(data, path)
    certificate = _certificates(data, path)[0]
    if _spki(key.public_key()) != _spki(certificate.public_key()):
        raise KeyFileError(f"the key and the certificate in {path} do not belong together: restore it")
    return key, certificate


def _private_key(data: bytes, path: Path) -> _Key:
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError as error:
        raise KeyFileError(f"{path} is encrypted: hand over a key without a password, mode 0600") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} holds no PEM private key that can be read: restore it") from error
    if not isinstance(key, _Key) or (isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size not in _CURVES):
        raise KeyFileError(f"{path} cannot sign credentials: use an EC P-256/384/521, an Ed25519 or an RSA key")
    return key


def _certificates(data: bytes, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise KeyFileError(f"{path} holds no PEM certificate: check the file") from error


@contextlib.contextmanager
def _setting(name: str) -> Iterator[None]:
    try:
        yield
    except KeyFileError as error:
        raise ConfigError(f"setting {name!r} (GUARD_{name.upper()}): {error}") from error


def _own_key(path: Path) -> _Key:
    try:
        return _private_key(read_private(path), path)
    except FileNotFoundError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}; check the path") from error


def _own_chain(path: Path, now: dt.datetime) -> list[x509.Certificate]:
    return _checked_chain(_bytes(path), path, now)


def _checked_chain(data: bytes, path: Path, now: dt.datetime) -> list[x509.Certificate]:
    certificates = _certificates(data, path)
    for certificate, issuer in pairwise(certificates):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFileError(
                f"the certificates in {path} do not follow each other: put the signer first, then its issuer, and so on"
            ) from error
    _check_signer(certificates[0], path, now)
    return certificates


def _check_signer(leaf: x509.Certificate, path: Path, now: dt.datetime) -> None:
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise KeyFileError(
            f"the signer in {path} is valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}: renew it"
        )
    try:
        purposes = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        purposes = set()
    if not purposes & set(ACCEPTED_PURPOSES):
        wanted = ", ".join(oid.dotted_string for oid in ACCEPTED_PURPOSES)
        raise KeyFileError(f"the signer in {path} lacks an extended key usage for content: have one of {wanted} issued")


def _identity(key: _Key | SigningService, chain: list[x509.Certificate], *, development: bool = False) -> Identity:
    return Identity(
        chain="".join(map(_pem, chain)),
        key=_key_pem(key) if isinstance(key, _Key) else "",
        algorithm=_algorithm(chain[0].public_key()),
        expires=chain[0].not_valid_after_utc,
        fingerprint=label(chain[0].public_bytes(serialization.Encoding.DER)),
        development=development,
        service=None if isinstance(key, _Key) else key,
    )


def _algorithm(key: CertificatePublicKeyTypes) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size in _CURVES:
        return _CURVES[key.key_size]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPublicKey):
        return "ps256"
    raise KeyFileError("the signer's key cannot sign credentials: use an EC P-256/384/521, an Ed25519 or an RSA key")


def _spki(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: _Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}; check the path") from error
