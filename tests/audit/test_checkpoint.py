"""Signed notes and checkpoints: the published example, round trips, and everything that must be refused."""

from __future__ import annotations

import base64
import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.checkpoint import (
    Checkpoint,
    NoteKey,
    NoteSigner,
    open_checkpoint,
    open_note,
    own_note,
    parse_signature,
    split_note,
    vkey_name,
)
from guard.errors import NoteError

# The worked example of the signed-note format (golang.org/x/mod/sumdb/note).
EXAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
EXAMPLE_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
EXAMPLE_SIGNATURE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

# That of C2SP signed-note.
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

SIGNER = NoteSigner("genguard", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = NoteSigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(32)))
NOTE = SIGNER.sign(Checkpoint("genguard", 5, bytes(32)).text)
LINE = NOTE.rpartition("\n\n")[2]
SAFE = MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
BOTH = NoteSigner("genguard", Ed25519PrivateKey.from_private_bytes(bytes(range(32))), SAFE)
TWO_LINES = BOTH.sign(Checkpoint("genguard", 5, bytes(32)).text)


def test_the_published_example() -> None:
    assert open_note(EXAMPLE_TEXT + "\n" + EXAMPLE_SIGNATURE, EXAMPLE_KEY) == EXAMPLE_TEXT
    with pytest.raises(NoteError, match="does not match"):
        open_note(EXAMPLE_TEXT.replace("your", "my") + "\n" + EXAMPLE_SIGNATURE, EXAMPLE_KEY)


def test_the_example_of_the_specification() -> None:
    assert open_note(C2SP_NOTE, C2SP_KEY) == "This is an example message.\n"
    assert NoteKey.parse(C2SP_KEY).vkey == C2SP_KEY


def test_a_checkpoint_survives_the_round_trip() -> None:
    assert open_checkpoint(NOTE, SIGNER.vkey) == Checkpoint("genguard", 5, bytes(32))
    assert vkey_name(SIGNER.vkey) == "genguard"
    assert Checkpoint("genguard", 5, bytes(32)).text == "genguard\n5\n" + "A" * 43 + "=\n"


def test_signing_is_deterministic() -> None:
    assert SIGNER.sign("text\n") == SIGNER.sign("text\n")


def test_other_signers_are_ignored_but_ours_must_be_there() -> None:
    cosignature = OTHER.sign(Checkpoint("genguard", 5, bytes(32)).text).rpartition("\n\n")[2]
    both = NOTE + cosignature
    assert open_note(both, SIGNER.vkey) == open_note(both, OTHER.vkey) == open_note(both, [SIGNER.vkey, OTHER.vkey])
    with pytest.raises(NoteError, match="no signature by a known key"):
        open_note(NOTE, OTHER.vkey)
    with pytest.raises(NoteError, match="no signature by a known key"):
        open_note(NOTE, [])


def test_one_wrong_signature_by_a_known_key_spoils_the_note() -> None:
    wrong = OTHER.sign("another text\n").rpartition("\n\n")[2]
    with pytest.raises(NoteError, match="does not match"):
        open_note(NOTE + wrong, [SIGNER.vkey, OTHER.vkey])


def test_the_last_empty_line_ends_the_text() -> None:
    text = "first\n\nsecond\n\n\nthird\n"
    assert open_note(SIGNER.sign(text), SIGNER.vkey) == text


def test_unusual_line_separators_do_not_split_lines() -> None:
    text = "one\u2028two\u0085three\n"
    assert open_note(SIGNER.sign(text), SIGNER.vkey) == text


def test_plus_signs_in_the_key_are_part_of_it() -> None:
    for number in range(200):  # about half of all keys contain one
        signer = NoteSigner("genguard", Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big")))
        assert open_note(signer.sign("x\n"), signer.vkey) == "x\n"


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        "text\n",
        "text\n\n",
        LINE,
        "\n" + LINE,
        NOTE[:-1],
        NOTE + "\n",
        NOTE.replace("\u2014 ", "- "),
        NOTE.replace("\u2014 genguard ", "\u2014 genguard"),
        NOTE.replace("\u2014 genguard ", "\u2014 genguard  "),
        NOTE.replace("\u2014 genguard ", "\u2014  "),
        NOTE.replace("\n5\n", "\n5\r\n"),
        NOTE + "\u2014 witness !!!!\n",
        NOTE + "\u2014 witness AAAA\n",
        NOTE + LINE.replace("=", "") * 1,
        NOTE + LINE * 100,
        "x" * 1_000_001 + NOTE,
    ],
)
def test_malformed_notes_are_refused(note: str) -> None:
    with pytest.raises(NoteError):
        open_note(note, SIGNER.vkey)


@given(st.integers(0, len(NOTE.encode()) * 8 - 1))
def test_any_flipped_bit_spoils_the_note(bit: int) -> None:
    data = bytearray(NOTE.encode())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoteError):
        open_note(data.decode("utf-8", "surrogateescape"), SIGNER.vkey)


# --- with ML-DSA-44 beside Ed25519 ---


def test_a_note_of_two_kinds_is_read_by_whoever_knows_either() -> None:
    assert TWO_LINES.startswith(NOTE)  # whoever does not know the second line sees what was always there
    for vkeys in (BOTH.vkey, BOTH.vkeys[1], BOTH.vkeys, SIGNER.vkey):
        assert open_checkpoint(TWO_LINES, vkeys) == Checkpoint("genguard", 5, bytes(32))
    name, key_id, data = parse_signature(split_note(TWO_LINES)[1][1])
    assert (name, len(data), data[:8]) == ("genguard", 2428, bytes(8))  # the log says nothing of the time
    public = SAFE.public_key().public_bytes_raw()
    assert key_id == hashlib.sha256(b"genguard\n\x06" + public).digest()[:4]
    message = struct.pack(">12sB8sQB8sQQ32s", b"subtree/v1\n\0", 8, b"genguard", 0, 8, b"genguard", 0, 5, bytes(32))
    SAFE.public_key().verify(data[8:], message)
    assert BOTH.vkeys[1] == f"genguard+{key_id.hex()}+{base64.b64encode(bytes([6]) + public).decode()}"


def test_a_line_that_is_asked_for_cannot_be_stripped() -> None:
    first, second = (line + "\n" for line in split_note(TWO_LINES)[1])
    text = Checkpoint("genguard", 5, bytes(32)).text
    for line, missing in ((first, "ML-DSA-44"), (second, "Ed25519")):
        with pytest.raises(NoteError, match=f"carries no {missing} signature"):
            open_checkpoint(f"{text}\n{line}", BOTH.vkeys)
        assert open_checkpoint(f"{text}\n{line}", BOTH.vkeys, kinds=()).size == 5  # while keys change, either may sign
    assert open_checkpoint(f"{text}\n{second}{first}", BOTH.vkeys).size == 5
    with pytest.raises(NoteError, match="no signature by a known key"):
        open_checkpoint(f"{text}\n{first}", BOTH.vkeys[1], kinds=())


@given(st.integers(0, len(TWO_LINES.encode()) * 8 - 1))
def test_any_flipped_bit_spoils_a_note_of_two_kinds(bit: int) -> None:
    data = bytearray(TWO_LINES.encode())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoteError):
        open_note(data.decode("utf-8", "surrogateescape"), BOTH.vkeys)


def test_only_trees_are_signed_with_ml_dsa() -> None:
    with pytest.raises(NoteError, match="at least three lines"):
        BOTH.sign("text\n")
    with pytest.raises(NoteError, match="too long"):
        BOTH.sign(Checkpoint("x" * 256, 5, bytes(32)).text)


def test_the_time_in_a_signature_is_possible() -> None:
    key = NoteKey.of("genguard", SAFE)
    text = Checkpoint("genguard", 5, bytes(32)).text
    for seconds in (0, 1, 2**63 - 1):
        assert key.check(text, parse_signature(key.line(text, SAFE, seconds)[:-1])[2]) == seconds
    with pytest.raises(NoteError, match="impossible time"):
        key.check(text, parse_signature(key.line(text, SAFE, 2**63)[:-1])[2])


def test_the_logs_own_lines_of_a_note() -> None:
    other = OTHER.sign(Checkpoint("genguard", 5, bytes(32)).text).rpartition("\n\n")[2]
    assert own_note(TWO_LINES + other) == TWO_LINES
    assert own_note(NOTE) == NOTE


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_text_crashes_the_readers(text: str) -> None:
    for read in (lambda: open_note(text, SIGNER.vkey), lambda: Checkpoint.parse(text), lambda: open_note(NOTE, text)):
        with pytest.raises(NoteError):
            read()


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"genguard\n05\n{ROOT}\n",
        f"genguard\n+5\n{ROOT}\n",
        f"genguard\n-5\n{ROOT}\n",
        f"genguard\n 5\n{ROOT}\n",
        f"genguard\n\u0665\n{ROOT}\n",
        f"genguard\n5_0\n{ROOT}\n",
        f"genguard\n\n{ROOT}\n",
        f"genguard\n{'9' * 30}\n{ROOT}\n",
        f"genguard\n{2**64}\n{ROOT}\n",
        f"\n5\n{ROOT}\n",
        f"genguard\n5\n{ROOT}",
        f"genguard\n5\n{ROOT}\n\nx\n",
        f"genguard\n5\n{ROOT[:-2]}B=\n",
        f"genguard\n5\n{base64.b64encode(bytes(31)).decode()}\n",
        f"genguard\n5\n{base64.b64encode(bytes(33)).decode()}\n",
        f"genguard\n5\n{ROOT} \n",
        "genguard\n5\n",
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_extension_lines_are_allowed() -> None:
    assert Checkpoint.parse(f"genguard\n5\n{ROOT}\nextension 1\nother\n").size == 5


def test_a_checkpoint_of_another_log_is_refused() -> None:
    note = SIGNER.sign(Checkpoint("another", 5, bytes(32)).text)
    with pytest.raises(NoteError, match="about the log 'another'"):
        open_checkpoint(note, SIGNER.vkey)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "genguard",
        "genguard+00000000",
        SIGNER.vkey[:-4],
        SIGNER.vkey.replace("genguard", "genguarb"),
        SIGNER.vkey.replace("genguard", "gen guard"),
        "genguard+00000000+" + SIGNER.vkey.split("+", 2)[2],
        "genguard+c74f20a3+" + base64.b64encode(b"\x02" + bytes(32)).decode(),
    ],
)
def test_malformed_keys_are_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        open_note(NOTE, vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\tb", "a\u2003b"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(NoteError):
        NoteSigner(name, Ed25519PrivateKey.generate())


@pytest.mark.parametrize("text", ["no newline", "tab\tin it\n", "nul\0\n", "\ud800\n"])
def test_bad_texts_are_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        SIGNER.sign(text)
