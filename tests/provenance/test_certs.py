"""The development authority: loud, private, one for all processes, renewed in time; and the user's own PEM files."""

from __future__ import annotations

import datetime as dt
import logging
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from guard.errors import KeyFileError
from guard.keys import KeyRing
from guard.provenance import certs
from guard.provenance.certs import AUTHORITY_FILE, Identity, development_anchor, development_identity

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
YEAR = dt.timedelta(days=365)
OwnFiles = Callable[..., tuple[Path, Path]]


def leaf(identity: Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificates(identity.chain.encode())[0]


def test_every_name_says_development(identity: Identity, anchor: str) -> None:
    authority = x509.load_pem_x509_certificate(anchor.encode())
    for certificate in (leaf(identity), authority):
        for attribute in certificate.subject:
            assert "DEVELOPMENT" in str(attribute.value)
    assert identity.development


def test_making_the_authority_is_announced(keys: KeyRing, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        development_identity(keys)
        development_identity(keys)
    assert len([record for record in caplog.records if "DEVELOPMENT" in record.message]) == 1


def test_the_leaf_carries_both_purposes_and_cannot_issue(identity: Identity) -> None:
    certificate = leaf(identity)
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {ExtendedKeyUsageOID.EMAIL_PROTECTION, certs.CLAIM_SIGNING} == set(purposes)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_key_files_are_private_and_the_key_never_prints(keys: KeyRing, identity: Identity) -> None:
    files = list(keys.folder.iterdir())
    assert len(files) == 2
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert "PRIVATE" not in repr(identity)


def test_an_anchor_is_never_made_by_asking_for_it(keys: KeyRing) -> None:
    assert development_anchor(keys) is None
    assert not keys.folder.exists()


def test_the_same_signer_until_a_year_has_gone(keys: KeyRing) -> None:
    first = development_identity(keys, now=lambda: NOW)
    later = development_identity(keys, now=lambda: NOW + YEAR - dt.timedelta(days=2))
    renewed = development_identity(keys, now=lambda: NOW + YEAR + dt.timedelta(days=2))
    assert first == later
    assert renewed.fingerprint != first.fingerprint
    assert renewed.expires > first.expires + dt.timedelta(days=360)
    assert development_identity(keys, now=lambda: NOW + YEAR + dt.timedelta(days=2)) == renewed


def test_near_its_end_the_authority_still_signs_and_then_asks_for_a_new_one(keys: KeyRing) -> None:
    development_identity(keys, now=lambda: NOW)
    last = development_identity(keys, now=lambda: NOW + 28 * YEAR)
    assert last.expires == NOW + 30 * YEAR
    with pytest.raises(KeyFileError, match="move the file away"):
        development_identity(keys, now=lambda: NOW + 29 * YEAR + dt.timedelta(days=10))


def test_processes_that_start_together_agree(keys: KeyRing) -> None:
    code = (
        "import pathlib, sys; from guard.keys import KeyRing; from guard.provenance.certs import development_identity;"
        "print(development_identity(KeyRing(pathlib.Path(sys.argv[1]))).fingerprint)"
    )
    command = [sys.executable, "-c", code, str(keys.folder)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(3)]
    answers = {process.communicate()[0] for process in running}
    assert len(answers) == 1
    assert answers == {development_identity(keys).fingerprint.encode() + b"\n"}


@pytest.mark.parametrize("name", [AUTHORITY_FILE, "c2pa-development-signer-1.pem"])
def test_a_damaged_or_readable_file_is_refused(keys: KeyRing, identity: Identity, name: str) -> None:
    path = keys.folder / name
    good = path.read_bytes()
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        development_identity(keys)
    path.chmod(0o600)
    key, mark, certificate = good.partition(b"-----BEGIN CERT")
    for bad in (b"", b"nonsense", key, mark + certificate):
        path.write_bytes(bad)
        with pytest.raises(KeyFileError):
            development_identity(keys)


def test_files_that_do_not_belong_together_are_refused(keys: KeyRing, identity: Identity, tmp_path: Path) -> None:
    other = KeyRing(tmp_path / "other")
    development_identity(other)
    mine, theirs = keys.folder / AUTHORITY_FILE, other.folder / AUTHORITY_FILE
    mine.write_bytes(theirs.read_bytes())
    with pytest.raises(KeyFileError, match="not issued by"):
        development_identity(keys)
    key = mine.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    signer = (keys.folder / "c2pa-development-signer-1.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE")
    mine.write_bytes(key + b"-----BEGIN CERTIFICATE" + signer[2])
    with pytest.raises(KeyFileError, match="do not belong together"):
        development_identity(keys)


# --- the user's own files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "es256"),
        (ec.generate_private_key(ec.SECP384R1()), "es384"),
        (ec.generate_private_key(ec.SECP521R1()), "es512"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (rsa.generate_private_key(65537, 2048), "ps256"),
    ],
)
def test_own_files_of_every_algorithm(own_files: OwnFiles, key: certs._Key, algorithm: str) -> None:
    identity = certs.identity_from_files(*own_files(key), now=lambda: NOW)
    assert identity.algorithm == algorithm
    assert not identity.development
    assert identity.expires == NOW + YEAR


def test_an_old_key_format_is_rewritten_for_the_library(own_files: OwnFiles) -> None:
    files = own_files(ec.generate_private_key(ec.SECP256R1()), form=serialization.PrivateFormat.TraditionalOpenSSL)
    assert "BEGIN PRIVATE KEY" in certs.identity_from_files(*files, now=lambda: NOW).key


def test_own_files_that_cannot_serve_are_refused(own_files: OwnFiles, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    def load(now: dt.datetime = NOW) -> Identity:
        return certs.identity_from_files(tmp_path / "chain.pem", tmp_path / "key.pem", now=lambda: now)

    own_files(key, purposes=())
    with pytest.raises(KeyFileError, match="extended key usage"):
        load()
    own_files(key, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))
    with pytest.raises(KeyFileError, match="extended key usage"):
        load()
    own_files(key)
    with pytest.raises(KeyFileError, match="is valid from"):
        load(NOW + 2 * YEAR)
    own_files(key, password=b"secret")
    with pytest.raises(KeyFileError, match="encrypted"):
        load()
    _, secret = own_files(key)
    secret.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load()
    secret.chmod(0o600)
    secret.write_bytes(
        dsa.generate_private_key(2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(KeyFileError, match="cannot sign"):
        load()
    other = ec.generate_private_key(ec.SECP256R1())
    secret.write_bytes(
        other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(KeyFileError, match="does not belong"):
        load()
    secret.unlink()
    with pytest.raises(KeyFileError, match="cannot read"):
        load()


def test_anchors_must_be_certificates(tmp_path: Path, anchor: str) -> None:
    path = tmp_path / "anchors.pem"
    path.write_text("# a comment\n" + anchor + anchor)
    assert certs.read_anchors(path).count("BEGIN CERTIFICATE") == 2
    path.write_text("nothing")
    with pytest.raises(KeyFileError, match="no PEM certificate"):
        certs.read_anchors(path)
