"""Witnesses: somebody else who remembers how long the log was, and signs only what extends it.

Both kinds speak C2SP tlog-witness `add-checkpoint`: a folder in another place (no service needed), and a service over HTTP.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from guard.audit import merkle
from guard.audit.checkpoint import (
    WITNESS_KINDS,
    Checkpoint,
    NoteKey,
    encode,
    open_checkpoint,
    own_note,
    split_note,
    vkey_name,
)
from guard.audit.cosign import Cosigner, cosigned_at
from guard.audit.outside import SECONDS, Service
from guard.audit.rotation import signing_vkey
from guard.digest import sha256
from guard.errors import ConfigError, EvidenceError, NoteError, ProofError, WitnessError
from guard.keys import KeyRing, sync_folder
from guard.options import WitnessSpec

MAX_PROOF = 63

_FORKED = (
    "the witness signed another history of this log: it was rewritten, or an old backup was continued. Nothing is recorded"
    " any more: keep this database as evidence, run  guard audit verify  and restore the newest true backup"
)


class Conflict(WitnessError):  # noqa: N818  (an answer more than an error)
    """The witness signed a checkpoint of another size last; ask again with a proof from that size."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness signed {size} entries of this log last")
        self.size = size


class Witness(Protocol):
    """Who cosigns. `name` and `vkey` are the witness's own."""

    name: str
    vkey: str

    def add_checkpoint(self, old: int, proof: Sequence[bytes], note: str) -> str:
        """The cosignature line for a signed checkpoint, which `proof` shows to extend the one of size `old`.

        Raises Conflict when that is not what the witness signed last, WitnessError when it does not sign.
        """

    def latest(self) -> str | None:
        """The note that it signed last for this log; None where there is none, or it does not tell."""


def open_witness(spec: WitnessSpec, *log_vkeys: str) -> Witness:
    """The witness that a setting names, for one log; `log_vkeys` are its keys, the first one first."""
    if not spec.where.startswith(("http://", "https://")):
        return FileWitness(Path(spec.where), *log_vkeys)
    keys = (spec.key or "").split()
    if not keys:
        raise ConfigError("a witness with a URL needs its verification key: set GUARD_WITNESS_KEY")
    return HttpWitness(spec.where, keys[0], log_vkeys[0])


def witness_vkeys(spec: WitnessSpec | None) -> list[str]:
    """The keys by which the cosignatures of a configured witness are known; asks nobody, and makes none."""
    if spec is None:
        return []
    if spec.where.startswith(("http://", "https://")):
        return (spec.key or "").split()
    folder = Path(spec.where)
    return [_cosigner(folder).vkey] if (folder / "witness.pem").exists() else []


class FileWitness:
    """A folder that only ever goes forward. Put it on another disk or account, out of reach of the database's backups.

    It makes its own key, remembers the first key that signs for an origin, and holds for each origin what a tlog-witness
    publishes: `<sha256 of the origin>/checkpoint`.
    """

    def __init__(self, folder: Path, *log_vkeys: str, clock: Callable[[], float] = time.time) -> None:
        self._log_vkeys = log_vkeys
        self._origin = vkey_name(log_vkeys[0])
        self._clock = clock
        self._cosigner = _cosigner(folder)
        self.name, self.vkey = self._cosigner.name, self._cosigner.vkey
        self._place = folder / sha256(self._origin.encode()).hex()

    def add_checkpoint(self, old: int, proof: Sequence[bytes], note: str) -> str:
        """See `Witness`."""
        try:
            with self._locked():
                return self._add(old, proof, note)
        except OSError as error:
            raise WitnessError(
                f"the witness folder cannot be used: {error.strerror}; check GUARD_WITNESS, its owner and its disk"
            ) from error

    def _add(self, old: int, proof: Sequence[bytes], note: str) -> str:
        try:
            pinned = self._pinned()
            new = open_checkpoint(note, pinned, kinds=())  # while keys change, any of them may sign
        except NoteError as error:
            raise WitnessError(f"the witness does not take this checkpoint: {error}") from error
        last = self._last()
        if old != (last.size if last else 0):
            raise Conflict(last.size if last else 0)
        _require_extension(last, new, proof)
        # Whoever signs beside a key that is known here may sign alone later.
        beside = [vkey for vkey in self._log_vkeys if vkey not in pinned and signing_vkey(note, [vkey])]
        if beside:
            self._replace("key", "".join(f"{vkey}\n" for vkey in [*pinned, *beside]))
        line = self._cosigner.sign(split_note(note)[0], int(self._clock()))
        self._replace("checkpoint", own_note(note) + line)  # kept before it is answered
        return line

    def latest(self) -> str | None:
        """See `Witness`."""
        try:
            return (self._place / "checkpoint").read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise WitnessError("the witness folder cannot be read: check GUARD_WITNESS and its owner") from error

    def _last(self) -> Checkpoint | None:
        note = self.latest()
        if note is None:
            return None
        try:  # ours: the log's key may have changed since, the witness's own signature must be there
            return Checkpoint.parse(_own_text(note, self.vkey))
        except NoteError as error:
            raise WitnessError(
                f"what the witness folder remembers was changed ({error}): restore that folder"
            ) from error

    def _pinned(self) -> list[str]:
        """The keys that signed for this origin: the first that came, and those that then signed beside it."""
        place = self._place / "key"
        if not place.exists():
            self._replace("key", "".join(f"{vkey}\n" for vkey in self._log_vkeys))
        pinned = place.read_text("utf-8").split()
        if not set(pinned) & set(self._log_vkeys):
            raise WitnessError(
                f"this witness folder belongs to another log called {self._origin!r}, signed with another key: give each"
                " log a folder of its own (GUARD_WITNESS), or use the key folder that it was begun with (GUARD_HOME)"
            )
        return pinned

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time, among threads and processes: comparing and replacing are one step."""
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._place / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _replace(self, name: str, text: str) -> None:
        scratch = self._place / f".{name}.{secrets.token_hex(8)}"
        try:
            with os.fdopen(
                os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
            ) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._place / name)
        finally:
            scratch.unlink(missing_ok=True)
        sync_folder(self._place)


def _cosigner(folder: Path) -> Cosigner:
    key = KeyRing(folder).signing_key("witness")
    return Cosigner(f"genguard-witness/{sha256(key.public_key().public_bytes_raw()).hex()[:8]}", key)


def _own_text(note: str, vkey: str) -> str:
    """The text of a note that the witness itself signed."""
    text, lines = split_note(note)
    if not any(cosigned_at(text, line, vkey) for line in lines):
        raise NoteError("the witness's own signature is not under it")
    return text


def _require_extension(last: Checkpoint | None, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """What a tlog-witness must check, sizes being equal already."""
    if last is not None and new.size < last.size:
        raise Conflict(last.size)
    if len(proof) > MAX_PROOF or (new.size == 0 and new.root != merkle.EMPTY_ROOT):
        raise WitnessError("the witness got a malformed checkpoint: this is a bug of the log's side")
    if last is None or last.size == 0:
        if proof:
            raise WitnessError("the witness got a proof from nothing: this is a bug of the log's side")
        return
    try:
        merkle.verify_consistency(last.size, new.size, proof, last.root, new.root)
    except ProofError as error:
        raise WitnessError(_FORKED) from error


class HttpWitness:
    """A tlog-witness at a URL, its submission prefix. No proxy, no redirect: it speaks to that host and to no other."""

    def __init__(self, url: str, vkey: str, log_vkey: str, *, timeout: float = SECONDS) -> None:
        self._service = Service(url, "the witness", "GUARD_WITNESS", WitnessError, timeout=timeout)
        self._origin = vkey_name(log_vkey)
        try:
            self.name = NoteKey.parse(vkey, WITNESS_KINDS).name
        except NoteError as error:
            raise ConfigError(f"GUARD_WITNESS_KEY: {error}") from error
        self.vkey = vkey.strip()

    def add_checkpoint(self, old: int, proof: Sequence[bytes], note: str) -> str:
        """See `Witness`."""
        lines = "".join(encode(item) + "\n" for item in proof)
        status, body = self._service.ask("POST", "/add-checkpoint", f"old {old}\n{lines}\n{note}".encode())
        if status == http.client.OK:
            return self._own_line(split_note(note)[0], body)
        if status == http.client.CONFLICT:
            text = body.decode("ascii", "replace").strip()
            if not (text.isascii() and text.isdigit() and len(text) <= 20):
                raise WitnessError(
                    "the witness answered a conflict without saying which size it signed: report it there"
                )
            raise Conflict(int(text))
        raise WitnessError(self._refusal(status))

    def latest(self) -> str | None:
        """See `Witness`: the monitoring prefix, where the witness serves it under the same URL."""
        status, body = self._service.ask("GET", f"/{sha256(self._origin.encode()).hex()}/checkpoint", b"")
        if status != http.client.OK:
            return None
        try:
            note = body.decode()
            _own_text(note, self.vkey)
        except (EvidenceError, UnicodeDecodeError) as error:
            raise WitnessError(
                "the witness serves a checkpoint that it did not sign: check GUARD_WITNESS_KEY"
            ) from error
        return note

    def _own_line(self, text: str, body: bytes) -> str:
        """The line by the key that we trust; the witness may add others."""
        try:
            for line in body.decode().split("\n"):
                if line and cosigned_at(text, line, self.vkey) is not None:
                    return line + "\n"
        except (NoteError, UnicodeDecodeError) as error:
            raise WitnessError(f"the witness's answer does not hold: {error}") from error
        raise WitnessError("the witness signed with another key than GUARD_WITNESS_KEY: compare it with its operator")

    def _refusal(self, status: int) -> str:
        if status == http.client.UNPROCESSABLE_ENTITY:
            return _FORKED
        if status in (http.client.FORBIDDEN, http.client.NOT_FOUND):
            return (
                f"the witness does not know the log {self._origin!r} and its key (HTTP {status}): give its operator what"
                "  guard audit key  prints, and check the URL in GUARD_WITNESS"
            )
        return f"the witness answered HTTP {status}: try again later, or ask its operator"
