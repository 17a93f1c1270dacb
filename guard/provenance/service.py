"""Signing with a key that nobody can read: a key management service or a security module, behind one method."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from guard.provenance.certs import Identity

_HASHES = {"es256": hashes.SHA256(), "es384": hashes.SHA384(), "es512": hashes.SHA512()}


class LocalService:
    """The service of an identity whose key is in a file: what a real one does, for trying it out and for tests."""

    def __init__(self, identity: Identity) -> None:
        self.chain = identity.chain
        self._algorithm = identity.algorithm
        self._key = serialization.load_pem_private_key(identity.key.encode(), None)

    def sign(self, data: bytes) -> bytes:
        """See `guard.provenance.certs.SigningService`."""
        key = self._key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_HASHES[self._algorithm])))
            size = (key.key_size + 7) // 8
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(data)
        if isinstance(key, rsa.RSAPrivateKey):
            sha256 = hashes.SHA256()
            return key.sign(data, padding.PSS(padding.MGF1(sha256), sha256.digest_size), sha256)
        raise TypeError(f"{type(key).__name__} signs no credentials")
