"""The log's signing keys over time: new ones sign beside the old for a while, and the record says which follow which.

Keys come in generations, of one or two kinds each. The key folder holds their private keys (`log.pem`, `log.ml-dsa.pem`,
`log-2.pem` and so on) and in `log.keys` the public ones, a generation a line, which outlive the private.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path

from sqlalchemy import Connection, select

from guard.audit.checkpoint import (
    ED25519,
    LOG_KINDS,
    ML_DSA_44,
    NAMES,
    PUBLIC_SIZES,
    NoteKey,
    NoteSigner,
    decode,
    encode,
    open_note,
)
from guard.audit.leaf import parse_leaf
from guard.errors import ConfigError, KeyFileError, NoteError, RecordError
from guard.keys import KeyRing, SigningKey, read_private, sync_folder
from guard.options import Signatures
from guard.store.tables import LogEntry

KIND = "key"  # of the entries that tell about keys
_HISTORY = "log.keys"

Generation = dict[int, bytes]  # by kind, the public key


def log_vkeys(keys: KeyRing, origin: str, signatures: Signatures = Signatures.ED25519) -> list[str]:
    """The verification keys of a log, the oldest first; makes the first of each kind in `signatures` where there are none.

    Raises ConfigError where an existing log has no key of one of those kinds.
    """
    history = _history(keys, signatures)
    missing = set(kinds_of(signatures)).difference(*history)
    if missing:
        raise ConfigError(
            f"GUARD_SIGNATURES asks for {NAMES[min(missing)]}, and this log has no such key: run  guard audit rotate-key,"
            "  restart every process that writes, then run  guard audit rotate-key --finish"
        )
    return _vkeys(origin, history)


def log_signer(keys: KeyRing, origin: str) -> NoteSigner:
    """Signs with every key that has not been retired. Raises KeyFileError where the newest of a kind is missing."""
    history = _history(keys)
    places = _places(history)
    for kind, number in _newest(history).items():
        if not _path(keys, number, kind).exists():  # to sign without it would be a downgrade
            raise KeyFileError(f"{_path(keys, number, kind)} is missing, and it signs this log: restore it")
    held = [(number, kind) for number, kind in places if _path(keys, number, kind).exists()]
    return NoteSigner(origin, *(_private(keys, number, kind) for number, kind in held))


def kinds_of(signatures: Signatures) -> tuple[int, ...]:
    """The kinds of signatures that a setting asks for."""
    return LOG_KINDS if signatures is Signatures.BOTH else (ED25519,)


def first_keys(vkeys: Sequence[str]) -> list[str]:
    """The first of each kind: what a verifier of the whole record starts from, to be led to the others by the record."""
    first: dict[int, str] = {}
    for vkey in vkeys:
        first.setdefault(NoteKey.parse(vkey).kind, vkey)
    return [first[kind] for kind in sorted(first)]


def newest_keys(vkeys: Sequence[str]) -> list[str]:
    """The newest of each kind: those that sign once a rotation has ended."""
    return first_keys(vkeys[::-1])


def signing_vkey(note: str, vkeys: Sequence[str]) -> str | None:
    """The first of some keys that signed a note."""
    for vkey in vkeys:
        try:
            open_note(note, vkey)
        except NoteError:
            continue
        return vkey
    return None


def add_keys(keys: KeyRing, signatures: Signatures) -> None:
    """Make the next generation: of the kinds that are asked for and missing, else one of each kind in use.

    It signs beside the older ones from the next start of each process on.
    """
    history = _history(keys)
    used = {kind for generation in history for kind in generation}
    number = len(history)
    # Those that were made and not noted, before a crash, are taken up again.
    made = {kind: _public(_private(keys, number, kind)) for kind in sorted(set(kinds_of(signatures)) - used or used)}
    _write(keys, [*history, made])


def unrecorded(keys: KeyRing, origin: str, recorded: Collection[object]) -> list[str]:
    """The keys of a newest generation that no entry has announced: an earlier call was interrupted."""
    history = _history(keys)
    return [vkey for vkey in _vkeys(origin, history[1:][-1:]) if vkey not in recorded]


def alone(connection: Connection) -> list[str]:
    """The keys that the newest end of a rotation left to sign alone; none where no rotation has ended."""
    query = select(LogEntry.leaf).where(LogEntry.kind == KIND).order_by(LogEntry.seq.desc())
    for leaf in connection.execute(query).scalars().all():
        found = (parse_leaf(leaf) or {}).get("alone")
        if isinstance(found, list):
            return [vkey for vkey in found if isinstance(vkey, str)]
    return []


def require_not_retired(connection: Connection, vkeys: Collection[str]) -> None:
    """Raise RecordError where a process with these keys would sign what no verifier accepts any more."""
    if not set(alone(connection)) <= set(vkeys):
        raise RecordError(
            "the keys that this process signs with were retired (guard audit rotate-key --finish): give its key folder the"
            " new ones, which  guard audit rotate-key  made, and restart it; nothing was recorded"
        )


def retire(keys: KeyRing) -> int:
    """Destroy all private keys but the newest of each kind; how many there were."""
    history = _history(keys)
    newest = _newest(history)
    old = [_path(keys, number, kind) for number, kind in _places(history) if number < newest[kind]]
    found = [path for path in old if path.exists()]
    for path in found:
        path.unlink()
    return len(found)


def _history(keys: KeyRing, signatures: Signatures = Signatures.ED25519) -> list[Generation]:
    try:
        text = read_private(keys.folder / _HISTORY).decode("ascii")
    except FileNotFoundError:
        return [_first(keys, signatures)]
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{keys.folder / _HISTORY} is damaged: restore it") from error
    kinds = {PUBLIC_SIZES[kind]: kind for kind in LOG_KINDS}
    try:
        found = [{kinds[len(public)]: public for public in map(decode, line.split())} for line in text.splitlines()]
    except (NoteError, KeyError) as error:
        raise KeyFileError(f"{keys.folder / _HISTORY} is damaged ({error}): restore it") from error
    if not found or not all(found):
        raise KeyFileError(f"{keys.folder / _HISTORY} is damaged: restore it")
    return found


def _first(keys: KeyRing, signatures: Signatures) -> Generation:
    """The keys that a log began with; made where there are none."""
    begun = _path(
        keys, 0, ED25519
    ).exists()  # the last to be made: a log that has it has begun, with the kinds that are there
    kinds = [kind for kind in LOG_KINDS if (_path(keys, 0, kind).exists() if begun else kind in kinds_of(signatures))]
    made = {kind: _public(_private(keys, 0, kind)) for kind in reversed(kinds)}
    first = dict(reversed(made.items()))
    if len(first) > 1:  # or a file that is lost would pass for a kind that the log never had
        _write(keys, [first])
    return first


def _write(keys: KeyRing, history: Sequence[Generation]) -> None:
    lines = [" ".join(map(encode, generation.values())) + "\n" for generation in history]
    scratch = keys.folder / f".{_HISTORY}.{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(keys.folder / _HISTORY)
        sync_folder(keys.folder)
    except OSError as error:
        raise KeyFileError(f"cannot write {keys.folder / _HISTORY}: {error.strerror}; check its folder") from error


def _places(history: Sequence[Generation]) -> list[tuple[int, int]]:
    """Every key by its generation's number and its kind, the oldest first."""
    return [(number, kind) for number, generation in enumerate(history) for kind in generation]


def _newest(history: Sequence[Generation]) -> dict[int, int]:
    """By kind, the number of the newest generation that has it."""
    return {kind: number for number, kind in _places(history)}


def _vkeys(origin: str, history: Sequence[Generation]) -> list[str]:
    return [NoteKey(origin, kind, public).vkey for generation in history for kind, public in generation.items()]


def _private(keys: KeyRing, number: int, kind: int) -> SigningKey:
    name = _path(keys, number, kind).stem
    return keys.ml_dsa_key(name) if kind == ML_DSA_44 else keys.signing_key(name)


def _path(keys: KeyRing, number: int, kind: int) -> Path:
    which = "" if number == 0 else f"-{number + 1}"
    return keys.folder / f"log{which}{'.ml-dsa' if kind == ML_DSA_44 else ''}.pem"


def _public(key: SigningKey) -> bytes:
    return key.public_key().public_bytes_raw()
