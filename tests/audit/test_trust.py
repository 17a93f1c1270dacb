"""Which keys hold for which checkpoints: those that were given, and those that entries under them lead to."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from guard.audit.checkpoint import Checkpoint, NoteSigner
from guard.audit.trust import Trust
from guard.errors import NoteError
from guard.keys import SigningKey

OLD, NEW = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
SAFE, SAFER = (MLDSA44PrivateKey.from_seed_bytes(bytes([number]) * 32) for number in (3, 4))


def vkey(key: SigningKey, origin: str = "genguard") -> str:
    return NoteSigner(origin, key).vkey


def note(size: int, *keys: SigningKey) -> str:
    return NoteSigner("genguard", *keys).sign(Checkpoint("genguard", size, bytes(32)).text)


def announced(
    seq: int, key: SigningKey, other: Mapping[str, object] = MappingProxyType({})
) -> tuple[int, dict[str, Any]]:
    return seq, {"kind": "key", "role": "log", "old": vkey(OLD), "new": vkey(key), **other}


def ended(seq: int, *keys: SigningKey) -> tuple[int, dict[str, Any]]:
    return seq, {"kind": "key", "role": "log", "alone": [vkey(key) for key in keys]}


def takes(trust: Trust, size: int, *keys: SigningKey) -> bool:
    try:
        return trust.open(note(size, *keys)).size == size
    except NoteError:
        return False


def test_an_announced_key_holds_from_the_checkpoint_over_it() -> None:
    trust = Trust([vkey(OLD)], [announced(10, NEW)])
    assert not takes(trust, 11, NEW)
    trust.signed(10)
    assert not takes(trust, 12, NEW)
    trust.signed(11)
    assert (takes(trust, 11, NEW), takes(trust, 12, NEW), takes(trust, 12, OLD)) == (False, True, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "vault"},
        {"old": vkey(SAFE)},
        {"old": [vkey(OLD)]},
        {"new": vkey(NEW, "another")},
        {"new": "x"},
        {"new": 3},
        {"new": None, "alone": []},
        {"new": None, "alone": [vkey(NEW)]},
        {"new": None, "alone": [3, []]},
    ],
)
def test_what_is_no_announcement_for_this_log_under_a_known_key_changes_nothing(wrong: dict[str, object]) -> None:
    trust = Trust([vkey(OLD)], [announced(0, NEW, wrong)])
    trust.signed(5)
    assert not takes(trust, 9, NEW)
    assert takes(trust, 9, OLD)


def test_once_a_rotation_has_ended_older_keys_are_refused_and_older_checkpoints_are_not() -> None:
    trust = Trust([vkey(OLD)], [announced(3, NEW), ended(6, NEW)])
    for size in (4, 7):
        assert takes(trust, size, OLD, NEW)
        trust.signed(size)
    assert (takes(trust, 8, OLD), takes(trust, 8, NEW)) == (False, True)
    assert takes(trust, 2, OLD)  # such as one that the reader kept
    assert (takes(trust, 6, OLD), takes(trust, 6, NEW), takes(trust, 3, NEW)) == (True, True, False)


def test_a_kind_that_was_there_from_the_start_is_asked_for_from_the_start() -> None:
    trust = Trust([vkey(OLD), vkey(SAFE)])
    assert takes(trust, 1, OLD, SAFE)
    for keys in ((OLD,), (SAFE,), (OLD, SAFER), (NEW, SAFE)):
        assert not takes(trust, 1, *keys)
    assert takes(Trust([vkey(SAFE)]), 1, OLD, SAFE)  # who trusts only what quantum computers do not break
    assert takes(Trust([vkey(OLD)]), 1, OLD, SAFE)  # who knows nothing of the other


def test_a_kind_that_came_later_is_asked_for_once_the_record_says_so() -> None:
    trust = Trust([vkey(OLD), vkey(SAFE)], [announced(3, SAFE), ended(6, OLD, SAFE)])
    assert takes(trust, 2, OLD)
    trust.signed(4)
    assert takes(trust, 5, OLD)  # by a writer that was not restarted yet
    trust.signed(7)
    assert (takes(trust, 8, OLD), takes(trust, 8, OLD, SAFE)) == (False, True)
    trust.close(note(8, OLD, SAFE))
    with pytest.raises(NoteError, match="ML-DSA-44"):
        trust.close(note(8, OLD))


def test_a_rotation_that_never_ends_does_not_hide_the_loss_of_a_given_kind() -> None:
    """What a thief of the Ed25519 key could write, who lacks the other one."""
    trust = Trust([vkey(OLD), vkey(SAFE)], [announced(3, SAFE)])
    trust.signed(4)
    assert takes(trust, 8, OLD)
    with pytest.raises(NoteError, match="no ML-DSA-44 signature"):
        trust.close(note(8, OLD))


def test_both_kinds_change_their_keys() -> None:
    changes = [announced(3, NEW), announced(4, SAFER), ended(7, NEW, SAFER)]
    trust = Trust([vkey(OLD), vkey(SAFE)], changes)
    assert takes(trust, 5, OLD, SAFE, NEW, SAFER)
    trust.signed(5)
    assert takes(trust, 6, OLD, SAFER)
    assert not takes(trust, 6, OLD, NEW)
    trust.signed(8)
    assert (takes(trust, 9, NEW, SAFER), takes(trust, 9, OLD, SAFER), takes(trust, 9, NEW, SAFE)) == (
        True,
        False,
        False,
    )


def test_no_key_is_no_trust() -> None:
    with pytest.raises(NoteError, match="missing"):
        Trust([])
    with pytest.raises(NoteError):
        Trust([vkey(OLD)]).open(None)
