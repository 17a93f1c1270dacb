"""Old entries are gone for good; the record says so, and every proof of what is left, and of what was, still holds."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, func, select, text, update

from guard import review
from guard.audit import merkle
from guard.audit.checkpoint import open_checkpoint
from guard.audit.draft import Draft
from guard.audit.erase import Why, erase_subject, hold, release_hold
from guard.audit.export import export, tile_path
from guard.audit.log import Log
from guard.audit.prune import Cut, prune
from guard.audit.pruned import Pruned
from guard.audit.quick import _LIGHTER, _stretches, quick, sweep_all, whole
from guard.audit.read import Reader
from guard.audit.receipt import verify_receipt
from guard.audit.rotation import add_keys, retire
from guard.audit.sweep import Swept, sweep
from guard.audit.verify import Report, _Run, verify
from guard.audit.vouched import NOBODY
from guard.errors import CallerError, ConfigError, EvidenceError, LegalHold, RecordError, ReviewError
from guard.keys import KeyRing
from guard.options import Signatures
from guard.store.engine import downgrade, open_engine, reading, snapshot, writing
from guard.store.partitions import partitions
from guard.store.tables import LogBody, LogEntry, LogOnce, LogTile, ReviewCase
from guard.types import Content, Receipt, Text
from tests.clock import Clock
from tests.conftest import copied, role

WHY = Why("kim", "older than we may keep it", code="retention", basis="GDPR Art. 5(1)(e)")


@pytest.fixture
def log(narrow: Engine, keys: KeyRing, clock: Clock) -> Log:
    return Log(narrow, keys, clock=clock)


def fill(log: Log, count: int, *, at_once: int = 100) -> None:
    """Requests of three people and of nobody; every fifth has no content."""
    start = Reader(log.engine).size()
    drafts = []
    for number in range(start, start + count):
        who = ("ann", "bob", "cy", None)[number % 4]
        bodies: dict[str, Content] = {"prompt": Text(f"prompt {number}")} if number % 5 else {}
        subject = log.vault.pseudonym(who) if who else None
        drafts.append(Draft("generation", f"r{number}", {"state": "released"}, bodies, subject))
    for first in range(0, count, at_once):
        log.append(drafts[first : first + at_once])


@pytest.fixture
def aged(log: Log, clock: Clock) -> Log:
    """600 entries, of which 400 are ten months old, of two days; number 0 and 300 are policies."""
    log.append([Draft("policy", "digest", {}, {"policy": Text("the policy")})])
    fill(log, 255)
    clock.now += timedelta(days=1)
    fill(log, 44)
    log.append([Draft("policy", "another", {}, {"policy": Text("another policy")})])
    fill(log, 99)
    clock.now += timedelta(days=300)
    fill(log, 200)
    return log


def sound(log: Log, connection: Connection, size: int) -> bool:
    """What the quick look says."""
    swept = sweep(connection, 0, size)
    return swept is not None and whole(connection, log.vkey, None, size, [swept]) is not None


def checked(log: Log) -> Report:
    """Both readers find nothing wrong; the quick one leaves to the other what is not finished."""
    report = verify(log.engine, log.vkey, vault=log.vault)
    assert report.problems == ()
    with snapshot(log.engine) as connection:
        assert sound(log, connection, report.size) is not bool(report.unfinished)
    return report


def numbers(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return list(connection.execute(select(LogEntry.seq).order_by(LogEntry.seq)).scalars())


def receipts(reader: Reader) -> dict[int, tuple[Receipt, bytes]]:
    found = {}
    for seq in (*range(0, reader.size(), 13), 255, 256):
        receipt, entry = reader.receipt(seq), reader.entry(seq)
        if receipt is not None and entry is not None:
            found[seq] = receipt, entry.leaf
    return found


def unguard(connection: Connection) -> None:
    """What whoever edits the database itself is bound by: nothing."""
    lite = connection.dialect.name == "sqlite"
    for trigger in ("log_entry_no_update", "log_entry_no_delete") if lite else ("log_entry_no_change",):
        connection.execute(text(f"DROP TRIGGER {trigger}" + ("" if lite else " ON log_entry")))
    if lite:
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))


# --- what goes and what stays --------------------------------------------------------------------------------------


def test_old_entries_go_and_every_proof_still_holds(aged: Log, reader: Reader) -> None:
    before, root = receipts(reader), verify(aged.engine, aged.vkey)
    dry = prune(aged, WHY, below=400, dry_run=True)
    assert (dry.minimum, dry.entries, dry.by, reader.size()) == (256, 255, None, 600)
    cut = prune(aged, WHY, below=400)
    assert (cut.minimum, cut.entries, cut.keys, cut.by, cut.scrubbed) == (256, 255, 1, 600, True)  # the first day's key
    assert cut.bodies == sum(1 for number in range(1, 256) if number % 5)
    assert numbers(aged.engine) == [0, *range(256, 601)]
    entry = reader.entry(600)
    assert entry is not None
    assert (entry.kind, entry.request_id, entry.fields["by"]) == ("prune", "minimum:256", "kim")
    assert (entry.fields["minimum"], entry.fields["kept"]) == (256, [[0, 0]])
    assert (entry.fields["entries"], entry.fields["contents"]) == (255, cut.bodies)
    assert "older than" not in json.dumps(dict(entry.fields))
    assert reader.body(600, "reason") == Text(WHY.reason)
    assert reader.body(0, "policy") == Text("the policy")
    report = checked(aged)
    assert (report.size, report.minimum, report.unfinished) == (601, 256, 0)
    for jobs in (0, 1, 3):
        assert verify(aged.engine, aged.vkey, against=root.checkpoint, jobs=jobs) == report
    for receipt, leaf in before.values():  # of pruned entries, too
        verify_receipt(receipt, aged.vkey, leaf=leaf)
    later = receipts(reader)
    assert set(later) == {0, *(seq for seq in before if seq >= 256)}
    for seq, (receipt, leaf) in later.items():
        verify_receipt(receipt, aged.vkey, leaf=leaf)
        assert leaf == before[seq][1]
    assert reader.entry(100) is None
    assert reader.receipt(100) is None
    assert (reader.pruned().minimum, reader.pruned().by) == (256, 600)
    assert [it.seq for it in reader.latest(2000)][-2:] == [256, 0]


def test_a_record_is_pruned_again_and_again(aged: Log, clock: Clock) -> None:
    kept = verify(aged.engine, aged.vkey).checkpoint
    for days, minimum in ((200, 256), (400, 512), (400, 1024)):
        fill(aged, 300)
        clock.now += timedelta(days=days)
        cut = prune(aged, WHY, below=minimum)
        assert (cut.minimum, numbers(aged.engine)[:1]) == (minimum, [0])
        report = verify(aged.engine, aged.vkey, against=kept)
        assert checked(aged) == report
        kept = report.checkpoint
    assert numbers(aged.engine)[:3] == [0, 300, 1024]  # the policies stay, earlier entries that pruned do not
    assert prune(aged, WHY, below=1024) == Cut(1024)
    if aged.engine.dialect.name == "postgresql":  # whole partitions made way for one that holds what was kept
        with reading(aged.engine) as connection:
            bounds = [(it.first, it.beyond) for it in partitions(connection)]
            assert bounds == [(it.first, it.beyond) for it in partitions(connection, "log_body")]
        assert bounds[0] == (0, 1024)
        assert all(one[1] == two[0] for one, two in pairwise(bounds))


def test_by_time(aged: Log, clock: Clock) -> None:
    cut = prune(aged, WHY, before="2026-06-01T00:00:00.000000Z")
    assert (cut.minimum, cut.entries) == (256, 255)  # 400 are that old; down to a multiple of 256
    assert prune(aged, WHY, before="2025-01-01T00:00:00.000000Z") == Cut(256)
    clock.now += timedelta(days=300)
    assert prune(aged, WHY, before="2030-01-01T00:00:00.000000Z").minimum == 512
    checked(aged)


def test_appending_searching_and_erasing_go_on(aged: Log, reader: Reader) -> None:
    prune(aged, WHY, below=400)
    fill(aged, 30)
    ann = aged.vault.pseudonym("ann")
    assert erase_subject(aged, ann, Why("kim", "asked")).bodies > 0
    assert checked(aged).size == 632
    assert reader.history("r100") == []
    assert reader.generation("r500") is not None
    assert reader.find(Text("prompt 101")) == []
    assert aged.append([Draft("generation", "r100", {})])[0].seq == 632  # the id of a pruned request is free again
    with reading(aged.engine) as connection:
        once = connection.execute(select(func.count()).select_from(LogOnce)).scalar_one()
    assert once == len(reader.latest(5000, kind="generation"))


def test_keys_that_nothing_else_needs_are_destroyed(log: Log, clock: Clock, reader: Reader) -> None:
    old, new = log.vault.pseudonym("old"), log.vault.pseudonym("new")
    both = [Draft("generation", f"a{n}", {}, {"prompt": Text("x")}, (old, new)[n % 2]) for n in range(256)]
    log.append(both)
    clock.now += timedelta(days=200)
    log.append([Draft("generation", f"b{n}", {}, {"prompt": Text("y")}, new) for n in range(10)])
    assert prune(log, WHY, below=256).keys == 1
    assert log.vault.keys.existing([old, new]) == [new]
    assert reader.body(256, "prompt") == Text("y")
    checked(log)


def test_keys_of_the_log_are_followed_through_what_was_pruned(log: Log, clock: Clock, keys: KeyRing) -> None:
    """The first key is all that a verifier has; the entry that announced the second lies far below the minimum."""
    fill(log, 300)
    first = log.vkey
    add_keys(keys, Signatures.ED25519)
    both = Log(log.engine, keys, clock=clock)
    fields = {"role": "log", "old": both.vkeys[0], "new": both.vkeys[1], "from": 300}
    both.append([Draft("key", None, fields)], within=lambda *_: None)  # type: ignore[arg-type]
    fill(both, 300)
    assert retire(keys) == 1
    newest = Log(log.engine, keys, clock=clock)
    clock.now += timedelta(days=200)
    fill(newest, 50)
    cut = prune(newest, WHY, below=512)
    assert numbers(log.engine)[:2] == [300, 512]
    report = verify(log.engine, first)
    assert (report.problems, report.minimum, cut.by) == ((), 512, 651)
    with snapshot(log.engine) as connection:
        assert quick(log.engine, connection, first, jobs=2) is not None
    with pytest.raises(RecordError, match="append-only"), writing(log.engine) as connection:
        connection.execute(text("DELETE FROM log_entry WHERE seq = 300"))


# --- what forbids it -----------------------------------------------------------------------------------------------


def test_legal_holds_refuse(aged: Log, reader: Reader) -> None:
    bob = aged.vault.pseudonym("bob")
    hold(aged, bob, by="kim", reason="a court asks")
    with pytest.raises(LegalHold, match=r"entry 1 is theirs.*below 0 at most.*release-hold"):
        prune(aged, WHY, below=400)
    assert len(numbers(aged.engine)) == reader.size() == 601
    release_hold(aged, bob, by="kim", reason="settled")
    assert prune(aged, WHY, below=400).entries == 255
    hold(aged, bob, by="kim", reason="another court")
    assert prune(aged, WHY, below=400) == Cut(256)  # theirs are not below any more
    checked(aged)


def test_a_hold_that_comes_first_wins(aged: Log, keys: KeyRing, clock: Clock) -> None:
    """Held between the look and the entry: the lock of the log decides."""

    class Slow(Log):
        def append(self, drafts, **more):  # type: ignore[no-untyped-def]
            hold(aged, aged.vault.pseudonym("cy"), by="kim", reason="at that very moment")
            return super().append(drafts, **more)

    slow = Slow(aged.engine, keys, clock=clock)
    with pytest.raises(LegalHold):
        prune(slow, WHY, below=400)
    assert Reader(aged.engine).pruned() == Pruned()
    assert len(numbers(aged.engine)) == 601


def test_open_cases_refuse_and_decided_ones_go(log: Log, clock: Clock, reader: Reader) -> None:
    def held(request: str, case: str) -> None:
        fields = {
            "state": "held", "case": case, "stage": "output", "severity": 1, "deadline": log.now(), "content_kind": "text"
        }  # fmt: skip
        bodies = {"prompt": Text("p"), "output": Text("o")}

        def opened(connection: Connection, appended) -> None:  # type: ignore[no-untyped-def]
            review.open_case(
                connection, case_id=case, seq=appended[0].seq, request_id=request, stage="output", kind="text",
                severity=1, opened_at=appended[0].occurred_at, deadline=log.now(),
            )  # fmt: skip

        log.append([Draft("generation", request, fields, bodies)], within=opened)  # type: ignore[arg-type]

    held("q1", "c1")
    fill(log, 300)
    clock.now += timedelta(days=200)
    held("q2", "c2")
    with pytest.raises(ReviewError, match=r"case c1 waits.*entry 0.*below 0 at most"):
        prune(log, WHY, below=256)
    review.claim(log.engine, log, reviewer="kim", case_id="c1")
    review.rule(log.engine, log, case_id="c1", reviewer="kim", ruling="reject", rationale="no")
    prune(log, WHY, below=256)
    with pytest.raises(ReviewError, match="pruned"):
        review.get(log.engine, "c1")
    with reading(log.engine) as connection:
        before = connection.execute(select(*ReviewCase.__table__.columns)).all()
    assert [row.id for row in before] == ["c2"]
    assert review.rebuild(log.engine) == 1  # claim and ruling of the other are there without it
    with reading(log.engine) as connection:
        assert connection.execute(select(*ReviewCase.__table__.columns)).all() == before
    checked(log)


def test_what_is_younger_than_six_months_needs_to_be_exempt(aged: Log, reader: Reader, clock: Clock) -> None:
    with pytest.raises(ConfigError, match=r"entry 511 is of 2026-11-07.*six months.*--exempt"):
        prune(aged, WHY, below=600)
    clock.now += timedelta(days=182)
    with pytest.raises(ConfigError, match="six months"):
        prune(aged, WHY, below=600, exempt=" ")
    cut = prune(aged, WHY, below=600, exempt="no high-risk system")
    entry = reader.entry(cut.by or 0)
    assert entry is not None
    assert (cut.minimum, entry.fields["exempt"]) == (512, "no high-risk system")
    checked(aged)


def test_what_is_missing_to_say_is_asked_for(aged: Log) -> None:
    for why in (Why("kim", " "), Why("", "because")):
        with pytest.raises(CallerError, match="who prunes and why"):
            prune(aged, why, below=400)
    for wrong in ({}, {"below": 1, "before": "2026"}):
        with pytest.raises(CallerError, match="what to prune"):
            prune(aged, WHY, **wrong)  # type: ignore[arg-type]
    for number in (-1, 601):
        with pytest.raises(CallerError, match="has 600 entries"):
            prune(aged, WHY, below=number)
    assert prune(aged, WHY, below=255) == Cut(0)
    assert len(numbers(aged.engine)) == 600


def test_the_service_may_not_prune(template: Engine, keys: KeyRing, draft: Callable[..., Draft]) -> None:
    """It has neither the right to delete entries nor to drop partitions, and is told so before anything is recorded."""
    with role(template, "clerk") as name, copied(template) as url:
        owner = open_engine(url)
        with owner.begin() as connection:
            connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}"))
        clerk = open_engine(owner.url.set(username=name).render_as_string(hide_password=False))
        log = Log(clerk, keys)
        log.append([draft() for _ in range(256)])
        with pytest.raises(RecordError, match="owner of the tables"):
            prune(log, WHY, below=256, exempt="a test")
        assert Reader(clerk).size() == 256
        clerk.dispose()
        owner.dispose()


# --- interrupted, and beside others --------------------------------------------------------------------------------

DYING = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
import guard.audit.prune as lib
from guard.audit.erase import Why
from guard.audit.log import Log
from guard.keys import KeyRing
from guard.options import Signatures
from guard.store.engine import open_engine

url, folder, step = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
lib._BATCH = 100
steps = 0

def dying(real):
    def run(*arguments):
        global steps
        steps += 1
        if steps > step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    return run

for name in ("destroy_unused", "_forget", "drop_below"):
    setattr(lib, name, dying(getattr(lib, name)))
log = Log(open_engine(url), KeyRing(folder), clock=lambda: datetime(2026, 11, 8, tzinfo=UTC))
lib.prune(log, Why("kim", "old"), below=400)
"""


@pytest.mark.parametrize("step", [0, 1, 2, 3, 4, 5, 7])
def test_a_crash_at_any_step_is_finished_by_a_second_run(url: str, aged: Log, keys: KeyRing, step: int) -> None:
    died = subprocess.run([sys.executable, "-c", DYING, url, str(keys.folder), str(step)], check=False)
    assert died.returncode in (-signal.SIGKILL, 0)
    report = checked(aged)
    assert (report.size, report.minimum) == (601, 256)
    assert report.unfinished == len(numbers(aged.engine)) - 346
    again = prune(aged, WHY, below=400)
    assert (again.by, again.entries) == (None, report.unfinished)
    report = checked(aged)
    assert (report.size, report.unfinished, len(numbers(aged.engine))) == (601, 0, 346)
    assert not aged.vault.keys.existing(["d:2026-01-10"])


def test_pruning_while_others_write_and_read(url: str, aged: Log, keys: KeyRing, clock: Clock) -> None:
    stop, failures = threading.Event(), list[BaseException]()

    def work(act: Callable[[Engine], None]) -> None:
        engine = open_engine(url)
        try:
            while not stop.is_set():
                act(engine)
        except BaseException as error:
            failures.append(error)
        finally:
            engine.dispose()

    def write(engine: Engine) -> None:
        Log(engine, keys, clock=clock).append([Draft("check", None, {}, {"output": Text("x")})] * 3)

    def read(engine: Engine) -> None:
        assert verify(engine, aged.vkey, jobs=0).problems == ()

    threads = [threading.Thread(target=work, args=(act,)) for act in (write, write, read)]
    for thread in threads:
        thread.start()
    try:
        for below in (100, 256, 400):
            prune(aged, WHY, below=below)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert checked(aged).minimum == 256


# --- tampering -----------------------------------------------------------------------------------------------------


def test_pruning_without_an_entry_is_tampering(aged: Log) -> None:
    with writing(aged.engine) as connection:
        unguard(connection)
        for table in ("log_body", "log_entry"):
            connection.execute(text(f"DELETE FROM {table} WHERE seq < 256"))
    for jobs in (0, 2):
        report = verify(aged.engine, aged.vkey, jobs=jobs)
        assert (report.ok, report.first_broken, report.minimum) == (False, 0, 0)
        assert "entry 0: is missing: entry 256 comes next" in map(str, report.problems)


def test_dropping_a_partition_without_an_entry_is_tampering(aged: Log) -> None:
    with writing(aged.engine) as connection:
        for table in ("log_body", "log_entry"):
            for part in partitions(connection, table)[:1]:
                connection.execute(text(f"DROP TABLE {part.name}"))
    report = verify(aged.engine, aged.vkey)
    wanted = (True, None) if aged.engine.dialect.name == "sqlite" else (False, 0)
    assert (report.ok, report.first_broken) == wanted


@pytest.mark.parametrize(
    ("change", "named", "said"),
    [
        ("DELETE FROM log_entry WHERE seq BETWEEN 256 AND 259", 256, "is missing"),
        ("DELETE FROM log_entry WHERE seq = 0", 0, "says that it was kept"),
        ("DELETE FROM log_entry WHERE kind = 'prune'", 1, "is missing"),
        ("UPDATE log_entry SET leaf = 'MINIMUM 512' WHERE kind = 'prune'", 600, "does not have its hash"),
        ("UPDATE log_entry SET leaf = 'REHASHED 512' WHERE kind = 'prune'", 600, "is not what the tree recorded"),
        (
            "UPDATE log_tile SET hashes = 'ZERO' WHERE level = 0 AND idx = 0",
            0,
            "is not what the tree recorded (tile 1/0, hash 0)",
        ),
        ("UPDATE log_tile SET hashes = 'ZERO' WHERE level = 1 AND idx = 0", 256, "is not what the tree recorded"),
        ("DELETE FROM log_tile WHERE level = 0 AND idx = 0", 1, "the tiles do not hold its hash either"),
        (
            "UPDATE log_tile SET hashes = 'SHORT' WHERE level = 0 AND idx = 0",
            255,
            "the tiles do not hold its hash either",
        ),
        ("INSERT INTO log_body (seq, role) VALUES (100, 'prompt')", 100, "sealed content that the entry does not name"),
    ],
)
def test_what_goes_beyond_what_the_entry_says_is_tampering(
    aged: Log, change: str, named: int | None, said: str
) -> None:
    prune(aged, WHY, below=400)
    with writing(aged.engine) as connection:
        unguard(connection)
        forge(connection, change)
    for jobs in (0, 2):
        report = verify(aged.engine, aged.vkey, jobs=jobs)
        assert not report.ok
        assert any(said in str(problem) for problem in report.problems), report.problems[:3]
        assert named is None or named in {problem.seq for problem in report.problems}


def forge(connection: Connection, change: str) -> None:
    """The change, with bytes where a word stands for them."""
    if change.startswith("UPDATE log_entry"):
        leaf = connection.execute(select(LogEntry.leaf).where(LogEntry.kind == "prune")).scalar_one()
        leaf = leaf.replace(b'"minimum":256', b'"minimum":512').replace(b"minimum:256", b"minimum:512")
        values = {"leaf": leaf, "request_id": "minimum:512"}
        values |= {"leaf_hash": merkle.leaf_hash(leaf)} if "REHASHED" in change else {}
        connection.execute(update(LogEntry).where(LogEntry.kind == "prune").values(**values))
        for table in ("log_body", "log_entry"):
            connection.execute(text(f"DELETE FROM {table} WHERE seq BETWEEN 256 AND 511 AND seq != 300"))
    elif change.startswith("UPDATE log_tile"):
        level, index = (1, 0) if "level = 1" in change else (0, 1 if "idx = 1" in change else 0)
        here = (LogTile.level == level, LogTile.idx == index)
        old = connection.execute(select(LogTile.hashes).where(*here)).scalar_one()
        new = old[:-5] if "SHORT" in change else old[:32] + bytes(32) + old[64:]
        connection.execute(update(LogTile).where(*here).values(hashes=new))
    else:
        if change.startswith("DELETE FROM log_entry"):
            connection.execute(
                text(change.replace("log_entry", "log_body")) if "kind" not in change else text("SELECT 1")
            )
        if "kind" in change:
            connection.execute(text("DELETE FROM log_body WHERE seq = 600"))
        if change.startswith("INSERT") and connection.dialect.name == "sqlite":
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            connection.execute(text("CREATE TABLE other AS SELECT * FROM log_body"))
            connection.execute(text("DROP TABLE log_body"))
            connection.execute(text("ALTER TABLE other RENAME TO log_body"))
        connection.execute(text(change))


def test_a_pruned_entry_that_is_put_back_changed_is_named(aged: Log) -> None:
    with reading(aged.engine) as connection:
        row = dict(connection.execute(select(*LogEntry.__table__.columns).where(LogEntry.seq == 5)).one()._mapping)
        other = dict(connection.execute(select(*LogEntry.__table__.columns).where(LogEntry.seq == 10)).one()._mapping)
    prune(aged, WHY, below=400)
    with writing(aged.engine) as connection:
        connection.execute(LogEntry.__table__.insert(), [row])  # type: ignore[attr-defined]
    assert checked(aged).unfinished == 1  # what was signed is no forgery, only not gone yet
    with writing(aged.engine) as connection:
        connection.execute(LogEntry.__table__.insert(), [{**other, "seq": 15, "id": "x"}])  # type: ignore[attr-defined]
    for jobs in (0, 2):
        report = verify(aged.engine, aged.vkey, jobs=jobs)
        assert {problem.seq for problem in report.problems} == {15}


def test_random_changes_to_a_pruned_record_are_found(aged: Log) -> None:
    """Whatever is deleted from it or flipped in it, beyond what the entry allows, neither reader calls sound."""
    prune(aged, WHY, below=400)
    chance = random.Random(11)
    with writing(aged.engine) as connection:
        unguard(connection)
    for number in range(40):
        with aged.engine.connect() as connection:
            seq = chance.choice([0, *range(256, 601)])
            if number % 4 == 0:
                if connection.dialect.name == "sqlite":
                    connection.execute(text("PRAGMA defer_foreign_keys = ON"))
                connection.execute(text("DELETE FROM log_entry WHERE seq = :seq"), {"seq": seq})
            elif number % 4 == 1:
                column = chance.choice(["kind", "occurred_at", "id"])
                connection.execute(text(f"UPDATE log_entry SET {column} = {column} || 'x' WHERE seq = :s"), {"s": seq})
            else:
                key = (LogTile.level, LogTile.idx)
                level, index = chance.choice([(0, 0), (0, 1), (0, 2), (1, 0)])
                here = (key[0] == level, key[1] == index)
                data = bytearray(connection.execute(select(LogTile.hashes).where(*here)).scalar_one())
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                connection.execute(update(LogTile).where(*here).values(hashes=bytes(data)))
            run = _Run(aged.vkey, None, NOBODY, None, None)
            run.read(connection)
            assert (run.result().ok, sound(aged, connection, 601)) == (False, False), (number, seq)
            connection.rollback()
    checked(aged)


# --- the database's own guard --------------------------------------------------------------------------------------


def test_the_triggers_allow_exactly_what_the_entry_says(aged: Log, narrow: Engine) -> None:
    lite = narrow.dialect.name == "sqlite"

    def refused(statement: str) -> None:
        with pytest.raises(RecordError, match="append-only"), writing(narrow) as connection:
            if lite:
                connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            connection.execute(text(statement))

    refused("DELETE FROM log_entry WHERE seq = 100")
    aged.append([Draft("prune", "minimum:256", {"minimum": 256, "root": ""})])
    refused("DELETE FROM log_entry WHERE seq = 256")
    refused("DELETE FROM log_entry WHERE seq = 0")  # a policy
    refused("DELETE FROM log_entry WHERE kind = 'prune'")
    refused("UPDATE log_entry SET kind = 'x' WHERE seq = 100")
    if not lite:
        refused("TRUNCATE log_entry")
        for part in ("log_entry_0_512", "log_entry_512_1024"):
            refused(f"TRUNCATE {part}")
            refused(f"UPDATE {part} SET kind = 'x'")
        refused("DELETE FROM log_entry_512_1024")
        with pytest.raises(RecordError, match="append-only"), writing(narrow) as connection:
            connection.execute(
                text("CREATE TEMP TABLE log_entry AS SELECT 'prune' AS kind, 'minimum:9999' AS request_id")
            )
            connection.execute(text("DELETE FROM public.log_entry WHERE seq = 500"))
    with writing(narrow) as connection:
        connection.execute(text("DELETE FROM log_body WHERE seq = 100"))
        assert connection.execute(text("DELETE FROM log_entry WHERE seq = 100")).rowcount == 1
    for word in ("minimum:x", "minimum:-5", "256", "minimum:"):
        aged.append([Draft("prune", word, {})])
        refused("DELETE FROM log_entry WHERE seq = 300")


def test_an_older_release_does_not_take_a_pruned_record(aged: Log, narrow: Engine) -> None:
    prune(aged, WHY, below=400)
    with pytest.raises(ConfigError, match="entries were pruned"):
        downgrade(narrow, "0004")
    checked(aged)


# --- for others ----------------------------------------------------------------------------------------------------


def test_an_export_holds_every_tile_and_what_is_left(aged: Log, tmp_path: Path) -> None:
    prune(aged, WHY, below=400)
    folder = tmp_path / "out"
    written = export(aged.engine, aged.vkeys, folder)
    assert (folder / "minimum").read_text() == "256\n"
    assert [(folder / "tile/entries" / tile_path(number)).exists() for number in range(2)] == [False, True]
    tree, width = merkle.CompactRange(), merkle.TILE_WIDTH
    for number in range(3):
        count = min(width, written.size - number * width)
        for hashed in merkle.split((folder / "tile/0" / tile_path(number, count)).read_bytes()):
            tree.append(hashed)
    assert (tree.size, tree.root()) == (written.size, written.root)
    assert open_checkpoint((folder / "checkpoint").read_text(), aged.vkey) == written
    [line] = (folder / "kept.jsonl").read_text().splitlines()
    assert json.loads(line)["seq"] == 0
    bodies = {json.loads(line)["seq"] for line in (folder / "bodies.jsonl").read_text().splitlines()}
    assert {seq for seq in bodies if seq < 256} == {0}
    with writing(aged.engine) as connection:
        unguard(connection)
        connection.execute(text("UPDATE log_entry SET leaf = leaf_hash WHERE seq = 0"))
    with pytest.raises(EvidenceError, match="entry 0 is malformed"):
        export(aged.engine, aged.vkeys, tmp_path / "two")


def test_stretches_carry_the_same_work() -> None:
    chance = random.Random(2)
    for _ in range(300):
        size = chance.randrange(1, 2_000_000)
        minimum = chance.randrange(size) // 256 * 256
        jobs = chance.randrange(1, 17)
        found = _stretches(size, jobs, minimum)
        assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]
        assert found[-1][1] == size
        assert all(start % 256 == 0 and start < end for start, end in found)
        assert len(found) <= jobs
        work = [
            max(0, min(end, minimum) - start) / _LIGHTER + max(0, end - max(start, minimum)) for start, end in found
        ]
        assert max(work) <= (minimum / _LIGHTER + size - minimum) / jobs + 600


def test_an_entry_that_says_too_much_is_not_believed(log: Log) -> None:
    fill(log, 300)
    for minimum in (512, 100, -256, True, "256", None):
        log.append(
            [Draft("prune", f"minimum:{minimum}", {"minimum": minimum, "root": "", "kept": [[0, 10**30], "x", [1]]})]
        )
    with reading(log.engine) as connection:
        assert Pruned.read(connection) == Pruned()
    wide = Pruned(512, "", 600, ((3, 9), (20, 10**30)))
    assert [wide.allows(seq) for seq in (2, 3, 9, 10, 19, 20, 511, 512)] == [
        True,
        False,
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    assert not verify(log.engine, log.vkey, jobs=0).problems


def test_a_forged_minimum_keeps_no_reader_busy(log: Log) -> None:
    """A number that no entry can have, far beyond what the tiles cover: found at once, not counted through."""
    fill(log, 300)
    with writing(log.engine) as connection:
        row = connection.execute(select(*LogEntry.__table__.columns).where(LogEntry.seq == 299)).one()._mapping
        far = 1 << 24 if log.engine.dialect.name == "postgresql" else 1 << 60
        if far == 1 << 24:
            connection.execute(text("SELECT log_partition(16777216, 16777472)"))
        leaf = json.dumps({"kind": "prune", "minimum": far, "root": ""}).encode()
        forged = {**row, "seq": far, "kind": "prune", "id": "x", "leaf": leaf, "leaf_hash": merkle.leaf_hash(leaf)}
        connection.execute(LogEntry.__table__.insert(), [forged])  # type: ignore[attr-defined]
    for jobs in (0, 1):
        assert verify(log.engine, log.vkey, jobs=jobs).first_broken == 300
    folder = Path(log.vault.keys.folder).parent / "out"  # type: ignore[attr-defined]
    assert export(log.engine, log.vkeys, folder).size == 300  # nothing beyond what was signed is believed


def swept(log: Log) -> list[Swept] | None:
    with snapshot(log.engine) as connection:
        return sweep_all(log.engine, connection, 601, 3, minimum=256)


def test_sweeping_a_pruned_stretch_needs_its_tiles(aged: Log) -> None:
    prune(aged, WHY, below=400)
    found = swept(aged)
    assert found is not None
    with reading(aged.engine) as connection:
        count = connection.execute(select(func.count()).select_from(LogBody)).scalar_one()
        assert sum(part.bodies for part in found) == count
    with writing(aged.engine) as connection:
        connection.execute(text("DELETE FROM log_tile WHERE level = 0 AND idx = 0"))
    assert swept(aged) is None
