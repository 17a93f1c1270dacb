"""Key files: made on first use with mode 0600, refused when others can read them.

A key-management service replaces this class by offering the same two methods.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from guard.errors import KeyFileError, OperationError

SigningKey = Ed25519PrivateKey | MLDSA44PrivateKey

SECRET_SIZE = 32
_FRESH = 60  # seconds after which whoever made a file has flushed its name, or never will


class KeyRing:
    """The keys in one folder (mode 0700)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def secret(self, name: str) -> bytes:
        """32 random bytes for symmetric use, from `<name>.key`."""
        data = self.file(f"{name}.key", lambda: secrets.token_bytes(SECRET_SIZE))
        if len(data) != SECRET_SIZE:
            raise KeyFileError(f"{self.folder / name}.key holds {len(data)} bytes instead of {SECRET_SIZE}: restore it")
        return data

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        """An Ed25519 key from `<name>.pem` (PKCS 8)."""
        key = self._signing(name, Ed25519PrivateKey.generate)
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{self.folder / name}.pem is not an Ed25519 key: restore it")
        return key

    def ml_dsa_key(self, name: str) -> MLDSA44PrivateKey:
        """An ML-DSA-44 key (FIPS 204) from `<name>.pem` (PKCS 8). Raises OperationError where there is no such algorithm."""
        key = self._signing(name, MLDSA44PrivateKey.generate)
        if not isinstance(key, MLDSA44PrivateKey):
            raise KeyFileError(f"{self.folder / name}.pem is not an ML-DSA-44 key: restore it")
        return key

    def _signing(self, name: str, make: Callable[[], SigningKey]) -> object:
        try:
            return serialization.load_pem_private_key(self.file(f"{name}.pem", lambda: _pem(make())), None)
        except ValueError as error:
            raise KeyFileError(f"{self.folder / name}.pem is not a PEM private key: restore it") from error
        except UnsupportedAlgorithm as error:
            raise no_ml_dsa() from error

    def file(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Read a key file; where there is none, make it, atomically, so that two processes agree on one key.

        A key that this hands out survives a power cut, whoever made it: what it signed or sealed may be on the disk already.
        """
        path = self.folder / name
        try:
            data = read_private(path)
        except FileNotFoundError:
            return self._made(path, make)
        try:
            if time.time() - path.stat().st_ctime < _FRESH:
                sync_folder(self.folder)
        except OSError as error:
            raise _refused(path, error) from error
        return data

    def _made(self, path: Path, make: Callable[[], bytes]) -> bytes:
        try:
            make_folder(self.folder)
            scratch = self.folder / f".{path.name}.{secrets.token_hex(8)}"
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(make())
                    file.flush()
                    os.fsync(file.fileno())
                os.link(scratch, path)  # fails where the key exists by now: the first writer wins
            except FileExistsError:
                pass
            finally:
                scratch.unlink()
            sync_folder(self.folder)
        except OSError as error:
            raise _refused(path, error) from error
        return read_private(path)


def read_private(path: Path) -> bytes:
    """A file that only its owner may read. Raises KeyFileError where others can, FileNotFoundError where there is none."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise KeyFileError(f"others can read {path}: run  chmod 600 {path}")
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}; check its owner and permissions") from error


def make_folder(folder: Path) -> None:
    """Make a folder (mode 0700) and what is missing above it, durably."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: the flush of a file does not include its name."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, error: OSError) -> KeyFileError:
    return KeyFileError(f"cannot create {path}: {error.strerror}; check GUARD_HOME and its permissions")


def _pem(key: SigningKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def require_ml_dsa() -> None:
    """Raise OperationError where this machine cannot check ML-DSA signatures."""
    try:
        MLDSA44PublicKey.from_public_bytes(bytes(1312))
    except UnsupportedAlgorithm as error:
        raise no_ml_dsa() from error


def no_ml_dsa() -> OperationError:
    """What to do where the cryptography package was built without ML-DSA."""
    return OperationError(
        "this machine cannot do ML-DSA-44: its cryptography package was built with an OpenSSL before 3.5; run"
        "  pip install --force-reinstall --only-binary :all: cryptography"
    )
