"""Check digits of cryptocurrency addresses: Base58Check and Bech32.

Ethereum's check (the case of the letters, EIP-55) is not looked at: most addresses are written in one case, a wrong case still
names a wallet, and its Keccak hash costs half a millisecond here, which a hostile text could ask for hundreds of times.
"""

from __future__ import annotations

from guard.digest import sha256

_BASE58 = {
    character: index for index, character in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
}
_BECH32 = {character: index for index, character in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def bitcoin(text: str) -> bool:
    """A Bitcoin address of any age."""
    if text[:3].lower() in ("bc1", "tb1"):
        return bech32(text)
    value = 0
    if any(character not in _BASE58 for character in text):
        return False
    for character in text:
        value = value * 58 + _BASE58[character]
    if value >> 200:
        return False
    data = value.to_bytes(25, "big")
    return data[0] in (0, 5) and sha256(sha256(data[:21]))[:4] == data[21:]


def bech32(text: str) -> bool:
    """BIP 173 and BIP 350; mixed case is not allowed."""
    lower = text.lower()
    if text not in (lower, text.upper()):
        return False
    prefix, _, body = lower.rpartition("1")
    if any(character not in _BECH32 for character in body):
        return False
    values = [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]
    state = 1
    for value in (*values, *(_BECH32[character] for character in body)):
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for index, word in enumerate(_GENERATOR):
            if top >> index & 1:
                state ^= word
    return state in (1, 0x2BC830A3)
