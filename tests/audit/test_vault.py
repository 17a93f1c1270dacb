"""Sealed content opens in its own place only, and what the entry says of it gives nothing away."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.vault import Sealed, Vault, place, row_digest
from guard.digest import canonical, keyed, sha256
from guard.errors import EvidenceError
from guard.keys import KeyRing
from guard.types import Audio, Content, Image, Text

HERE = place("entry-1", "prompt")


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(KeyRing(tmp_path_factory.mktemp("keys")))


def open_sealed(vault: Vault, sealed: Sealed, context: bytes = HERE) -> Content:
    return vault.open(sealed.facts, sealed.ciphertext, sealed.wrapped_key, context=context)


@given(
    st.text().map(Text)
    | st.text(st.characters(categories=["Cs", "L"])).map(Text)
    | st.binary().map(Image)
    | st.binary().map(lambda data: Audio(data, "audio/flac"))
)
def test_content_survives_the_round_trip(vault: Vault, content: Content) -> None:
    assert open_sealed(vault, vault.seal(content, context=HERE)) == content


def test_two_seals_of_one_content_share_only_the_lookup(vault: Vault) -> None:
    one, two = vault.seal(Text("same"), context=HERE), vault.seal(Text("same"), context=HERE)
    assert one.lookup == two.lookup == vault.lookup(Text("same"))
    assert one.ciphertext != two.ciphertext
    assert one.wrapped_key != two.wrapped_key
    assert {name for name in one.facts if one.facts[name] != two.facts[name]} == {"ct_sha256", "row_sha256", "commit"}


def test_content_opens_in_its_own_place_only(vault: Vault) -> None:
    sealed = vault.seal(Text("secret"), context=HERE)
    for elsewhere in (place("entry-2", "prompt"), place("entry-1", "output"), b""):
        with pytest.raises(EvidenceError, match="changed or moved"):
            open_sealed(vault, sealed, elsewhere)


@given(st.integers(0), st.sampled_from(["ciphertext", "wrapped_key"]))
def test_any_flipped_bit_is_found(vault: Vault, bit: int, part: str) -> None:
    sealed = vault.seal(Text("secret"), context=HERE)
    parts = {"ciphertext": bytearray(sealed.ciphertext), "wrapped_key": bytearray(sealed.wrapped_key)}
    parts[part][bit // 8 % len(parts[part])] ^= 1 << bit % 8
    with pytest.raises(EvidenceError):
        vault.open(sealed.facts, bytes(parts["ciphertext"]), bytes(parts["wrapped_key"]), context=HERE)


@pytest.mark.parametrize("wrapped", [b"", b"short", bytes(12), bytes(59), bytes(61)])
def test_keys_of_a_wrong_length_are_evidence_and_no_crash(vault: Vault, wrapped: bytes) -> None:
    sealed = vault.seal(Text("secret"), context=HERE)
    with pytest.raises(EvidenceError):
        vault.open(sealed.facts, sealed.ciphertext, wrapped, context=HERE)


def test_the_operator_cannot_swap_the_text_behind_a_key(vault: Vault, tmp_path: Path) -> None:
    """Whoever holds the wrapping key can make another ciphertext that decrypts; the commitment shows it."""
    keys = KeyRing(tmp_path)
    forger = Vault(keys)
    sealed = forger.seal(Text("what was said"), context=HERE)
    other = bytes(32)
    ciphertext = AESGCM(other).encrypt(bytes(12), b"what was never said", HERE)
    wrapped = bytes(12) + AESGCM(keys.secret("vault")).encrypt(bytes(12), other, HERE)
    with pytest.raises(EvidenceError, match="not what the entry commits to"):
        forger.open(sealed.facts, ciphertext, wrapped, context=HERE)


def test_another_key_folder_cannot_open_it(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal(Text("secret"), context=HERE)
    with pytest.raises(EvidenceError, match="another key"):
        open_sealed(Vault(KeyRing(tmp_path)), sealed)


def test_the_entry_holds_no_plain_digest_of_the_content(vault: Vault) -> None:
    """A plain digest of a short personal text is confirmed by guessing, even after erasure."""
    text = Text("Jane Roe, 12 March 1980")
    sealed = vault.seal(text, context=HERE)
    facts = canonical(dict(sealed.facts)).decode()
    guesses = [sha256(text.data), sealed.lookup, sha256(sealed.lookup), keyed(b"", "commit", text.data)]
    assert not [guess for guess in guesses if guess.hex() in facts]
    assert sealed.facts["row_sha256"] == row_digest(sealed.wrapped_key, sealed.lookup)
