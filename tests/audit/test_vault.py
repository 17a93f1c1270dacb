"""Sealed content opens in its own place only, and what the entry says of it gives nothing away."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.vault import Sealed, Vault, row_digest
from guard.digest import canonical, keyed, sha256
from guard.errors import EvidenceError
from guard.keys import KeyRing
from guard.types import Audio, Content, Image, Text

ANN = "s:ann"


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(KeyRing(tmp_path_factory.mktemp("keys")))


def seal(vault: Vault, content: Content) -> Sealed:
    return vault.seal({"prompt": content}, entry_id="entry-1", key_ref=ANN)["prompt"]


def open_sealed(vault: Vault, sealed: Sealed, entry_id: str = "entry-1", role: str = "prompt") -> Content:
    return vault.open(sealed.facts, sealed.ciphertext, sealed.wrapped_key, entry_id=entry_id, role=role)


@given(
    st.text().map(Text)
    | st.text(st.characters(categories=["Cs", "L"])).map(Text)
    | st.binary().map(Image)
    | st.binary().map(lambda data: Audio(data, "audio/flac"))
)
def test_content_survives_the_round_trip(vault: Vault, content: Content) -> None:
    assert open_sealed(vault, seal(vault, content)) == content


def test_two_seals_of_one_content_share_only_the_lookup(vault: Vault) -> None:
    one, two = seal(vault, Text("same")), seal(vault, Text("same"))
    assert one.lookup == two.lookup == vault.lookup(Text("same"), ANN)
    assert one.ciphertext != two.ciphertext
    assert one.wrapped_key != two.wrapped_key
    assert {name for name in one.facts if one.facts[name] != two.facts[name]} == {"ct_sha256", "row_sha256", "commit"}


def test_the_contents_of_an_entry_share_a_key_and_nothing_else(vault: Vault) -> None:
    """Whoever compares two roles learns nothing, though one key seals both."""
    sealed = vault.seal({"output": Text("same"), "release": Text("same")}, entry_id="e", key_ref=ANN)
    one, two = sealed["output"], sealed["release"]
    assert one.wrapped_key == two.wrapped_key
    assert one.ciphertext[:4] != two.ciphertext[:4]  # another stream of the cipher
    assert one.facts["commit"] != two.facts["commit"]
    assert open_sealed(vault, two, "e", "release") == Text("same")
    assert vault.seal({}, entry_id="e", key_ref="s:nobody") == {}
    assert not vault.keys.existing(["s:nobody"])  # nothing to seal, no key


def test_content_opens_in_its_own_place_only(vault: Vault) -> None:
    sealed = seal(vault, Text("secret"))
    for entry_id, role in (("entry-2", "prompt"), ("entry-1", "output"), ("", "")):
        with pytest.raises(EvidenceError, match="changed or moved"):
            open_sealed(vault, sealed, entry_id, role)


def test_content_opens_under_its_own_subject_only(vault: Vault) -> None:
    sealed = seal(vault, Text("secret"))
    vault.seal({"prompt": Text("x")}, entry_id="entry-9", key_ref="s:bob")
    facts = {**sealed.facts, "key_ref": "s:bob"}
    with pytest.raises(EvidenceError, match="changed or moved"):
        vault.open(facts, sealed.ciphertext, sealed.wrapped_key, entry_id="entry-1", role="prompt")


@given(st.integers(0), st.sampled_from(["ciphertext", "wrapped_key"]))
def test_any_flipped_bit_is_found(vault: Vault, bit: int, part: str) -> None:
    sealed = seal(vault, Text("secret"))
    parts = {"ciphertext": bytearray(sealed.ciphertext), "wrapped_key": bytearray(sealed.wrapped_key)}
    parts[part][bit // 8 % len(parts[part])] ^= 1 << bit % 8
    with pytest.raises(EvidenceError):
        vault.open(
            sealed.facts, bytes(parts["ciphertext"]), bytes(parts["wrapped_key"]), entry_id="entry-1", role="prompt"
        )


@pytest.mark.parametrize("wrapped", [b"", b"short", bytes(12), bytes(59), bytes(61)])
def test_keys_of_a_wrong_length_are_evidence_and_no_crash(vault: Vault, wrapped: bytes) -> None:
    sealed = seal(vault, Text("secret"))
    with pytest.raises(EvidenceError):
        vault.open(sealed.facts, sealed.ciphertext, wrapped, entry_id="entry-1", role="prompt")


def test_the_operator_cannot_swap_the_text_behind_a_key(vault: Vault) -> None:
    """Whoever holds the subject's key can make another ciphertext that decrypts; the commitment shows it."""
    sealed = seal(vault, Text("what was said"))
    wrapping, other = vault.keys.key(ANN, create=False), bytes(32)
    assert wrapping is not None
    nonce = sha256(b"prompt")[:12]
    ciphertext = AESGCM(other).encrypt(nonce, b"what was never said", b"entry-1\nprompt")
    wrapped = bytes(12) + AESGCM(wrapping).encrypt(bytes(12), other, f"entry-1\n\n{ANN}".encode())
    with pytest.raises(EvidenceError, match="not what the entry commits to"):
        vault.open(sealed.facts, ciphertext, wrapped, entry_id="entry-1", role="prompt")


def test_another_key_folder_cannot_open_it(vault: Vault, tmp_path: Path) -> None:
    sealed = seal(vault, Text("secret"))
    with pytest.raises(EvidenceError, match="another key folder"):
        open_sealed(Vault(KeyRing(tmp_path)), sealed)
    assert not (tmp_path / "subjects").exists()  # looking makes no keys


def test_a_destroyed_key_opens_nothing_and_a_new_one_neither(vault: Vault) -> None:
    sealed = vault.seal({"prompt": Text("secret")}, entry_id="e", key_ref="s:gone")["prompt"]
    vault.keys.destroy(["s:gone"])
    with pytest.raises(EvidenceError, match="was erased"):
        open_sealed(vault, sealed, "e")
    again = vault.seal({"prompt": Text("new")}, entry_id="e", key_ref="s:gone")["prompt"]
    with pytest.raises(EvidenceError, match="destroyed"):
        open_sealed(vault, sealed, "e")
    assert open_sealed(vault, again, "e") == Text("new")


def test_a_subject_has_one_name_that_cannot_be_guessed(vault: Vault, tmp_path: Path) -> None:
    name = vault.pseudonym("jane.roe@example.org")
    other = Vault(KeyRing(tmp_path)).pseudonym("jane.roe@example.org")
    assert name == vault.pseudonym("jane.roe@example.org") != other
    assert sha256(b"jane.roe@example.org").hex()[:32] not in name
    assert vault.pseudonym("\udcff odd") != vault.pseudonym("odd")


def test_the_entry_holds_no_plain_digest_of_the_content(vault: Vault) -> None:
    """A plain digest of a short personal text is confirmed by guessing, even after erasure."""
    text = Text("Jane Roe, 12 March 1980")
    sealed = seal(vault, text)
    facts = canonical(dict(sealed.facts)).decode()
    guesses = [sha256(text.data), sealed.lookup, sha256(sealed.lookup), keyed(b"", "commit", text.data)]
    assert not [guess for guess in guesses if guess.hex() in facts]
    assert sealed.facts["row_sha256"] == row_digest(sealed.wrapped_key, sealed.lookup)
