"""A signer of one's own, from the settings to the image and back: who signs, who is trusted, and which setting is wrong."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from guard import Guard, Image, Stage, cli
from guard.cases import blank_png
from guard.errors import ConfigError
from guard.keys import KeyRing
from guard.provenance import certs, credentials
from guard.provenance.certs import AUTHORITY_FILE, configured_anchors
from guard.provenance.stamp import Stamper
from guard.types import PolicyRef

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
POLICY: dict[str, Any] = {"name": "open", "version": "1", "checkers": {}, "rules": []}


@dataclass
class Party:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def issue(
    name: str,
    by: Party | None = None,
    *,
    authority: bool = False,
    purposes: tuple[x509.ObjectIdentifier, ...] = certs.PURPOSES,
    until: dt.datetime = NOW + 30 * DAY,
) -> Party:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    issuer, signing = (by.certificate.subject, by.key) if by else (subject, key)
    flags = (not authority, False, False, False, False, authority, authority, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 60 * DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.KeyUsage(*flags), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if not authority and purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return Party(builder.sign(signing, hashes.SHA256()), key)


@dataclass
class House:
    """A deployment's files, and the authorities behind its signer."""

    root: Party
    middle: Party
    signer: Party
    chain: Path
    key: Path

    def write(self, *chain: Party, key: ec.EllipticCurvePrivateKey | None = None, lock: bytes | None = None) -> None:
        self.chain.write_text("".join(party.pem for party in chain))
        how = serialization.BestAvailableEncryption(lock) if lock else serialization.NoEncryption()
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        self.key.write_bytes((key or chain[0].key).private_bytes(*form, how))
        self.key.chmod(0o600)


@pytest.fixture
def house(tmp_path: Path) -> House:
    root = issue("root", authority=True)
    middle = issue("middle", root, authority=True)
    made = House(root, middle, issue("signer", middle), tmp_path / "chain.pem", tmp_path / "key.pem")
    made.write(made.signer, middle, root)
    return made


@pytest.fixture
def signing(house: House, tmp_path: Path) -> Iterator[Guard]:
    with Guard(POLICY, home=tmp_path / "home", c2pa_chain=house.chain, c2pa_key=str(house.key)) as g:
        yield g


def drawn(g: Guard) -> Image:
    outcome = g.wrap(lambda _: blank_png())("draw")
    assert isinstance(outcome.content, Image)
    assert outcome.stamp is not None
    assert outcome.stamp.layers[0].status == "applied"
    return outcome.content


def test_the_configured_signer_signs_and_no_authority_is_made(signing: Guard, house: House) -> None:
    outcome = signing.wrap(lambda _: blank_png())("draw")
    assert isinstance(outcome.content, Image)
    assert outcome.stamp is not None
    layer = outcome.stamp.layers[0]
    fingerprint = house.signer.certificate.fingerprint(hashes.SHA256()).hex()
    assert (layer.detail["development"], layer.detail["signer"]) == (False, f"sha256:{fingerprint}")
    for anchor in (house.root, house.middle):
        assert credentials.read(outcome.content, [anchor.pem]).state is credentials.State.TRUSTED
    assert credentials.read(outcome.content).signer == "signer"
    assert not (signing.keys.folder / AUTHORITY_FILE).exists()


def test_a_chain_without_its_root_serves_too(house: House, tmp_path: Path) -> None:
    house.write(house.signer, house.middle)
    with Guard(POLICY, home=tmp_path / "home", c2pa_chain=house.chain, c2pa_key=house.key) as g:
        image = drawn(g)
    assert credentials.read(image, [house.root.pem]).state is credentials.State.TRUSTED
    assert credentials.read(image, configured_anchors(house.chain)).state is credentials.State.TRUSTED


Inspect = Callable[[Image], str]


@pytest.fixture
def inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inspect:
    """The verdict of `guard inspect`, in a home that knows nothing."""

    def verdict(image: Image) -> str:
        (tmp_path / "image.png").write_bytes(image.data)
        arguments = ["guard", "inspect", str(tmp_path / "image.png"), "--json", "--home", str(tmp_path / "other")]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0
        return str(json.loads(capsys.readouterr().out)["verdict"])

    return verdict


def test_inspect_trusts_the_issuer_of_the_configured_signer_and_no_one_above(
    signing: Guard, house: House, inspect: Inspect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = drawn(signing)
    assert inspect(ours) == "valid"
    monkeypatch.setenv("GUARD_C2PA_CHAIN", str(house.chain))  # who only looks needs no key
    assert inspect(ours) == "trusted"
    elsewhere = issue("elsewhere", house.root, authority=True)
    for signer, authority, verdict in (
        (issue("renewed", house.middle), house.middle, "trusted"),
        (issue("stranger", elsewhere), elsewhere, "valid"),
    ):
        other = House(house.root, authority, signer, tmp_path / "other.pem", tmp_path / "other-key.pem")
        other.write(signer, authority, house.root)
        with Guard(POLICY, home=tmp_path / "their-home", c2pa_chain=other.chain, c2pa_key=other.key) as g:
            assert inspect(drawn(g)) == verdict


def test_the_checker_knows_the_images_of_the_house(signing: Guard, house: House, tmp_path: Path) -> None:
    policy, image = {**POLICY, "checkers": {"provenance": {}}}, drawn(signing)
    with Guard(policy, home=tmp_path / "home", c2pa_chain=house.chain, c2pa_key=house.key) as g:
        assert found(g, image) == {"ai_generated"}
    with Guard(policy, home=tmp_path / "strangers") as g:
        assert found(g, image) == {"ai_generated", "credential_untrusted"}


def found(g: Guard, image: Image) -> set[str]:
    [result] = g.check(image, stage=Stage.INPUT).results
    assert result.status.value == "ok"
    return {finding.category for finding in result.findings}


def a_folder(house: House) -> None:
    house.key.unlink()
    house.key.mkdir(0o700)


def others_can_read(house: House) -> None:
    house.key.chmod(0o640)


MISTAKES: dict[str, tuple[Callable[[House], object], str]] = {
    "no chain": (lambda h: h.chain.unlink(), "'c2pa_chain' .*cannot read .*chain.pem"),
    "no key": (lambda h: h.key.unlink(), "'c2pa_key' .*cannot read .*key.pem"),
    "a folder": (a_folder, "'c2pa_key' .*cannot read"),
    "others can read": (others_can_read, "'c2pa_key' .*others can read .*chmod 600"),
    "no certificate": (lambda h: h.chain.write_text("nothing"), "'c2pa_chain' .*no PEM certificate"),
    "no private key": (lambda h: h.key.write_text(h.signer.pem), "'c2pa_key' .*no PEM private key"),
    "a password": (lambda h: h.write(h.signer, h.middle, lock=b"secret"), "'c2pa_key' .*is encrypted"),
    "another key": (lambda h: h.write(h.signer, h.middle, key=h.root.key), "'c2pa_key' .*does not belong"),
    "the wrong order": (lambda h: h.write(h.middle, h.signer, h.root), "'c2pa_chain' .*put the signer first"),
    "a stranger's issuer": (lambda h: h.write(h.signer, h.root), "'c2pa_chain' .*do not follow each other"),
    "no purpose": (lambda h: h.write(issue("x", h.middle, purposes=()), h.middle), "'c2pa_chain' .*extended key usage"),
    "a web server": (
        lambda h: h.write(issue("x", h.middle, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), h.middle),
        "'c2pa_chain' .*extended key usage",
    ),
    "out of date": (lambda h: h.write(issue("x", h.middle, until=NOW - DAY), h.middle), "'c2pa_chain' .*renew it"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_signer_that_cannot_serve_is_named_at_once(house: House, tmp_path: Path, mistake: str) -> None:
    make, words = MISTAKES[mistake]
    make(house)
    with pytest.raises(ConfigError, match=f"setting {words}"):
        Guard(POLICY, home=tmp_path / "home", c2pa_chain=house.chain, c2pa_key=house.key)
    assert not (tmp_path / "home").exists()


def test_from_the_environment_to_a_file(
    house: House, tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "policy.yaml").write_text(json.dumps(POLICY))
    out = tmp_path / "out.png"
    model = ["--model", str(tiny("painter")), "--prompt", "snow", "--param", "num_inference_steps=1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["guard", "run", "--policy", str(tmp_path / "policy.yaml"), *model])

    def run() -> Any:
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code

    monkeypatch.setenv("GUARD_C2PA_CHAIN", str(house.chain))
    assert run() == 2
    assert "setting 'c2pa_chain' needs 'c2pa_key' beside it" in capsys.readouterr().err
    monkeypatch.setenv("GUARD_C2PA_KEY", str(house.key))
    assert run() == 0
    assert credentials.read(Image(out.read_bytes()), [house.root.pem]).state is credentials.State.TRUSTED


def test_a_signer_that_expires_while_it_serves_makes_no_mark(house: House, tmp_path: Path) -> None:
    house.write(issue("brief", house.middle, until=NOW - DAY), house.middle)
    identity = certs.configured_identity(house.chain, house.key, now=lambda: NOW - 2 * DAY)
    stamper, image = Stamper(KeyRing(tmp_path / "keys"), signer=identity), Image(blank_png())
    same, stamp = stamper.stamp(image, request_id="r", policy=PolicyRef("p", "1", "d"), generator={})
    assert same is image
    assert (stamp.layers[0].status, stamp.layers[0].detail) == ("failed", {"reason": "signing_failed"})
