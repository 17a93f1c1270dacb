"""Cosignatures: the format of the specification, and everything that must be refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.audit.checkpoint import Checkpoint, NoteSigner, open_checkpoint, parse_signature, parse_vkey
from guard.audit.cosign import COSIGNATURE, Cosigner, cosignatures, cosigned_at
from guard.errors import NoteError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = Cosigner("witness.example.com/w1", KEY)
LOG = NoteSigner("example.com/behind-the-sofa", Ed25519PrivateKey.from_private_bytes(bytes(32)))

# The worked example of tlog-cosignature. Its keys are not published, its form is.
EXAMPLE_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
EXAMPLE_LINE = (
    "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5n"
    "No0xUe+mbIUBkBIfZ+qnA=="
)
EXAMPLE_TIME = 1679315147
# A witness key in use, as its operator publishes it.
PUBLISHED_KEY = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"


def test_the_form_is_that_of_the_specification() -> None:
    name, _, data = parse_signature(EXAMPLE_LINE)
    assert (name, len(data), int.from_bytes(data[:8], "big")) == ("witness.example.com/w1", 72, EXAMPLE_TIME)
    line = WITNESS.sign(EXAMPLE_TEXT, EXAMPLE_TIME)
    assert line.endswith("\n")
    assert len(line) == len(EXAMPLE_LINE) + 1
    ours = parse_signature(line[:-1])[2]
    assert ours[:8] == data[:8]
    KEY.public_key().verify(ours[8:], f"cosignature/v1\ntime {EXAMPLE_TIME}\n{EXAMPLE_TEXT}".encode())


def test_a_published_key_reads() -> None:
    name, key_id, public = parse_vkey(PUBLISHED_KEY, COSIGNATURE)
    assert (name, key_id.hex(), len(public)) == ("remora.n621.de", "da77ade7", 32)
    with pytest.raises(NoteError, match="key of a log"):
        parse_vkey(PUBLISHED_KEY)


def test_a_cosignature_tells_its_time_and_leaves_the_checkpoint_readable() -> None:
    note = LOG.sign(EXAMPLE_TEXT) + WITNESS.sign(EXAMPLE_TEXT, 7) + WITNESS.sign(EXAMPLE_TEXT, 5)
    assert open_checkpoint(note, LOG.vkey) == Checkpoint.parse(EXAMPLE_TEXT)
    assert list(cosignatures(note, [WITNESS.vkey, PUBLISHED_KEY])) == [(WITNESS.vkey, 7)]
    assert list(cosignatures(LOG.sign(EXAMPLE_TEXT), [WITNESS.vkey])) == []


def test_extension_lines_are_covered() -> None:
    line = WITNESS.sign(EXAMPLE_TEXT + "more\n", 7)
    assert cosigned_at(EXAMPLE_TEXT + "more\n", line, WITNESS.vkey) == 7
    with pytest.raises(NoteError, match="does not match"):
        cosigned_at(EXAMPLE_TEXT, line, WITNESS.vkey)


def test_whoever_else_signed_is_ignored() -> None:
    assert cosigned_at(EXAMPLE_TEXT, EXAMPLE_LINE, WITNESS.vkey) is None
    # The same key under the type of plain notes is another key: its id differs.
    plain = NoteSigner("witness.example.com/w1", KEY).sign(EXAMPLE_TEXT).split("\n\n")[1]
    assert cosigned_at(EXAMPLE_TEXT, plain, WITNESS.vkey) is None


@pytest.mark.parametrize("change", ["time", "bit", "none", "short", "negative"])
def test_what_claims_to_be_the_witness_and_is_not_is_refused(change: str) -> None:
    line = WITNESS.sign(EXAMPLE_TEXT, EXAMPLE_TIME)
    prefix, _, encoded = line.rstrip("\n").rpartition(" ")
    data = bytearray(base64.b64decode(encoded))
    if change == "time":
        data[11] ^= 1
    elif change == "bit":
        data[-1] ^= 1
    elif change == "none":
        data[4:12] = bytes(8)
    elif change == "short":
        del data[12:]
    else:
        data[4] = 0x80
    with pytest.raises(NoteError):
        cosigned_at(EXAMPLE_TEXT, f"{prefix} {base64.b64encode(data).decode()}\n", WITNESS.vkey)
