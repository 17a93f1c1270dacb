"""One suite over both engines: what is appended can be read, proved and verified; what fails leaves nothing behind."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, Executable, func, insert, select, text, update

from guard.audit import merkle
from guard.audit.checkpoint import open_checkpoint
from guard.audit.draft import MAX_LEAF, Draft
from guard.audit.log import LARGE, Appended, Log
from guard.audit.read import Reader
from guard.audit.receipt import from_json, to_json, verify_receipt
from guard.audit.verify import verify
from guard.errors import AlreadyRecorded, CallerError, ConfigError, ProofError, RecordError, ReviewError
from guard.keys import KeyRing
from guard.store.engine import reading, writing
from guard.store.tables import LogBody, LogCheckpoint, LogEntry, LogHead, LogTile, ReviewCase
from guard.types import Text

Maker = Callable[..., Draft]


def count(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        tables = (LogHead, LogEntry, LogBody, LogTile, LogCheckpoint, ReviewCase)
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def open_case(connection: Connection, appended: Sequence[Appended]) -> None:
    for entry in appended:
        row = {"id": f"case-{entry.seq}", "seq": entry.seq, "request_id": entry.id, "stage": "output", "kind": "text"}
        row |= {"opened_at": entry.occurred_at, "deadline": entry.occurred_at, "state": "open"}
        connection.execute(insert(ReviewCase), [row | {"severity": 1}])


def test_appended_entries_are_numbered_proved_and_verified(log: Log, draft: Maker) -> None:
    appended = log.append([draft()]) + log.append([draft() for _ in range(5)]) + log.append([draft()])
    assert [entry.seq for entry in appended] == list(range(7))
    for entry in appended:
        checkpoint = verify_receipt(entry.receipt, log.vkey)
        assert (entry.receipt.entry, checkpoint.origin) == (entry.seq, "genguard")
    assert [entry.receipt.size for entry in appended] == [1, 6, 6, 6, 6, 6, 7]
    report = verify(log.engine, log.vkey, vault=log.vault)
    assert (report.ok, report.size, report.problems) == (True, 7, ())
    assert report.checkpoint == appended[-1].receipt.checkpoint
    assert count(log.engine) == [1, 7, 14, 1, 1, 0]


def test_an_empty_record_verifies(log: Log) -> None:
    report = verify(log.engine, log.vkey)
    assert (report.ok, report.size, report.checkpoint) == (True, 0, None)
    assert report.root == merkle.EMPTY_ROOT.hex()
    assert log.append([]) == []


def test_the_leaf_is_what_was_handed_over(log: Log, reader: Reader, draft: Maker) -> None:
    made = draft("req-1", state="held", action="review")
    appended = log.append([made])[0]
    entry = reader.entry(0)
    assert entry is not None
    assert json.loads(entry.leaf) == entry.fields
    assert (entry.id, entry.at, entry.kind, entry.request_id) == (
        appended.id,
        appended.occurred_at,
        "generation",
        "req-1",
    )
    assert (entry.state, entry.action, entry.intact) == ("held", "review", True)
    assert {name: entry.fields[name] for name in made.fields} == made.fields
    assert entry.fields["v"] == 1
    assert appended.receipt.leaf_hash == merkle.leaf_hash(entry.leaf).hex() == entry.leaf_hash.hex()
    assert {role: reader.body(0, role) for role in entry.fields["bodies"]} == made.bodies


def test_no_content_is_stored_in_the_clear(log: Log) -> None:
    secret = "Jane Roe, 4111 1111 1111 1111"
    log.append([Draft("generation", "r", {}, {"prompt": Text(secret)})])
    with reading(log.engine) as connection:
        rows = [row for table in (LogEntry, LogBody) for row in connection.execute(select(*table.__table__.columns))]
    assert secret.encode() not in b"".join(value for row in rows for value in row if isinstance(value, bytes))


def test_old_and_new_receipts_hold_as_the_log_grows(log: Log, reader: Reader, draft: Maker) -> None:
    first = log.append([draft()])[0].receipt
    log.append([draft() for _ in range(300)])  # over the edge of the first tile
    last = log.append([draft()])[0].receipt
    again = reader.receipt(0)
    assert again is not None
    assert (first.size, again.size, last.size) == (1, 302, 302)
    for receipt in (first, again, last, *(reader.receipt(seq) for seq in (1, 254, 255, 256, 257, 300, 301))):
        assert receipt is not None
        verify_receipt(receipt, log.vkey)
    with reading(log.engine) as connection:
        tiles = {
            (tile.level, tile.idx): len(tile.hashes) // 32
            for tile in connection.execute(select(*LogTile.__table__.columns))
        }
    assert tiles == {(0, 0): 256, (0, 1): 46, (1, 0): 1}
    assert verify(log.engine, log.vkey, against=first.checkpoint).ok
    assert reader.receipt(302) is None


def test_a_receipt_travels_as_json(log: Log, reader: Reader, draft: Maker) -> None:
    receipt = log.append([draft(), draft()])[1].receipt
    entry = reader.entry(1)
    assert entry is not None
    data = to_json(receipt, leaf=entry.leaf, vkey=log.vkey)
    for text_form in (json.dumps(data), json.dumps({"receipt": data, "content": None})):
        assert from_json(text_form) == (receipt, entry.leaf, log.vkey)
    verify_receipt(receipt, log.vkey, leaf=entry.leaf)
    with pytest.raises(ProofError, match="not the one"):
        verify_receipt(receipt, log.vkey, leaf=entry.leaf + b" ")
    wrong: dict[str, object] = {"entry": 0, "size": 1, "root": "00" * 32, "leaf_hash": "11" * 32, "proof": []}
    for name, value in wrong.items():
        broken, _, _ = from_json(json.dumps({**data, name: value}))
        with pytest.raises(ProofError):
            verify_receipt(broken, log.vkey)
    for name in wrong | {"checkpoint": 0}:
        for value in (None, True, {}, [1]):
            with pytest.raises(ProofError):
                from_json(json.dumps({**data, name: value}))
    for junk in ("", "[]", "null", '"x"', "[" * 100_000, '{"receipt": 3}'):
        with pytest.raises(ProofError):
            from_json(junk)


def test_what_within_writes_commits_with_the_entries(log: Log, draft: Maker) -> None:
    log.append([draft(), draft()], within=open_case)
    assert count(log.engine)[-1] == 2


@pytest.mark.parametrize("error", [ReviewError("refused"), KeyboardInterrupt(), ValueError("bug")])
def test_when_within_fails_nothing_is_recorded(log: Log, draft: Maker, error: BaseException) -> None:
    log.append([draft()])
    before = count(log.engine)

    def fail(connection: Connection, appended: Sequence[Appended]) -> None:
        open_case(connection, appended)
        raise error

    with pytest.raises(type(error)):
        log.append([draft()], within=fail)
    assert count(log.engine) == before
    assert log.append([draft()])[0].seq == 1
    assert verify(log.engine, log.vkey).ok


def test_a_failing_statement_within_is_a_record_error(log: Log, draft: Maker) -> None:
    log.append([draft()], within=open_case)
    before = count(log.engine)

    def clash(connection: Connection, appended: Sequence[Appended]) -> None:
        open_case(connection, [replace(appended[0], number=0, id="x", occurred_at="x")])

    with pytest.raises(RecordError, match="nothing was recorded") as caught:
        log.append([draft()], within=clash)
    assert not isinstance(caught.value, AlreadyRecorded)
    assert count(log.engine) == before


def test_a_request_is_recorded_once(log: Log, reader: Reader, draft: Maker) -> None:
    log.append([draft("req-1")])
    before = count(log.engine)
    with pytest.raises(AlreadyRecorded):
        log.append([draft("req-2"), draft("req-1")])
    assert count(log.engine) == before
    again = Draft("continuation", "req-1", {}, {})
    log.append([again, Draft("ruling", "req-1", {}, {}), Draft("ruling", "req-1", {}, {})])
    with pytest.raises(AlreadyRecorded):
        log.append([again])
    assert [entry.kind for entry in reader.history("req-1")] == ["generation", "continuation", "ruling", "ruling"]
    assert verify(log.engine, log.vkey).ok


def test_of_many_callers_with_one_request_id_exactly_one_wins(log: Log, draft: Maker) -> None:
    outcomes: list[str] = []

    def work() -> None:
        try:
            log.append([draft("the same")])
            outcomes.append("recorded")
        except AlreadyRecorded:
            outcomes.append("lost")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["recorded"]


@pytest.mark.parametrize(
    "bad",
    [
        Draft("generation", "r", {"id": "mine"}),
        Draft("generation", "r", {"bodies": {}}),
        Draft("Generation", "r", {}),
        Draft("", "r", {}),
        Draft("generation", "r", {}, {"../x": Text("x")}),
        Draft("generation", "", {}),
        Draft("generation", "r" * 201, {}),
        Draft("generation", "nul\0", {}),
        Draft("generation", "lone \ud800", {}),
        Draft("generation", "a\u202eb", {}),
        Draft("generation", "r", {"score": float("nan")}),
        Draft("generation", "r", {"what": object()}),  # type: ignore[dict-item]
    ],
)
def test_bad_drafts_are_the_callers_fault(log: Log, bad: Draft) -> None:
    with pytest.raises(CallerError):
        log.append([bad])
    assert count(log.engine)[1] == 0


def test_a_bad_draft_in_a_group_is_the_fault_of_its_caller_alone(log: Log, draft: Maker) -> None:
    bad = Draft("check", None, {"score": float("nan")})
    drafts = [draft("req-1"), bad, draft("req-2"), *(draft() for _ in range(20))]
    outcomes: dict[int, object] = {}

    def work(number: int) -> None:
        try:
            outcomes[number] = log.append([drafts[number]])[0].seq
        except CallerError as error:
            outcomes[number] = error

    with log._turn:  # so that they pile up behind the one that leads
        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(drafts))]
        for thread in threads:
            thread.start()
        threads[0].join(0.2)
    for thread in threads:
        thread.join()
    assert isinstance(outcomes.pop(1), CallerError)
    assert sorted(str(seq) for seq in outcomes.values()) == sorted(str(seq) for seq in range(len(drafts) - 1))
    assert verify(log.engine, log.vkey).ok


def test_large_content_is_sealed_by_its_caller(log: Log, reader: Reader) -> None:
    large = Text("x" * (LARGE + 1))
    seq = log.append([Draft("check", None, {}, {"output": large})])[0].seq
    assert reader.body(seq, "output") == large


@pytest.mark.parametrize("word", ["NaN", "-Infinity", "\ud800 NaN"])
def test_texts_that_look_like_no_number_are_recorded(log: Log, reader: Reader, word: str) -> None:
    entry = reader.entry(log.append([Draft("check", None, {"note": word})])[0].seq)
    assert entry is not None
    assert entry.fields["note"] == word


def test_odd_but_valid_text_is_recorded(log: Log, reader: Reader) -> None:
    odd = "nul \0 lone \ud800 \U0001f600 \u2028"
    log.append([Draft("check", "Ä 日本 \U0001f600", {"note": odd}, {"prompt": Text(odd)})])
    entry = reader.entry(0)
    assert entry is not None
    assert entry.fields["note"] == odd
    assert reader.body(0, "prompt") == Text(odd)
    assert verify(log.engine, log.vkey, vault=log.vault).ok


def test_an_entry_that_is_too_long_is_refused(log: Log) -> None:
    log.append([Draft("check", None, {"pad": "x" * (MAX_LEAF - 300)})])
    with pytest.raises(RecordError, match="too long"):
        log.append([Draft("check", None, {"pad": "x" * MAX_LEAF})])


def test_a_clock_that_goes_back_cannot_reorder_the_record(engine: Engine, keys: KeyRing, draft: Maker) -> None:
    times = [datetime(2026, 11, 23, 12, tzinfo=UTC)]
    log = Log(engine, keys, clock=lambda: times[-1])
    reader = Reader(engine)
    log.append([draft()])
    times.append(times[0] - timedelta(hours=1))
    appended = log.append([draft()])[0]
    entry = reader.entry(1)
    assert entry is not None
    assert appended.occurred_at == entry.at == "2026-11-23T12:00:00.000000Z"
    assert entry.fields["clock"] == "2026-11-23T11:00:00.000000Z"  # what the clock said is not hidden
    assert "clock" not in (reader.latest()[1]).fields
    assert verify(engine, log.vkey).ok


def test_another_origin_is_refused(log: Log, keys: KeyRing, draft: Maker) -> None:
    log.append([draft()])
    with pytest.raises(RecordError, match="another log"):
        Log(log.engine, keys, origin="elsewhere").append([draft()])


DAMAGE: dict[str, list[Executable]] = {
    "the head was set back": [update(LogHead).values(size=2, peaks=bytes(32))],
    "the head is ahead": [update(LogHead).values(size=7, peaks=bytes(96))],
    "the peaks do not fit the size": [update(LogHead).values(peaks=bytes(64))],
    "the peaks are others": [update(LogHead).values(peaks=bytes(32 * 2))],
    "the tiles are gone": [text("DELETE FROM log_tile")],
    "a tile is another": [update(LogTile).values(hashes=bytes(32 * 5))],
    "the head is gone": [text("DELETE FROM log_head")],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_the_writer_does_not_build_on_a_broken_record(log: Log, draft: Maker, name: str) -> None:
    log.append([draft() for _ in range(5)])
    with writing(log.engine) as connection:
        for statement in DAMAGE[name]:
            connection.execute(statement)
    before = count(log.engine)
    with pytest.raises(RecordError, match="guard audit verify"):
        log.append([draft()])
    assert count(log.engine) == before
    assert not verify(log.engine, log.vkey).ok


def test_a_tile_that_is_too_long_is_no_tile(log: Log, draft: Maker) -> None:
    log.append([draft() for _ in range(5)])
    with writing(log.engine) as connection:
        hashes = connection.execute(select(LogTile.hashes)).scalar_one()
        connection.execute(update(LogTile).values(hashes=hashes + bytes(32)))
    with pytest.raises(RecordError, match="guard audit verify"):
        log.append([draft()])
    assert not verify(log.engine, log.vkey).ok


def test_searching_uses_filters_and_pages(log: Log, reader: Reader, draft: Maker) -> None:
    log.append([draft(f"a{number}", state="held" if number % 3 == 0 else "released") for number in range(10)])
    log.append([Draft("ruling", "a3", {"state": "released", "decision": {"action": "allow"}})])

    def seqs(**filters: str | int) -> list[int]:
        return [entry.seq for entry in reader.latest(**filters)]  # type: ignore[arg-type]

    assert seqs() == list(range(10, -1, -1))
    assert seqs(limit=3) == [10, 9, 8]
    assert seqs(limit=3, before=8) == [7, 6, 5]
    assert seqs(state="held") == [9, 6, 3, 0]
    assert seqs(kind="ruling") == [10]
    assert seqs(action="block") == []
    assert seqs(text="a3") == seqs(request_id="a3") == [10, 3]
    assert seqs(text="7") == [7]
    third = reader.entry(3)
    assert third is not None
    assert seqs(text=third.id) == [3]
    assert seqs(text="9" * 40) == seqs(text="' OR 1=1 --") == []
    assert seqs(since=third.at) == list(range(10, -1, -1))  # one batch, one time
    ruling = reader.latest(1)[0]
    assert seqs(since=ruling.at) == [10]
    assert seqs(until=ruling.at) == list(range(9, -1, -1))
    assert seqs(since="2999") == []
    assert reader.tally() == {
        ("generation", "held", "allow"): 4,
        ("generation", "released", "allow"): 6,
        ("ruling", "released", "allow"): 1,
    }
    assert reader.tally(since=ruling.at) == {("ruling", "released", "allow"): 1}
    assert reader.size() == 11


def test_reading_single_entries(log: Log, reader: Reader, draft: Maker) -> None:
    assert (reader.entry(0), reader.generation("a"), reader.receipt(0), reader.checkpoint(), reader.size()) == (
        None,
        None,
        None,
        None,
        0,
    )
    log.append([draft("a")])
    found = reader.generation("a")
    assert found is not None
    assert found.seq == 0
    assert reader.continuation("a") is None
    assert reader.body(0, "release") is None
    assert reader.body(1, "prompt") is None
    assert [entry.seq for entry in reader.find(Text("prompt of a"))] == [0]
    assert reader.find(Text("prompt of b")) == []
    assert open_checkpoint(reader.checkpoint() or "", log.vkey).size == 1
    with pytest.raises(ConfigError, match="Vault"):
        Reader(log.engine).body(0, "prompt")
