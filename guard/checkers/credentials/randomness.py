"""Whether a string is a secret or stands for one: entropy, placeholders, and the check digits that some vendors add."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLACEHOLDER = re.compile(
    r"example|sample|placeholder|change.?me|replace|redacted|your|dummy|fake|insert|todo|fixme|xxxx|\*\*\*|\.\.\.|"
    r"foobar|foo_bar|1234567|abcdef|qwerty|00000000|not.?a.?real|lorem|"
    r"^\$|^<|>$|\{\{|\$\{|%\(|^test|^none$|^null$|^true$|^false$|^undefined$|^process\.env|^os\.environ|getenv",
    re.IGNORECASE,
)

_WORDS = re.compile(r"s[e3]cr[e3]t|hunter2|p[a@]ss(?:w[o0]rd|phrase)|letmein|welcome|credential", re.IGNORECASE)


def entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in map(text.count, set(text))) if text else 0.0


def is_placeholder(text: str) -> bool:
    """Whether a value stands where a secret goes: an example, a variable, a word that asks to be replaced."""
    return _PLACEHOLDER.search(text) is not None or len(set(text)) < min(5, 1 + len(text) // 2)


def is_password(text: str) -> bool:
    """Whether what stands in the place of a password may be one: not the word itself, nor a placeholder."""
    return not is_placeholder(text) and _WORDS.search(text) is None


def looks_random(text: str) -> bool:
    """Whether a value was made by a machine or a careful person rather than taken from a language.

    Words that stand for a secret count for nothing: what is left must be random by itself, in at least eight characters.
    """
    if is_placeholder(text):
        return False
    rest = _WORDS.sub("", text)
    kinds = sum(any(map(test, rest)) for test in (str.islower, str.isupper, str.isdigit))
    digits = sum(map(str.isdigit, rest))
    if kinds < 2 or not digits or digits == len(rest) or len(rest) < min(len(text), 8):
        return False
    return entropy(rest) >= min(3.0, math.log2(len(rest)) * 0.85)


def access_key(text: str) -> bool:
    """Whether AWS made a key, rather than somebody wrote words in capitals that begin with ASIA.

    One temporary key in thirty has no digit and is missed.
    """
    return not is_placeholder(text) and (text.startswith("AKIA") or any(map(str.isdigit, text)))


def crc32_base62(token: str) -> bool:
    """GitHub's check: the last six characters are the CRC-32 of those between the prefix and them, in base 62."""
    body, check = token.rpartition("_")[2][:-6], token[-6:]
    value, digits = zlib.crc32(body.encode()), ""
    while value:
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits.rjust(6, "0") == check


def json_web_token(token: str) -> bool:
    """Whether the first part of a token is a header that names an algorithm."""
    head = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header
