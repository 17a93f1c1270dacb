"""A Guard whose policy lets outcomes go as soon as their entry is durable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from guard import Guard, ScriptedGenerator, State, Text
from guard.audit.inbox import status
from guard.audit.receipt import verify_receipt
from guard.audit.verify import verify
from guard.envelope import outcome_data
from guard.errors import IdempotencyConflict, RecordError
from guard.store.engine import open_engine, reading, writing
from tests.racing import race
from tests.test_pipeline import POLICY, decide_case

FAST: dict[str, Any] = {
    **POLICY,
    "record": {"wait_for": {"allow": "durable", "redact": "durable", "block": "sequenced"}},
}

Make = Callable[..., Guard]


@pytest.fixture
def make(sample_plugin: str, tmp_path: Path, postgresql_url: str) -> Iterator[Make]:
    opened: list[Guard] = []

    def build(policy: dict[str, Any] | None = None) -> Guard:
        opened.append(Guard(policy or FAST, home=tmp_path / "home", store=postgresql_url))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


def waiting(g: Guard) -> int:
    with reading(g.ledger.engine) as connection:
        return status(connection).waiting


def sound(g: Guard) -> bool:
    return verify(g.ledger.engine, g.ledger.log.vkey, vault=g.ledger.log.vault).ok


def test_what_is_allowed_is_released_before_it_has_a_number(make: Make) -> None:
    g = make()
    outcome = g.wrap(lambda _: "Hello")("hi", requester="user:1")
    assert (outcome.state, outcome.content, waiting(g)) == (State.RELEASED, Text("Hello"), 1)
    assert outcome.receipt.entry == 1  # asking for it sees to it
    verify_receipt(outcome.receipt, g.ledger.log.vkey)
    assert (waiting(g), outcome.receipt) == (0, outcome.receipt)
    assert outcome_data(g.wrap(lambda _: "Ann")("hi"))["receipt"]["entry"] == 2
    assert sound(g)


def test_other_actions_wait_for_their_number_and_give_one_to_the_rest(make: Make) -> None:
    g = make()
    g.check("fine")
    g.check("Ann")
    assert waiting(g) == 2
    assert g.check("never").receipt.entry == 3
    assert waiting(g) == 0
    g.check("fine")
    held = g.check("doubt")  # its case needs the number
    assert (held.state, waiting(g)) == (State.HELD, 0)
    mixed = g.check_many(["fine", "Ann", "doubt"])
    assert (sorted(it.receipt.entry for it in mixed), waiting(g)) == ([6, 7, 8], 0)
    assert waiting(g) == 0
    g.check_many(["fine", "Ann"])
    assert waiting(g) == 2
    assert g.check_many([]) == []
    decide_case(g, held.case, "approve")
    assert g.collect(held.request_id).content == Text("doubt")
    assert sound(g)


def test_a_repeated_request_finds_the_entry_that_waits(make: Make) -> None:
    g, other = make(), make()
    model = ScriptedGenerator(["one", "two"])
    first = g.wrap(model)("hi", id="same", temperature=0.5)
    assert waiting(g) == 1
    second = other.wrap(model)("hi", id="same", temperature=0.5)  # as another process would ask
    assert (second.content, second.replayed, len(model.seen)) == (Text("one"), True, 1)
    assert second.receipt.leaf_hash == first.receipt.leaf_hash
    g.wrap(model)("ho", id="next")
    with pytest.raises(IdempotencyConflict):
        g.wrap(model)("another prompt", id="next")
    g.wrap(ScriptedGenerator(["three"]))("hi", id="third")
    assert g.collect("third").content == Text("three")
    checked = g.check("fine", id="checked")
    assert g.collect("checked").receipt == checked.receipt
    assert sound(g)


def test_racing_callers_with_one_id_get_one_outcome(make: Make) -> None:
    g = make()
    outcomes = race(g)
    assert len({outcome.content for outcome in outcomes}) == 1
    assert [outcome.replayed for outcome in outcomes].count(False) == 1
    assert len({outcome.receipt.entry for outcome in outcomes}) == 1


def test_a_continuation_that_waits_is_not_generated_twice(make: Make) -> None:
    g, model = make(), ScriptedGenerator(["all right", "again"])
    held = g.wrap(model)("I doubt it", id="r")
    decide_case(g, held.case, "approve")
    released = g.wrap(model)("I doubt it", id="r")
    assert (released.content, waiting(g)) == (Text("all right"), 1)
    again = g.wrap(model)("I doubt it", id="r")
    assert (again.content, again.replayed, len(model.seen)) == (Text("all right"), True, 1)


def test_what_waits_is_numbered_at_the_start_and_at_the_end(make: Make, tmp_path: Path, postgresql_url: str) -> None:
    g = make()
    g.check("fine")
    g.ledger.engine.dispose()  # it dies
    assert waiting(g) == 1
    assert waiting(make()) == 0
    with Guard(FAST, home=tmp_path / "home", store=postgresql_url) as short:
        short.check("fine")
        assert waiting(short) == 1
    assert waiting(g) == 0
    assert sound(g)


def test_nothing_is_released_when_the_inbox_cannot_be_written(make: Make) -> None:
    g = make()
    with writing(g.ledger.engine) as connection:
        connection.execute(text("ALTER TABLE log_inbox ADD CONSTRAINT full_up CHECK (false) NOT VALID"))
    with pytest.raises(RecordError, match="nothing was recorded or released"):
        g.check("fine")


def test_no_lock_of_the_head_is_taken(make: Make, postgresql_url: str) -> None:
    g, other = make(), open_engine(postgresql_url)
    g.check("warm")
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    with other.begin() as holder:
        holder.execute(text("SELECT * FROM log_head FOR UPDATE"))
        event.listen(g.ledger.engine, "before_cursor_execute", note)
        g.check("fine")
        g.wrap(lambda _: "Hello")("hi")
        event.remove(g.ledger.engine, "before_cursor_execute", note)
    assert asked
    assert not [statement for statement in asked if "FOR UPDATE" in statement]
    other.dispose()
