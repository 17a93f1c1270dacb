"""Secrets: what each vendor's form looks like, what merely looks like one, and what findings do not say."""

from __future__ import annotations

import base64
import json
import random
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from guard.checkers.credentials.randomness import _BASE62, entropy
from guard.checkers.credentials.rules import RULES, Rule
from guard.checkers.secrets import SecretsChecker
from guard.types import Checker, Finding, Item, Stage, Text
from tests.bench.texts import prose
from tests.checkers.drawn import draw

Ask = Callable[[Checker, str], list[Finding]]
Seen = Callable[[Checker, str], dict[str, str]]
CHECKER = SecretsChecker(SecretsChecker.Params())


def base62(value: int) -> str:
    digits = ""
    while value:
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits.rjust(6, "0")


def github(chance: random.Random) -> str:
    body = "".join(chance.choice(_BASE62) for _ in range(30))
    return f"ghp_{body}{base62(zlib.crc32(body.encode()))}"


def web_token(chance: random.Random) -> str:
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": str(chance.randrange(10**9)), "name": "Ann"}]
    made = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*made, "".join(chance.choice(_BASE62) for _ in range(43))])


def pem(chance: random.Random, kind: str = "RSA ") -> str:
    lines = "\n".join("".join(chance.choice(_BASE62) for _ in range(64)) for _ in range(5))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def made(rule: Rule, chance: random.Random) -> tuple[str, str]:
    """A text that the form matches, and the secret in it."""
    if rule.category == "GITHUB_TOKEN":
        return (token := github(chance)), token
    if rule.category == "JSON_WEB_TOKEN":
        return (token := web_token(chance)), token
    for _ in range(1000):
        text = draw(rule.form, chance)
        match = re.search(rule.form.replace(r"\z", r"\Z"), text)
        if match is None:
            continue
        secret = match[1] if match.re.groups else match[0]
        if entropy(secret) >= rule.entropy and rule.valid(secret):
            return text, secret
    raise AssertionError(f"no text of {rule.category} is valid")


@pytest.mark.parametrize("rule", RULES, ids=[rule.category for rule in RULES])
def test_every_form_is_found_where_it_stands(rule: Rule) -> None:
    chance = random.Random(rule.category)
    for _ in range(10):
        text, secret = made(rule, chance)
        for frame in ("use {} now", "\U0001f600 caf\u00e9 ({})", "\n{}\n"):
            whole = frame.format(text)
            (found,) = CHECKER.check([Item(Text(whole), Stage.OUTPUT)])
            assert any(secret in whole[slice(*finding.span)] for finding in found if finding.span), (text, found)
            for finding in found:
                assert secret not in finding.message
                assert secret not in repr(finding)


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_private_keys_are_found_whole(seen: Seen, kind: str) -> None:
    block = pem(random.Random(kind), kind)
    assert seen(CHECKER, f"key:\n{block}\nend") == {"PRIVATE_KEY": block}
    assert seen(CHECKER, block[:200])["PRIVATE_KEY"] == block[:200]


def test_a_token_with_a_wrong_check_digit_is_none(ask: Ask) -> None:
    token = github(random.Random(3))
    assert ask(CHECKER, token)
    assert not ask(CHECKER, token[:-1] + ("0" if token[-1] != "0" else "1"))


def test_hidden_inside_a_token(seen: Seen) -> None:
    token = github(random.Random(4))
    hidden = f"{token[:9]}\u200b{token[9:]}"
    assert seen(CHECKER, f"use {hidden} now") == {"GITHUB_TOKEN": hidden}


HARMLESS = [
    "My password is: please tell me how to change it.", "password: ********", "password = <your password>", "token: ${API_TOKEN}",
    "api_key = os.environ['KEY']", "The secret: love. The key: patience1.", "AKIAIOSFODNN7EXAMPLE", "postgres://user:password@localhost/db",
    "https://user:example@host.example/", "-----BEGIN PRIVATE KEY-----\nMII...\n-----END PRIVATE KEY-----", "sk-your-api-key-here-0123456789",
    "Write -----BEGIN RSA PRIVATE KEY----- above it.", "key: value, token: string, secret: bool", "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "id 550e8400-e29b-41d4-a716-446655440000", "eyJhbGciOiJIUzI1NiJ9 is a header", "key-value stores, pat the dog, hf_hub, sk-learn, sl.no 12",
    "password123 is a bad password", "Bearer of bad news; basic instincts", "token_type: Bearer, expires_in: 3600",
]  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS)
def test_what_stands_for_a_secret_is_none(ask: Ask, text: str) -> None:
    assert ask(CHECKER, text) == []


def test_two_megabytes_of_dialogue_hold_none(ask: Ask) -> None:
    assert ask(CHECKER, prose(2_000_000)) == []


def test_parameters(ask: Ask) -> None:
    token = github(random.Random(5))
    assert not ask(SecretsChecker(SecretsChecker.Params(allow=(token,))), token)
    assert not ask(SecretsChecker(SecretsChecker.Params(leave_out=frozenset({"GITHUB_TOKEN"}))), token)
    with pytest.raises(ValidationError, match="unknown category 'GITHUB'"):
        SecretsChecker.Params(leave_out=frozenset({"GITHUB"}))


GITLEAKS = """
[[rules]]
id = "shop-token"
description = "a token of the shop"
regex = '''(?i)\\bshop[-_ ]token\\s*=\\s*([a-z0-9]{12})\\b'''
secretGroup = 1
entropy = 2.5
keywords = ["shop"]
[rules.allowlist]
stopwords = ["abcabc"]
regexes = ['''^000''']

[[rules]]
id = "files"
path = '''\\.p12$'''
"""


def test_rules_from_a_gitleaks_file(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(GITLEAKS, "utf-8")
    checker = SecretsChecker(SecretsChecker.Params(rules=(file,)))
    text = "SHOP_TOKEN = q7r2k9m4x1z8;"
    (finding,) = ask(checker, text)
    assert (finding.category, finding.message) == ("SHOP_TOKEN", "a token of the shop")
    assert finding.span
    assert text[slice(*finding.span)] == "q7r2k9m4x1z8"
    for allowed in ("abcabc123456", "000k9m4x1z8q", "aaaaaaaaaaaa"):
        assert not [found for found in ask(checker, f"shop_token={allowed}") if found.category == "SHOP_TOKEN"]
    assert "sha256:" in checker.version
    assert checker.version != CHECKER.version


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[[rules]]\nid='a'\nregex='(?=x)'", r"rules.toml: rule 'a' cannot be used"),
        ("x", "is not TOML"),
        ("a=1", r"no \[\[rules\]\]"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(content, "utf-8")
    with pytest.raises(ValidationError, match=complaint):
        SecretsChecker.Params(rules=(file,))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"cannot read the rules in .*none\.toml"):
        SecretsChecker.Params(rules=(tmp_path / "none.toml",))


_chance = random.Random(9)
PIECES = [
    *(made(rule, _chance)[0] for rule in RULES), pem(_chance), " ", "\n", "password: ", "api_key=", "'", "x", "\u00e9", "\u200b", "-", "_",
    "Authorization: Bearer ", "postgres://u:",
]  # fmt: skip


def raw(text: str) -> set[tuple[object, ...]]:
    (found,) = CHECKER.check([Item(Text(text), Stage.OUTPUT)])
    return {(*finding.span, finding.category, finding.score) for finding in found if finding.span}


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=4).map("".join), st.data())
def test_what_is_not_held_back_is_final(text: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(text)))
    cut = size - CHECKER.pending(text[:size])
    assert 0 <= cut <= size
    assert {match for match in raw(text[:size]) if match[0] < cut} == {match for match in raw(text) if match[0] < cut}  # type: ignore[operator]
