"""Where the keys of data subjects live: outside the record's database, so that destroying one erases every copy of what it
sealed, in backups too.

A file that is overwritten in place, and not a database: a database keeps copies of a row where nothing but a look at the raw
bytes finds them (rollback journals, write-ahead logs, pages that were split), which is what a destroyed key must not have.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from guard.digest import sha256
from guard.errors import KeyFileError
from guard.keys import read_private

KEY_SIZE = 32
KEPT = 60  # seconds that a key may be used from memory; on one machine a destroyed key is noticed at once
_ID_SIZE = 32
_SLOT = _ID_SIZE + KEY_SIZE
_COUNTER = 8
_MOST = 10_000  # keys in memory


class KeyStore(Protocol):
    """Key-encryption keys by reference; a key-management service replaces the local one by offering these four.

    Keys are handed out rather than used inside, because a call to a service for each record would cost more than the rest
    of the record. A service keeps its own master key in any case, and stores these wrapped under it.
    """

    def key(self, ref: str, *, create: bool) -> bytes | None:
        """32 bytes; None where there is none, or none any more. A created key is durable before it is handed out."""

    def destroy(self, refs: Iterable[str]) -> None:
        """Make these keys unrecoverable; unknown references are none of its business. Done when it returns."""

    def existing(self, refs: Iterable[str]) -> list[str]:
        """Those of the references that have a key, each once, in order."""

    def each(self) -> Iterator[bytes]:
        """All keys, in no order."""


class LocalKeys:
    """A folder (mode 0700) of files (0600) of 64-byte slots: the digest of a reference and its key.

    Destroying overwrites the slot in place and flushes it; there is no journal with an older copy. An interrupted append
    leaves part of a slot, which the next one overwrites. Safe for threads and processes: writers take a lock, and all see
    a counter of destructions in shared memory, so none uses a destroyed key from its own memory. It is odd while one is
    under way, and stays so when that one is killed: then nobody trusts memory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, bytes] = {}
        self._counter: mmap.mmap | None = None
        self._seen = b""
        self._until = 0.0
        self._mutex = threading.Lock()

    def key(self, ref: str, *, create: bool) -> bytes | None:
        """See `KeyStore`."""
        counter = self._counter
        if counter is not None and counter[:_COUNTER] == self._seen and time.monotonic() < self._until:
            known = self._known.get(ref)
            if known is not None:
                return known
        with self._mutex:
            self._forget_if_stale(create)
            found = self._find(ref)[1] or (self._make(ref) if create else None)
            if found is not None and self._counter is not None and not _under_way(self._seen):
                if len(self._known) >= _MOST:
                    self._known = {}
                self._known[ref] = found
            return found

    def existing(self, refs: Iterable[str]) -> list[str]:
        """See `KeyStore`. Reads each file once, however many references it is asked for."""
        asked: dict[Path, list[str]] = {}
        for ref in dict.fromkeys(refs):
            asked.setdefault(self._file(ref), []).append(ref)
        found = []
        for path, some in asked.items():
            held = {data[:_ID_SIZE] for data in _slots(path)}
            found += [ref for ref in some if sha256(ref.encode()) in held]
        return sorted(found)

    def each(self) -> Iterator[bytes]:
        """See `KeyStore`."""
        for path in sorted(self.folder.glob("*.keys")):
            yield from (data[_ID_SIZE:] for data in _slots(path) if any(data))

    def destroy(self, refs: Iterable[str]) -> None:
        """See `KeyStore`."""
        gone = list(refs)
        if not gone:
            return
        with self._mutex, self._locked():
            self._count(under_way=True)
            for ref in gone:
                offset, found = self._find(ref)
                if found is not None:
                    self._write(self._file(ref), offset, bytes(_SLOT))
            self._count(under_way=False)
            self._known, self._seen = {}, b""

    # --- memory ---

    def _forget_if_stale(self, create: bool) -> None:
        """Empty the memory when any process destroyed a key, or when it is old (another machine may have)."""
        if self._counter is None and (create or self._counter_file.exists()):
            self._counter = self._map()
        now = time.monotonic()
        count = self._counter[:_COUNTER] if self._counter is not None else b""
        if count != self._seen or now >= self._until:
            self._known, self._seen, self._until = {}, count, now + KEPT

    @property
    def _counter_file(self) -> Path:
        return self.folder / "destroyed"

    def _map(self) -> mmap.mmap:
        path = self._counter_file
        if not path.exists() or path.stat().st_size < _COUNTER:
            with self._locked():
                if not path.exists() or path.stat().st_size < _COUNTER:
                    self._write(path, 0, bytes(_COUNTER))
        read_private(path)
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), _COUNTER, access=mmap.ACCESS_READ)

    def _count(self, *, under_way: bool) -> None:
        path = self._counter_file
        count = read_private(path) if path.exists() else b""
        number = int.from_bytes(count, "big") + (2 if _under_way(count) is under_way else 1)
        self._write(path, 0, number.to_bytes(_COUNTER, "big"))

    # --- files ---

    def _file(self, ref: str) -> Path:
        return self.folder / f"{sha256(ref.encode())[0]:02x}.keys"  # many short files: finding a key reads one of them

    def _find(self, ref: str) -> tuple[int, bytes | None]:
        """Where a key is; without one, where the next slot goes."""
        wanted = sha256(ref.encode())
        try:
            data = read_private(self._file(ref))
        except FileNotFoundError:
            return 0, None
        at = data.find(wanted)
        while at >= 0:
            if at % _SLOT == 0 and at + _SLOT <= len(data):
                return at, data[at + _ID_SIZE : at + _SLOT]
            at = data.find(wanted, at + 1)
        return len(data) // _SLOT * _SLOT, None

    def _make(self, ref: str) -> bytes:
        with self._locked():
            offset, found = self._find(ref)  # another process may have been faster
            if found is None:
                found = secrets.token_bytes(KEY_SIZE)
                self._write(self._file(ref), offset, sha256(ref.encode()) + found)
            return found

    def _write(self, path: Path, offset: int, data: bytes) -> None:
        """Put bytes in their place, on the disk. The lock is held."""
        try:
            new = not path.exists()
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.pwrite(descriptor, data, offset)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                _sync_folder(self.folder)
        except OSError as error:
            raise _refused(path, error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, of all processes. The lock goes when its holder dies."""
        path = self.folder / "lock"
        try:
            if not self.folder.exists():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync_folder(self.folder.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _refused(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _under_way(count: bytes) -> bool:
    return int.from_bytes(count, "big") % 2 == 1


def _slots(path: Path) -> Iterator[bytes]:
    """The whole slots of a file, destroyed ones included; none where there is no file."""
    try:
        data = read_private(path)
    except FileNotFoundError:
        return
    for at in range(0, len(data) - _SLOT + 1, _SLOT):
        yield data[at : at + _SLOT]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, error: OSError) -> KeyFileError:
    return KeyFileError(f"cannot write {path}: {error.strerror}; check GUARD_HOME and its permissions")
