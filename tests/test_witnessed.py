"""A Guard whose policy lets outcomes wait for a witness."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard import Guard, Outcome, State
from guard.audit.checkpoint import NoteSigner, split_note
from guard.audit.receipt import verify_receipt
from guard.errors import ConfigError, WitnessError
from guard.keys import KeyRing
from tests.audit.tlog_witness import TlogWitness, serving

POLICY: dict[str, Any] = {
    "name": "test",
    "version": "1",
    "checkers": {"stop": {"use": "sample-words", "params": {"words": ["never"]}}},
    "rules": [{"id": "stop", "checker": "stop", "action": "block"}],
    "record": {"wait_for": {"block": "witnessed"}},
}

Make = Callable[..., Guard]


@pytest.fixture
def make(sample_plugin: str, tmp_path: Path) -> Iterator[Make]:
    opened: list[Guard] = []

    def build(policy: dict[str, Any] = POLICY) -> Guard:
        opened.append(Guard(policy, home=tmp_path / "home", store=f"sqlite:///{tmp_path / 'record.db'}"))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


def signers(outcome: Outcome) -> int:
    return len(split_note(outcome.receipt.checkpoint)[1])


def test_a_policy_that_waits_for_nobody_is_a_mistake(make: Make) -> None:
    with pytest.raises(ConfigError, match="lets block wait for a witness"):
        make()


def test_only_the_named_actions_wait(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_WITNESS", str(tmp_path / "w"))
    g = make()
    assert signers(g.check("fine")) == 1
    blocked = g.check("never", id="b")
    assert (blocked.state, signers(blocked)) == (State.BLOCKED, 2)
    verify_receipt(blocked.receipt, g.ledger.log.vkey)
    assert [signers(outcome) for outcome in g.check_many(["fine", "never"])] == [2, 2]  # one transaction, one wait
    assert g.check("fine").receipt.checkpoint.count("\u2014") == 1
    assert signers(g.collect("b")) == 2


def test_what_could_not_be_witnessed_waits_for_it_when_it_is_asked_for_again(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = NoteSigner("genguard", KeyRing(tmp_path / "home" / "keys").signing_key("log")).vkey
    with serving(TlogWitness()) as witness:
        monkeypatch.setenv("GUARD_WITNESS", witness.url)
        monkeypatch.setenv("GUARD_WITNESS_KEY", witness.vkey)
        with pytest.raises(WitnessError, match="does not know the log"):
            make()
        witness.know(key)
        g = make()
        witness.answer = (503, b"")
        with pytest.raises(WitnessError, match="durable"):
            g.check("never", id="b")
        with pytest.raises(WitnessError, match="HTTP 503"):
            g.collect("b")
        witness.answer = None
        assert signers(g.collect("b")) == 2
        g.check("fine")
        g.close()  # shows the witness what it has not seen yet
        assert witness.signed["genguard"][0] == g.ledger.reader.size()


def test_a_guard_does_not_start_on_a_restored_backup(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARD_WITNESS", str(tmp_path / "w"))
    make().close()
    shutil.copy(tmp_path / "record.db", tmp_path / "old.db")
    g = make()
    g.check("fine")
    g.close()
    shutil.copy(tmp_path / "old.db", tmp_path / "record.db")
    with pytest.raises(WitnessError, match="restore the newer database"):
        make()
