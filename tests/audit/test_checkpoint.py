"""Signed notes and checkpoints: the published example, round trips, and everything that must be refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.checkpoint import Checkpoint, NoteSigner, open_checkpoint, open_note, vkey_name
from guard.errors import NoteError

# The worked example of the signed-note format (golang.org/x/mod/sumdb/note).
EXAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
EXAMPLE_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
EXAMPLE_SIGNATURE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

SIGNER = NoteSigner("genguard", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = NoteSigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(32)))
NOTE = SIGNER.sign(Checkpoint("genguard", 5, bytes(32)).text)
LINE = NOTE.rpartition("\n\n")[2]


def test_the_published_example() -> None:
    assert open_note(EXAMPLE_TEXT + "\n" + EXAMPLE_SIGNATURE, EXAMPLE_KEY) == EXAMPLE_TEXT
    with pytest.raises(NoteError, match="does not match"):
        open_note(EXAMPLE_TEXT.replace("your", "my") + "\n" + EXAMPLE_SIGNATURE, EXAMPLE_KEY)


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
