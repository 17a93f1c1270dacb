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
from guard.keys import make_folder, read_private, sync_folder

KEY_SIZE = 32
KEPT = 60  # seconds that a key may be used from memory; on one machine a destroyed key is noticed at once
_ID_SIZE = 32
_SLOT = _ID_SIZE + KEY_SIZE
_COUNTER = 8  # bytes, of the number of destroyed keys
_MARK = 4  # bytes, of the number of slots in a file that are known to be on the disk
_FILES = 256
_STATE = _COUNTER + _FILES * _MARK
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
    a small file in shared memory. It counts destructions, so that none uses a destroyed key from its own memory (the count is
    odd while one is under way, and stays so when that one is killed: then nobody trusts memory), and the slots that are on the
    disk, so that none seals under a key that another has written and not flushed yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, bytes] = {}
        self._state: mmap.mmap | None = None
        self._seen = b""
        self._until = 0.0
        self._mutex = threading.Lock()

    def key(self, ref: str, *, create: bool) -> bytes | None:
        """See `KeyStore`."""
        state = self._state
        if state is not None and state[:_COUNTER] == self._seen and time.monotonic() < self._until:
            known = self._known.get(ref)
            if known is not None:
                return known
        with self._mutex:
            self._forget_if_stale(create)
            offset, found = self._find(ref)
            flushed = found is not None and offset < self._flushed(self._file(ref))
            if create and not flushed:
                found, flushed = self._make(ref), True
            if found is not None and flushed and not _under_way(self._seen):
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
        if self._state is None and (create or self._state_file.exists()):
            self._state = self._map()
        now = time.monotonic()
        count = self._state[:_COUNTER] if self._state is not None else b""
        if count != self._seen or now >= self._until:
            self._known, self._seen, self._until = {}, count, now + KEPT

    @property
    def _state_file(self) -> Path:
        return self.folder / "state"

    def _map(self) -> mmap.mmap:
        path = self._state_file
        if not path.exists() or path.stat().st_size < _STATE:
            with self._locked():
                size = path.stat().st_size if path.exists() else 0
                if size < _STATE:
                    self._write(path, size, bytes(_STATE - size))
        read_private(path)
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), _STATE, access=mmap.ACCESS_READ)

    def _count(self, *, under_way: bool) -> None:
        path = self._state_file
        count = read_private(path)[:_COUNTER] if path.exists() else b""
        number = int.from_bytes(count, "big") + (2 if _under_way(count) is under_way else 1)
        self._write(path, 0, number.to_bytes(_COUNTER, "big"))

    def _flushed(self, path: Path) -> int:
        """How many bytes of a file of keys are on the disk for certain, and not only in the memory of this machine."""
        at = _mark(path)
        return int.from_bytes(self._state[at : at + _MARK], "big") * _SLOT if self._state is not None else 0

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
        """A key that is on the disk: made now, or by another process, which may have died before it flushed."""
        with self._locked():
            path = self._file(ref)
            offset, found = self._find(ref)
            key = found or secrets.token_bytes(KEY_SIZE)
            self._write(path, offset, sha256(ref.encode()) + key, named=self._flushed(path) > 0)
            # Only now others may use it. Where this mark is lost, the next who needs the key flushes it again.
            self._write(
                self._state_file, _mark(path), (path.stat().st_size // _SLOT).to_bytes(_MARK, "big"), flush=False
            )
            return key

    def _write(self, path: Path, offset: int, data: bytes, *, flush: bool = True, named: bool | None = None) -> None:
        """Put bytes in their place, on the disk; `named`: the file's name is there already. The lock is held."""
        try:
            named = path.exists() if named is None else named
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.pwrite(descriptor, data, offset)
                if flush:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if flush and not named:
                sync_folder(self.folder)
        except OSError as error:
            raise _refused(path, error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, of all processes. The lock goes when its holder dies."""
        path = self.folder / "lock"
        try:
            make_folder(self.folder)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _refused(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _mark(path: Path) -> int:
    """Where in the state the mark of a file of keys is."""
    return _COUNTER + _MARK * int(path.stem, 16)


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


def _refused(path: Path, error: OSError) -> KeyFileError:
    return KeyFileError(f"cannot write {path}: {error.strerror}; check GUARD_HOME and its permissions")
