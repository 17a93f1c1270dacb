"""The inbox: what is durable is numbered later, whoever asks; what was forged there never is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select, text

from guard.audit import inbox, merkle
from guard.audit.draft import Draft
from guard.audit.inbox import FORGED, REPLAYED, Status, _framed, status
from guard.audit.log import Appended, Log
from guard.audit.read import Reader
from guard.audit.receipt import verify_receipt
from guard.audit.verify import verify
from guard.errors import AlreadyRecorded, RecordError
from guard.keys import KeyRing
from guard.store.engine import open_engine, reading, writing
from guard.store.tables import LogCheckpoint
from guard.types import Ack, Text
from tests.clock import Clock

Maker = Callable[..., Draft]


@pytest.fixture
def pg(postgresql_url: str) -> Iterator[Engine]:
    engine = open_engine(postgresql_url)
    yield engine
    engine.dispose()


@pytest.fixture
def left(pg: Engine, keys: KeyRing, draft: Maker) -> Log:
    """A log with one entry, and three more in the inbox."""
    log = Log(pg, keys)
    log.append([draft("r0")])
    for number in (1, 2, 3):
        log.append([draft(f"r{number}")], ack=Ack.DURABLE)
    return log


def look(engine: Engine, *, claims: bool = False) -> Status:
    with reading(engine) as connection:
        return status(connection, claims=claims)


def run(engine: Engine, statement: str, **values: object) -> None:
    with writing(engine) as connection:
        assert connection.execute(text(statement), values).rowcount


def requests(engine: Engine) -> list[str]:
    return [str(entry.request_id) for entry in reversed(Reader(engine).latest(10_000)) if entry.kind == "generation"]


# --- durable -------------------------------------------------------------------------------------------------------


def test_on_sqlite_a_durable_entry_is_numbered_at_once(log: Log, draft: Maker) -> None:
    [entry] = log.append([draft()], ack=Ack.DURABLE)
    assert (entry.number == 0) is (log.engine.dialect.name == "sqlite")
    assert entry.seq == 0
    verify_receipt(entry.receipt, log.vkey)
    assert verify(log.engine, log.vkey).ok


def test_a_durable_entry_is_numbered_when_its_receipt_is_asked_for(left: Log, draft: Maker) -> None:
    made = left.append([draft("a"), draft("b")], ack=Ack.DURABLE)
    assert look(left.engine) == Status(waiting=5)
    assert requests(left.engine) == ["r0"]
    assert [entry.number for entry in made] == [None, None]
    assert [entry.receipt.entry for entry in made] == [entry.seq for entry in made]
    assert sorted(entry.seq for entry in made) == [4, 5]
    for entry in made:
        verify_receipt(entry.receipt, left.vkey)
    assert sorted(requests(left.engine)[4:]) == ["a", "b"]
    assert verify(left.engine, left.vkey, vault=left.vault).ok


@pytest.mark.parametrize("who", ["append", "within", "settle", "settle for one", "another process"])
def test_whoever_holds_the_head_next_numbers_what_waits(left: Log, keys: KeyRing, draft: Maker, who: str) -> None:
    if who == "settle":
        left.settle()
    elif who == "settle for one":
        left.settle("unknown")
        assert look(left.engine).waiting == 3
        left.settle("r2")
    else:
        log = Log(left.engine, keys) if who == "another process" else left
        within = (lambda *_: None) if who == "within" else None
        assert log.append([draft("r4")], within=within)[0].seq == 4
    assert requests(left.engine)[:4] == ["r0", "r1", "r2", "r3"]
    assert look(left.engine) == Status()
    assert verify(left.engine, left.vkey, vault=left.vault).ok


def test_depositing_does_not_wait_for_the_head(left: Log, draft: Maker) -> None:
    other = open_engine(left.engine.url.render_as_string(hide_password=False))
    with other.begin() as holder:
        holder.execute(text("SELECT * FROM log_head FOR UPDATE"))
        left.append([draft("r4")], ack=Ack.DURABLE)
    other.dispose()
    assert look(left.engine).waiting == 4


def test_a_request_is_durable_once(left: Log, draft: Maker) -> None:
    with pytest.raises(AlreadyRecorded):
        left.append([draft("r2")], ack=Ack.DURABLE)
    assert look(left.engine) == Status()  # whoever asks next finds the one that was first
    assert requests(left.engine) == ["r0", "r1", "r2", "r3"]
    with pytest.raises(AlreadyRecorded):
        left.append([draft("r1"), draft("new")], ack=Ack.DURABLE)
    assert look(left.engine) == Status()


def test_of_many_callers_with_one_request_id_exactly_one_is_durable(left: Log, draft: Maker) -> None:
    outcomes: list[str] = []

    def work() -> None:
        try:
            left.append([draft("the same"), draft()], ack=Ack.DURABLE)
            outcomes.append("durable")
        except AlreadyRecorded:
            outcomes.append("lost")

    together([work] * 8)
    assert sorted(outcomes) == ["durable", *["lost"] * 7]
    left.settle()
    assert len(requests(left.engine)) == 6


def together(work: Sequence[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_callers_share_the_flush_of_a_deposit(left: Log, draft: Maker) -> None:
    commits: list[object] = []
    event.listen(left.engine, "commit", commits.append)
    together([lambda: [left.append([draft()], ack=Ack.DURABLE) for _ in range(4)]] * 64)
    assert len(commits) < 100  # 256 entries; a group of 64 callers settles at some 8 commits
    assert look(left.engine).waiting == 3 + 256
    left.settle()
    assert verify(left.engine, left.vkey).ok


def test_receipts_may_be_asked_for_by_many_at_once(left: Log, draft: Maker) -> None:
    made = left.append([draft() for _ in range(16)], ack=Ack.DURABLE)
    found: list[int] = []

    def ask(entry: Appended) -> None:
        found.append(entry.receipt.entry)

    together([partial(ask, entry) for entry in made])
    assert sorted(found) == list(range(4, 20))


def test_the_inbox_does_not_grow_for_ever(left: Log, draft: Maker) -> None:
    for _ in range(12):
        left.append([draft() for _ in range(100)], ack=Ack.DURABLE)
    assert look(left.engine).waiting < 600
    assert verify(left.engine, left.vkey).size > 600


def test_a_broken_record_is_noticed_though_nobody_asks_for_a_number(left: Log, draft: Maker) -> None:
    run(left.engine, "UPDATE log_head SET size = 7, peaks = :peaks", peaks=bytes(96))
    left.append([draft()], ack=Ack.DURABLE)
    with pytest.raises(RecordError, match=r"guard audit verify.*yet the entry is durable"):
        left.append([draft() for _ in range(500)], ack=Ack.DURABLE)


# --- forgeries -----------------------------------------------------------------------------------------------------

BODY = "WHERE id = (SELECT id FROM log_inbox WHERE request_id = :mine) AND role = 'prompt'"
FORGERIES = {
    "leaf": "UPDATE log_inbox SET leaf = :leaf WHERE request_id = :mine",
    "leaf and hash": "UPDATE log_inbox SET leaf = :leaf, leaf_hash = :hash WHERE request_id = :mine",
    "hash": "UPDATE log_inbox SET leaf_hash = :hash WHERE request_id = :mine",
    "id": "UPDATE log_inbox SET id = 'x' WHERE request_id = :mine",
    "kind": "UPDATE log_inbox SET kind = 'check' WHERE request_id = :mine",
    "time": "UPDATE log_inbox SET occurred_at = '2020-01-01T00:00:00.000000Z' WHERE request_id = :mine",
    "state": "UPDATE log_inbox SET state = 'blocked' WHERE request_id = :mine",
    "action": "UPDATE log_inbox SET action = NULL WHERE request_id = :mine",
    "request": "UPDATE log_inbox SET request_id = 'other' WHERE request_id = :mine",
    "subject": "UPDATE log_inbox SET subject = 's:x' WHERE request_id = :mine",
    "mac": "UPDATE log_inbox SET mac = :hash WHERE request_id = :mine",
    "empty mac": "UPDATE log_inbox SET mac = '' WHERE request_id = :mine",
    "content": f"UPDATE log_inbox_body SET ciphertext = :leaf {BODY}",
    "key": f"UPDATE log_inbox_body SET wrapped_key = :leaf {BODY}",
    "where the key ends": "UPDATE log_inbox_body SET wrapped_key = substr(wrapped_key, 1, 59),"
    f" lookup = substr(wrapped_key, 60) || lookup {BODY}",
    "no content": f"DELETE FROM log_inbox_body {BODY}",
    "the name of a content": f"UPDATE log_inbox_body SET role = 'other' {BODY}",
}


def test_an_entry_forged_in_the_inbox_is_never_numbered(left: Log, draft: Maker) -> None:
    """And those beside it are, though somebody can write to the inbox whatever he likes."""
    leaf = b'{"v":1,"kind":"generation","request_id":"r2"}'
    values = {"leaf": leaf, "hash": merkle.leaf_hash(leaf)}
    for what, statement in FORGERIES.items():
        left.append([draft(what)], ack=Ack.DURABLE)
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        run(left.engine, statement, mine=what, **used)
    assert left.append([draft("r4")])[0].seq == 5  # after the entry that says what was refused
    assert requests(left.engine) == ["r0", "r1", "r2", "r3", "r4"]
    found = look(left.engine)
    assert (found.waiting, list(found.refused.values()), found.ok) == (0, [FORGED] * len(FORGERIES), False)
    [said] = Reader(left.engine).latest(kind="refusal")
    assert said.fields["count"] == len(FORGERIES)
    with reading(left.engine) as connection:  # what was refused stays, as evidence, its content too
        kept = connection.execute(text("SELECT leaf FROM log_inbox")).scalars().all()
        bodies = connection.execute(text("SELECT count(*) FROM log_inbox_body")).scalar_one()
    assert sorted(merkle.leaf_hash(each).hex() for each in kept) == sorted(said.fields["leaves"])
    assert bodies == 2 * len(FORGERIES) - 1
    left.settle()
    left.append([draft("r5")])  # and is not refused once more
    assert len(Reader(left.engine).latest(kind="refusal")) == 1
    assert verify(left.engine, left.vkey, vault=left.vault).ok


def test_who_may_insert_into_the_inbox_gets_nothing_signed(left: Log) -> None:
    """An entry from nowhere, also with the MAC of one that is ours."""
    run(
        left.engine,
        "INSERT INTO log_inbox SELECT 'forged', kind, occurred_at, 'forged', state, action, leaf_hash, leaf, subject, mac"
        " FROM log_inbox WHERE request_id = 'r2'",
    )
    run(
        left.engine,
        "INSERT INTO log_inbox VALUES ('made up', 'ruling', '2026-11-23T12:00:00.000000Z', 'r0', NULL, NULL, :hash, :leaf,"
        " NULL, :hash, NULL)",
        leaf=b"{}",
        hash=merkle.leaf_hash(b"{}"),
    )
    left.settle()
    assert requests(left.engine) == ["r0", "r1", "r2", "r3"]
    assert look(left.engine).refused == {"forged": FORGED, "made up": FORGED}
    [said] = Reader(left.engine).latest(kind="refusal")
    assert said.fields["count"] == 2
    assert verify(left.engine, left.vkey, vault=left.vault).ok


def test_an_entry_put_back_into_the_inbox_is_not_numbered_twice(left: Log, draft: Maker) -> None:
    for table in ("log_inbox", "log_inbox_body"):
        with writing(left.engine) as connection:
            connection.execute(text(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}"))
    left.settle()
    for table in ("log_inbox", "log_inbox_body"):
        run(left.engine, f"INSERT INTO {table} SELECT * FROM kept_{table}")
    left.append([draft("r4")])
    assert requests(left.engine) == ["r0", "r1", "r2", "r3", "r4"]
    assert set(look(left.engine).refused.values()) == {REPLAYED}
    assert verify(left.engine, left.vkey).ok


def test_content_that_an_entry_does_not_name_is_no_reason_to_refuse_it(left: Log) -> None:
    run(
        left.engine,
        "INSERT INTO log_inbox_body SELECT id, 'added', :junk, :junk, :junk FROM log_inbox WHERE request_id = 'r2'",
        junk=b"x",
    )
    left.settle()
    assert requests(left.engine) == ["r0", "r1", "r2", "r3"]
    assert look(left.engine) == Status()
    assert verify(left.engine, left.vkey, vault=left.vault).ok


def test_whoever_left_a_forged_entry_is_told(left: Log, draft: Maker) -> None:
    [mine] = left.append([draft("mine")], ack=Ack.DURABLE)
    run(left.engine, "UPDATE log_inbox SET state = 'blocked' WHERE request_id = 'mine'")
    with pytest.raises(RecordError, match="was changed in the inbox"):
        _ = mine.receipt
    [gone] = left.append([draft("gone")], ack=Ack.DURABLE)
    run(left.engine, "DELETE FROM log_inbox WHERE request_id = 'gone'")
    for _ in range(2):
        with pytest.raises(RecordError, match="vanished from the inbox") as caught:
            _ = gone.seq
        assert "durable" not in str(caught.value)


def test_an_entry_removed_from_the_inbox_is_missed(left: Log) -> None:
    """The claim of its request stays, which the service has no right to remove."""
    with reading(left.engine) as connection:
        gone = connection.execute(text("SELECT id FROM log_inbox WHERE request_id = 'r2'")).scalar_one()
    assert look(left.engine, claims=True).ok
    run(left.engine, "DELETE FROM log_inbox WHERE request_id = 'r2'")
    left.settle()
    assert look(left.engine, claims=True) == Status(lost=(gone,))


def test_with_the_keys_of_another_log_nothing_is_signed_or_refused(left: Log, tmp_path: Path, draft: Maker) -> None:
    other = Log(left.engine, KeyRing(tmp_path / "others"))
    for attempt in (other.settle, lambda: other.append([draft()])):
        with pytest.raises(RecordError, match="not signed with a key of this key folder"):
            attempt()
    assert look(left.engine) == Status(waiting=3)
    left.settle()
    assert verify(left.engine, left.vkey).ok


@given(st.lists(st.none() | st.text() | st.binary()), st.lists(st.none() | st.text() | st.binary()))
def test_no_two_lists_of_values_look_alike(left: list[str | bytes | None], right: list[str | bytes | None]) -> None:
    def plain(values: list[str | bytes | None]) -> list[bytes | None]:
        return [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in values]

    assert (_framed(left) == _framed(right)) is (plain(left) == plain(right))


# --- bounds --------------------------------------------------------------------------------------------------------


def steps(engine: Engine) -> list[int]:
    """By how much the log grew from one transaction to the next; all checkpoints are kept."""
    with reading(engine) as connection:
        sizes = connection.execute(select(LogCheckpoint.size).order_by(LogCheckpoint.size)).scalars().all()
    return [size - before for before, size in zip([0, *sizes], sizes, strict=False)]


def test_a_long_inbox_is_taken_in_by_pieces_until_it_is_empty(pg: Engine, keys: KeyRing, draft: Maker) -> None:
    log = Log(pg, keys, spacing=1)
    within_inbox(log, [Draft("check", None, {}) for _ in range(2 * inbox.MOST + 50)])
    log.settle()
    assert steps(pg) == [inbox.MOST, inbox.MOST, 50]
    assert verify(pg, log.vkey).ok


def within_inbox(log: Log, drafts: Sequence[Draft]) -> None:
    """Leave entries, and nobody takes them in meanwhile."""
    log._deposit(log._sealer.seal(drafts))


def test_what_has_waited_for_long_is_numbered_before_what_is_new(pg: Engine, keys: KeyRing, draft: Maker) -> None:
    """However much it is: the verifier wants entries in the order of their times."""
    clock = Clock()
    log = Log(pg, keys, spacing=1, clock=clock)
    within_inbox(log, [Draft("check", None, {}) for _ in range(inbox.MOST + 50)])
    clock.now += timedelta(hours=1)
    log.append([draft("new")])
    assert steps(pg) == [inbox.MOST, 51]
    within_inbox(log, [Draft("check", None, {}) for _ in range(inbox.MOST + 50)])
    assert log.append([draft("newer")])[0].seq == 2 * inbox.MOST + 51  # all of one moment: no need to wait for the rest
    assert verify(pg, log.vkey).ok


def test_large_contents_are_taken_in_by_pieces(pg: Engine, keys: KeyRing) -> None:
    log = Log(pg, keys, spacing=1)
    large = Text("x" * (inbox.MOST_BYTES // 2 + 1))
    for _ in range(3):
        within_inbox(log, [Draft("check", None, {}, {"output": large})])
    log.settle()
    assert steps(pg) == [2, 1]
    assert look(pg) == Status()
    assert verify(pg, log.vkey).ok
