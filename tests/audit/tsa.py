"""A small time stamp authority on this machine, written from RFC 3161, RFC 5652 and RFC 5816: it signs what it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.audit.loopback import Quiet, listening

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
POLICY = "1.3.6.1.4.1.99999.1"
SHA256, ECDSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2"
SIGNED_DATA, TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.47"

# --- DER ---


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def set_of(*parts: bytes) -> bytes:
    return tlv(0x31, *sorted(parts))


def integer(number: int) -> bytes:
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    data = bytearray([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.insert(0, 0x80 | arc & 0x7F)
        data += bytes(groups)
    return tlv(0x06, bytes(data))


def time(moment: datetime) -> bytes:
    return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """The tags and contents of the elements in some bytes."""
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        found.append((tag, data[at : at + length]))
        at += length
    return found


# --- certificates ---


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    *,
    days: int = 3650,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING,
) -> x509.Certificate:
    """A root, or what an issuer signed for stamping."""
    signer = issuer[1] if issuer else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(_usage(ca=issuer is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    return builder.sign(signer, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


# --- the authority ---


@dataclass
class Tsa:
    """Its state, and what it can be told to get wrong."""

    name: str = "Test TSA"
    days: int = 3650
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING
    moment: datetime = NOW
    answer: tuple[int, bytes] | None = None  # instead of its own
    flip: bool = False  # stamp other bytes than it was sent
    forget_nonce: bool = False
    embed_root: bool = False
    requests: list[bytes] = field(default_factory=list)
    url: str = ""
    serial: int = 0

    def __post_init__(self) -> None:
        self.root_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = certificate(f"{self.name} root", self.root_key)
        self.certificate = certificate(
            self.name, self.key, (self.root, self.root_key), days=self.days, purpose=self.purpose
        )

    def stamp(self, request: bytes) -> bytes:
        [(_, body)] = elements(request)
        (_, _version), (_, imprint), *rest = elements(body)
        (_, algorithm), (_, hashed) = elements(imprint)
        nonce = next((content for tag, content in rest if tag == 0x02), None)
        self.serial += 1
        if self.flip:
            hashed = bytes([hashed[0] ^ 1]) + hashed[1:]
        info = sequence(
            integer(1),
            oid(POLICY),
            sequence(sequence(algorithm), tlv(0x04, hashed)),
            integer(self.serial),
            time(self.moment),
            *([tlv(0x02, nonce)] if nonce is not None and not self.forget_nonce else []),
        )
        return sequence(sequence(integer(0)), self._token(info))

    def _token(self, info: bytes) -> bytes:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        chain = [der, self.root.public_bytes(serialization.Encoding.DER)] if self.embed_root else [der]
        attributes = [
            sequence(oid(CONTENT_TYPE), set_of(oid(TST_INFO))),
            sequence(oid(MESSAGE_DIGEST), set_of(tlv(0x04, hashlib.sha256(info).digest()))),
            sequence(
                oid(SIGNING_CERTIFICATE),
                set_of(sequence(sequence(sequence(tlv(0x04, hashlib.sha256(der).digest()))))),
            ),
        ]
        signature = self.key.sign(set_of(*attributes), ec.ECDSA(hashes.SHA256()))
        sha256 = sequence(oid(SHA256))
        signer = sequence(
            integer(1),
            sequence(self.certificate.issuer.public_bytes(), integer(self.certificate.serial_number)),
            sha256,
            tlv(0xA0, *sorted(attributes)),
            sequence(oid(ECDSA_SHA256)),
            tlv(0x04, signature),
        )
        signed = sequence(
            integer(3),
            set_of(sha256),
            sequence(oid(TST_INFO), tlv(0xA0, tlv(0x04, info))),
            tlv(0xA0, *sorted(chain)),
            set_of(signer),
        )
        return sequence(oid(SIGNED_DATA), tlv(0xA0, signed))


@contextmanager
def serving(tsa: Tsa) -> Iterator[Tsa]:
    """The authority on a free port of the loopback interface."""

    class Handler(Quiet):
        def do_POST(self) -> None:
            assert self.path == "/tsr"
            assert self.headers["Content-Type"] == "application/timestamp-query"
            request = self.rfile.read(int(self.headers["Content-Length"]))
            tsa.requests.append(request)
            status, answer = tsa.answer or (200, tsa.stamp(request))
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with listening(Handler) as url:
        tsa.url = f"{url}/tsr"
        yield tsa
