"""Redacting with keys, through the whole flow: what the model sees, what the caller gets, who may look."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard import Guard, Outcome, ScriptedGenerator, State, Text, review
from guard.audit.erase import Why, erase_subject
from guard.audit.verify import verify
from guard.errors import CallerError, EvidenceError

Make = Callable[..., Guard]
RESTORED = {"name": "pseudonym", "restore": True}


def policy(operator: Any, *more: dict[str, Any], stage: str | list[str] = "input") -> dict[str, Any]:
    words = {"use": "sample-words", "params": {"words": ["Ann", "Bob", 'O"Neil', "4155550134"], "category": "PERSON"}}
    return {
        "name": "test",
        "version": "1",
        "checkers": {"names": words, "hold": {"use": "sample-words", "params": {"words": ["doubt"]}}},
        "rules": [
            {"id": "name", "checker": "names", "action": "redact", "stage": stage, "operator": operator},
            {"id": "hold", "checker": "hold", "action": "review"},
            *more,
        ],
    }


@pytest.fixture
def make(sample_plugin: str, tmp_path: Path) -> Iterator[Make]:
    opened: list[Guard] = []

    def build(operator: Any, *more: dict[str, Any], home: str = "home", **options: Any) -> Guard:
        store = f"sqlite:///{tmp_path / home}.db"
        opened.append(Guard(policy(operator, *more, **options), store=store, home=tmp_path / home))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


def text_of(content: object) -> str:
    assert isinstance(content, Text)
    return content.text


def checked(g: Guard, text: str, **fields: Any) -> str:
    return text_of(g.check(text, stage="input", **fields).content)


def leaf(g: Guard, outcome: Outcome) -> dict[str, Any]:
    entry = g.ledger.reader.entry(outcome.receipt.entry)
    assert entry is not None
    return json.loads(entry.leaf)  # type: ignore[no-any-return]


def test_the_model_sees_pseudonyms_and_the_caller_their_own_words(make: Make) -> None:
    g, model = make(RESTORED), ScriptedGenerator(["Dear [PERSON_1], [PERSON_2] and PERSON_1 met [PERSON_3]."])
    outcome = g.wrap(model)("Ann wrote to Bob. Who is Ann?", requester="user:1")
    assert text_of(model.seen[0].prompt) == "[PERSON_1] wrote to [PERSON_2]. Who is [PERSON_1]?"
    assert text_of(outcome.content) == "Dear Ann, Bob and Ann met [PERSON_3]."
    reader, seq = g.ledger.reader, outcome.receipt.entry
    assert reader.body(seq, "output") == Text("Dear [PERSON_1], [PERSON_2] and PERSON_1 met [PERSON_3].")
    assert json.loads(text_of(reader.body(seq, "pseudonyms"))) == {"[PERSON_1]": "Ann", "[PERSON_2]": "Bob"}
    fields = leaf(g, outcome)
    assert fields["restored"] == 3
    assert {(it["category"], it["operator"]) for it in fields["redactions"]} == {("PERSON", "pseudonym")}
    assert "Ann" not in json.dumps(fields)
    assert g.collect(outcome.request_id).content == outcome.content
    assert verify(g.ledger.engine, g.ledger.log.vkey, vault=g.ledger.log.vault).ok


def test_without_restore_the_answer_keeps_them_until_somebody_entitled_asks(make: Make) -> None:
    g = make("pseudonym")
    outcome = g.wrap(ScriptedGenerator(["Dear [PERSON_1]"]))("Ann", requester="user:1", id="r")
    assert text_of(outcome.content) == "Dear [PERSON_1]"
    assert leaf(g, outcome)["restored"] == 0
    assert g.reidentify("r", "Dear [PERSON_1]", by="kim", reason="complaint 7") == "Dear Ann"
    assert g.reidentify("r", "[PERSON_1]!", by="kim", reason="again") == "Ann!"
    first, second = [entry for entry in g.ledger.reader.history("r") if entry.kind == "access"]
    assert (first.fields["by"], first.fields["roles"], first.fields["of"]) == (
        "kim",
        ["pseudonyms"],
        outcome.receipt.entry,
    )
    assert g.ledger.reader.body(first.seq, "reason") == Text("complaint 7")
    assert b"complaint" not in first.leaf
    assert second.subject == leaf(g, outcome)["subject"]
    for who, why in (("", "x"), ("kim", " ")):
        with pytest.raises(CallerError, match="say who"):
            g.reidentify("r", "[PERSON_1]", by=who, reason=why)
    with pytest.raises(CallerError, match="no pseudonyms"):
        g.reidentify("other", "[PERSON_1]", by="kim", reason="x")


def test_erasing_a_person_erases_who_stood_behind_the_pseudonyms(make: Make) -> None:
    g = make("pseudonym")
    g.wrap(ScriptedGenerator(["Dear [PERSON_1]"]))("Ann", requester="user:1", id="r")
    log = g.ledger.log
    erase_subject(log, log.vault.pseudonym("user:1"), Why("kim", "asked for it"))
    with pytest.raises(EvidenceError, match="were erased"):
        g.reidentify("r", "Dear [PERSON_1]", by="kim", reason="x")
    assert verify(g.ledger.engine, log.vkey, vault=log.vault).ok


def test_an_answer_that_waits_for_a_person_is_released_with_its_values(make: Make) -> None:
    g = make(RESTORED)
    held = g.wrap(ScriptedGenerator(["I doubt [PERSON_1]"]))("Ann", id="r")
    assert (held.state, held.content) == (State.HELD, None)
    review.claim(g.ledger.engine, g.ledger.log, reviewer="kim", case_id=held.case)
    review.rule(
        g.ledger.engine, g.ledger.log, case_id=str(held.case), reviewer="kim", ruling="approve", rationale="fine"
    )
    assert g.collect("r").content == Text("I doubt Ann")


def test_findings_on_our_own_pseudonyms_are_none(make: Make) -> None:
    finds = {"id": "label", "checker": "label", "action": "block", "stage": "output"}
    document = policy(RESTORED, finds)
    document["checkers"]["label"] = {"use": "sample-words", "params": {"words": ["PERSON_1", "PERSON_2"]}}
    g = make(RESTORED)
    with Guard(document, store=str(g.ledger.engine.url), home=g.settings.home) as strict:
        assert strict.wrap(ScriptedGenerator(["Hi [PERSON_1]"]))("Ann").content == Text("Hi Ann")
        assert (
            strict.wrap(ScriptedGenerator(["Hi [PERSON_2]"]))("Ann").state is State.BLOCKED
        )  # that one is the model's


def test_an_answer_rule_without_restore_keeps_a_value_away(make: Make) -> None:
    out = {"id": "out", "checker": "names", "action": "redact", "stage": "output", "operator": "pseudonym"}
    g = make(RESTORED, out)
    outcome = g.wrap(ScriptedGenerator(["Bob knows [PERSON_1]"]))("Ann", id="r")
    assert outcome.content == Text("[PERSON_2] knows Ann")  # the model's own Bob is no value of the caller's
    assert g.reidentify("r", "[PERSON_2] knows", by="kim", reason="x") == "Bob knows"
    again = g.wrap(ScriptedGenerator(["Ann, that is [PERSON_1]"]))("Ann")
    assert again.content == Text("[PERSON_1], that is [PERSON_1]")


def test_pseudonyms_of_a_subject_last_and_are_another_subjects_own(make: Make) -> None:
    g = make({"name": "pseudonym", "scope": "subject"})
    one = checked(g, "Ann", requester="user:1")
    assert re.fullmatch(r"\[PERSON_[A-Z]{8}\]", one)
    assert checked(g, "Bob or Ann", requester="user:1").endswith(f" or {one}")
    assert checked(g, "Ann", requester="user:2") != one
    assert checked(g, "Ann") not in (one, checked(g, "Ann"))  # without a requester: within the request
    log = g.ledger.log
    erase_subject(log, log.vault.pseudonym("user:1"), Why("kim", "asked for it"))
    assert checked(g, "Ann", requester="user:1") != one


def test_surrogates_have_the_shape_of_what_they_stand_for(make: Make) -> None:
    g = make({**RESTORED, "shape": "same"})
    made = checked(g, "call 4155550134", id="r")
    assert re.fullmatch(r"call \d{10}", made)
    assert made != "call 4155550134"
    assert g.reidentify("r", f"I did {made}.", by="kim", reason="x") == "I did call 4155550134."


def test_hashes_are_linkable_here_and_nowhere_else(make: Make) -> None:
    g, other = make("hash"), make("hash", home="elsewhere")
    one, again = checked(g, "Ann", requester="user:1"), checked(g, "so Ann", requester="user:2")
    assert re.fullmatch(r"\[PERSON:hmac-[0-9a-f]{8}:[0-9a-f]{32}\]", one)
    assert again == f"so {one}"
    assert checked(g, "Bob") != one
    assert checked(other, "Ann") != one
    assert one.split(":")[1] != checked(other, "Ann").split(":")[1]  # the key is named


def test_encrypted_values_open_for_who_has_the_key(make: Make) -> None:
    g, other = make("encrypt"), make("encrypt", home="elsewhere")
    made = checked(g, "Ann, Bob", requester="user:1", id="r")
    assert "Ann" not in made
    assert checked(g, "Ann", requester="user:1") == made.split(",")[0]  # a redaction can be replayed
    assert g.reidentify("r", f"to {made}", by="kim", reason="x") == "to Ann, Bob"
    token = made.split(",")[0]
    changed = token[:-3] + ("AA]" if not token.endswith("AA]") else "BB]")
    with pytest.raises(EvidenceError, match="does not open"):
        g.reidentify("r", changed, by="kim", reason="x")
    checked(other, "Ann", id="r")
    with pytest.raises(EvidenceError, match="the key of an encrypted value"):
        other.reidentify("r", token, by="kim", reason="x")
    log = g.ledger.log
    erase_subject(log, log.vault.pseudonym("user:1"), Why("kim", "asked for it"))
    with pytest.raises(EvidenceError, match="the key of an encrypted value"):
        g.reidentify("r", token, by="kim", reason="x")
    assert g.reidentify("q", checked(g, "Bob", id="q"), by="kim", reason="x") == "Bob"  # nobody's: the deployment's key


@pytest.mark.parametrize("operator", ["hash", "encrypt", RESTORED, {**RESTORED, "shape": "same"}, "mask", "redact"])
def test_json_stays_json(make: Make, operator: Any) -> None:
    g = make(operator)
    prompt = json.dumps({"to": "x\nAnn", "phone": "4155550134", "n": 1})
    model = ScriptedGenerator([])
    made = checked(g, prompt, id="r")
    assert json.loads(made)["n"] == 1
    assert "Ann" not in made
    assert model.seen == []


def test_a_restored_value_cannot_change_a_json_answer(make: Make) -> None:
    g = make(RESTORED)
    outcome = g.wrap(ScriptedGenerator(['{"to": "[PERSON_1]"}']))('Write to O"Neil')
    assert json.loads(text_of(outcome.content)) == {"to": 'O"Neil'}


def test_nothing_is_restored_where_nothing_is_released(make: Make) -> None:
    g = make(RESTORED, {"id": "stop", "checker": "hold", "action": "block", "stage": "output"})
    outcome = g.wrap(ScriptedGenerator(["I doubt [PERSON_1]"]))("Ann", id="r")
    assert (outcome.state, outcome.content, leaf(g, outcome)["restored"]) == (State.BLOCKED, None, 0)
    assert g.reidentify("r", "[PERSON_1]", by="kim", reason="x") == "Ann"


def test_as_a_command(make: Make) -> None:
    g = make("pseudonym")
    checked(g, "Ann", id="r")
    environment = {**os.environ, "GUARD_HOME": str(g.settings.home), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "guard", "audit", "reidentify", "r", "--reason", "a complaint", "--by", "kim"]
    command += ["--store", str(g.ledger.engine.url)]
    done = subprocess.run(command, env=environment, input=b"Dear [PERSON_1]\n", capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"Dear Ann\n"), done.stderr
    assert g.ledger.reader.history("r")[-1].fields["by"] == "kim"
