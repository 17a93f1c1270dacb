"""Cosignatures: the format of the specification, and everything that must be refused."""

from __future__ import annotations

import base64
import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from guard.audit.checkpoint import (
    COSIGNATURE,
    ML_DSA_44,
    WITNESS_KINDS,
    Checkpoint,
    NoteKey,
    NoteSigner,
    open_checkpoint,
    parse_signature,
    signature_line,
)
from guard.audit.cosign import Cosigner, cosignatures, cosigned_at
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
    key = NoteKey.parse(PUBLISHED_KEY, WITNESS_KINDS)
    assert (key.name, key.kind, key.id.hex(), len(key.public)) == ("remora.n621.de", COSIGNATURE, "da77ade7", 32)
    assert key.vkey == PUBLISHED_KEY
    with pytest.raises(NoteError, match="key of a log"):
        NoteKey.parse(PUBLISHED_KEY)
    with pytest.raises(NoteError, match="key of a witness"):
        NoteKey.parse(LOG.vkey, WITNESS_KINDS)


def test_a_witness_may_sign_with_ml_dsa() -> None:
    """The message is laid out here as the specification says, byte by byte."""
    private = MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
    key = NoteKey("witness.example.com/w1", ML_DSA_44, private.public_key().public_bytes_raw())
    line = key.line(EXAMPLE_TEXT, private, EXAMPLE_TIME)
    name, key_id, data = parse_signature(line.removesuffix("\n"))
    assert key_id == hashlib.sha256(name.encode() + b"\n\x06" + key.public).digest()[:4]
    assert (len(key.public), len(data)) == (1312, 8 + 2420)
    message = struct.pack(
        ">12sB22sQB27sQQ32s",
        b"subtree/v1\n\0",
        *(22, b"witness.example.com/w1"),
        EXAMPLE_TIME,
        *(27, b"example.com/behind-the-sofa"),
        *(0, 20852163),
        base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="),
    )
    private.public_key().verify(data[8:], message)
    note = LOG.sign(EXAMPLE_TEXT) + line
    assert open_checkpoint(note, LOG.vkey).size == 20852163
    assert list(cosignatures(note, [key.vkey, WITNESS.vkey])) == [(key.vkey, EXAMPLE_TIME)]
    # It commits to the witness's name and to no extension line.
    assert cosigned_at(EXAMPLE_TEXT + "more\n", line, key.vkey) == EXAMPLE_TIME
    other = NoteKey("witness.example.com/w2", ML_DSA_44, key.public)
    forged = signature_line(other.name, other.id, data)
    with pytest.raises(NoteError, match=r"ML-DSA-44 signature by 'witness.example.com/w2' does not"):
        cosigned_at(EXAMPLE_TEXT, forged, other.vkey)
    for changed in (
        EXAMPLE_TEXT.replace("sofa", "sofb"),
        EXAMPLE_TEXT.replace("63", "64"),
        EXAMPLE_TEXT.replace("Cs", "Ds"),
    ):
        with pytest.raises(NoteError, match="does not match"):
            cosigned_at(changed, line, key.vkey)
    with pytest.raises(NoteError, match="carries no time"):
        cosigned_at(EXAMPLE_TEXT, key.line(EXAMPLE_TEXT, private), key.vkey)


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
