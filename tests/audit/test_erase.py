"""Erased content is gone: from the database, from its files, from backups. The record says so, and every proof still holds."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text, update

from guard.audit import access, erase
from guard.audit.draft import KEPT, Draft
from guard.audit.erase import Done, Where, Why, _erase, erase_entries, erase_subject, hold, release_hold, retain
from guard.audit.erased import Erased, pieces
from guard.audit.keystore import LocalKeys
from guard.audit.log import Appended, Log
from guard.audit.quick import whole
from guard.audit.read import Reader
from guard.audit.receipt import verify_receipt
from guard.audit.spent import KEY_REF
from guard.audit.sweep import sweep
from guard.audit.vault import Sealed, Vault
from guard.audit.verify import Report, verify
from guard.errors import CallerError, ConfigError, EvidenceError, KeyFileError, LegalHold, RecordError
from guard.keys import KeyRing
from guard.store.engine import downgrade, open_engine, reading, snapshot, upgrade, writing
from guard.store.tables import LogBody, LogEntry
from guard.types import Ack, Content, Text
from tests.audit.residue import ends, present
from tests.clock import Clock

WHY = Why("kim", "a letter of 3 May asks for it")


@pytest.fixture
def log(engine: Engine, keys: KeyRing, clock: Clock) -> Log:
    return Log(engine, keys, clock=clock)


def say(log: Log, who: str | None, words: str, request: str | None = None, *, kind: str = "generation") -> int:
    subject = log.vault.pseudonym(who) if who else None
    bodies = {"prompt": Text(f"{words} of {who}"), "output": Text(words * 300)}
    return log.append([Draft(kind, request or words, {"state": "released"}, bodies, subject)])[0].seq


def checked(log: Log) -> Report:
    report = verify(log.engine, log.vkey, vault=log.vault)
    assert report.problems == ()
    with snapshot(log.engine) as connection:  # the quick look knows what may be missing, too
        swept = sweep(connection, 0, report.size)
        assert swept is not None
        assert whole(connection, log.vkey, None, report.size, [swept]) is not None
    return report


def entry(reader: Reader, seq: int) -> dict[str, object]:
    found = reader.entry(seq)
    assert found is not None
    return dict(found.fields)


def test_a_subject_is_erased_and_everything_else_stays(log: Log, reader: Reader) -> None:
    for number in range(4):
        say(log, "ann", f"a{number}")
        say(log, "bob", f"b{number}")
    before = {seq: reader.receipt(seq) for seq in range(8)}
    ann = log.vault.pseudonym("ann")
    assert [it.seq for it in reader.latest(subject=ann)] == [6, 4, 2, 0]
    done = erase_subject(log, ann, WHY)
    assert (done.bodies, done.of, done.keys, done.entries, done.scrubbed) == (8, 4, 1, (8,), True)
    fields = entry(reader, 8)
    assert (fields["kind"], fields["subject"], fields["by"]) == ("erasure", ann, "kim")
    assert (fields["code"], fields["basis"]) == ("request", "GDPR Art. 17")
    assert fields["erased"] == {"output prompt": [[0, 0], [2, 2], [4, 4], [6, 6]]}
    assert "letter" not in json.dumps(fields)
    assert reader.body(8, "reason") == Text(WHY.reason)
    for seq in range(8):
        assert (reader.body(seq, "output") is None) is (seq % 2 == 0)
        receipt, found = before[seq], reader.entry(seq)
        assert receipt is not None
        assert found is not None
        verify_receipt(receipt, log.vkey, leaf=found.leaf)
        later = reader.receipt(seq)
        assert later is not None
        verify_receipt(later, log.vkey, leaf=found.leaf)
    assert reader.find(Text("a0 of ann")) == []
    assert checked(log).size == 9
    assert erase_subject(log, ann, WHY) == Done()  # nothing is left to do, and nothing is written
    say(log, "ann", "again")  # under a new key
    assert reader.body(9, "prompt") == Text("again of ann")
    assert checked(log).size == 10


def test_one_request_or_entry(log: Log, reader: Reader) -> None:
    say(log, "ann", "one", "r1")
    say(log, "ann", "two", "r1", kind="ruling")
    say(log, "ann", "three", "r2")
    say(log, None, "four", "r3")
    done = erase_entries(log, WHY, request_id="r1")
    assert (done.bodies, done.of, done.keys) == (4, 2, 0)  # the key is needed for the rest
    assert [reader.body(seq, "prompt") is None for seq in range(4)] == [True, True, False, False]
    assert erase_entries(log, WHY, entry=2).keys == 1  # now it is not
    assert erase_entries(log, WHY, entry=3).bodies == 2
    assert erase_entries(log, WHY, entry=3) == erase_entries(log, WHY, request_id="unknown") == Done()
    checked(log)
    for wrong in ({}, {"entry": 1, "request_id": "r1"}):
        with pytest.raises(CallerError, match="a request or an entry"):
            erase_entries(log, WHY, **wrong)  # type: ignore[arg-type]
    with pytest.raises(CallerError, match="reason"):
        erase_entries(log, Why("kim", " "), entry=0)
    with pytest.raises(CallerError, match="who erases"):
        erase_subject(log, "s:x", Why(" ", "because"))


def test_a_legal_hold_forbids_it(log: Log, reader: Reader) -> None:
    seq, ann = say(log, "ann", "one"), log.vault.pseudonym("ann")
    hold(log, ann, by="kim", reason="a court asks")
    with pytest.raises(CallerError, match="already"):
        hold(log, ann, by="kim", reason="twice")
    with pytest.raises(LegalHold, match="release-hold"):
        erase_subject(log, ann, WHY)
    for request_id, number in ((None, seq), ("one", None)):
        with pytest.raises(LegalHold, match="release-hold"):
            erase_entries(log, WHY, request_id=request_id, entry=number)
    assert reader.body(seq, "prompt") == Text("one of ann")
    assert reader.size() == 2
    release_hold(log, ann, by="kim", reason="settled")
    with pytest.raises(CallerError, match="not under"):
        release_hold(log, ann, by="kim", reason="twice")
    assert erase_subject(log, ann, WHY).bodies == 2
    assert reader.body(1, "reason") == Text("a court asks")  # it outlives the subject's key
    checked(log)


@pytest.mark.parametrize(
    ("seq", "values"),
    [
        (0, {"ciphertext": None, "wrapped_key": None, "lookup": None, "erased_at": "AT"}),
        (2, {"ciphertext": None, "wrapped_key": None, "lookup": None}),
        (2, {"wrapped_key": None}),
        (1, {"erased_at": "2026"}),
        (1, {"erased_at": None}),
        (2, {"erased_at": "AT"}),
    ],
)
def test_removing_without_an_entry_is_tampering(log: Log, seq: int, values: dict[str, str | None]) -> None:
    for word in ("one", "two", "three"):
        say(log, "ann", word)
    erase_entries(log, WHY, entry=1)
    with writing(log.engine) as connection:
        at = connection.execute(select(LogBody.erased_at).where(LogBody.seq == 1).limit(1)).scalar_one()
        changed = {name: at if value == "AT" else value for name, value in values.items()}
        connection.execute(update(LogBody).where(LogBody.seq == seq).values(**changed))
    report = verify(log.engine, log.vkey)
    assert {problem.seq for problem in report.problems} == {seq}
    assert "without an entry that says so" in str(report.problems[0])


def test_putting_erased_content_back_is_tampering(log: Log) -> None:
    say(log, "ann", "one")
    with reading(log.engine) as connection:
        rows = [dict(row._mapping) for row in connection.execute(select(*LogBody.__table__.columns))]
    erase_entries(log, WHY, entry=0)
    with writing(log.engine) as connection:
        for row in rows:
            connection.execute(update(LogBody).where(LogBody.role == row["role"], LogBody.seq == 0).values(**row))
    report = verify(log.engine, log.vkey)
    assert {problem.seq for problem in report.problems} == {0}
    assert "although an entry says that it was erased" in str(report.problems[0])


def test_runs_name_exactly_what_was_erased() -> None:
    chance = random.Random(4)
    for count in (0, 1, 5, 300, 30_000):
        numbers = sorted(chance.sample(range(count * 2), count))
        bodies = [(seq, role) for seq in numbers for role in sorted(chance.sample(["a", "b", "c"], 1 + seq % 3))]
        made = [piece for piece, _ in pieces(bodies)]
        assert [seq for _, named in pieces(bodies) for seq in named] == numbers
        assert all(len(json.dumps(piece)) < 60_000 for piece in made)
        read = Erased({"erased": piece, "at": "t"} for piece in made)
        wanted = set(bodies)
        assert {(seq, role) for seq in range(count * 2) for role in "abc" if read.at(seq, role)} == wanted
    odd = Erased([{"erased": {"a": [[1], "x", [1, "2"], None, [2, 10**30]], "b": 5}}, {"erased": 7}, {}])
    assert (odd.at(3, "a"), odd.at(1, "a"), odd.at(None, None)) == ("None", None, None)


def test_racing_erasers_erase_once(url: str, log: Log, reader: Reader, keys: KeyRing) -> None:
    for number in range(30):
        say(log, "ann", f"a{number}")
    ann, barrier = log.vault.pseudonym("ann"), threading.Barrier(3)
    done: list[Done] = []
    refused: list[RecordError] = []

    def work() -> None:
        engine = open_engine(url)
        barrier.wait()
        try:
            done.append(erase_subject(Log(engine, keys), ann, WHY))
        except RecordError as error:  # it says to run it again
            refused.append(error)
        engine.dispose()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) + len(refused) == 3
    assert sum(it.bodies for it in done) == 60
    assert len(reader.latest(kind="erasure")) == 1
    assert not log.vault.keys.existing([ann])
    checked(log)


def test_erasing_while_others_write(url: str, log: Log, reader: Reader, keys: KeyRing) -> None:
    """Whatever the subject's requests race with, a last run leaves nothing of them, and a record that holds."""
    ann, stop = log.vault.pseudonym("ann"), threading.Event()
    failures: list[BaseException] = []

    def work(name: str) -> None:
        engine = open_engine(url)
        mine, number = Log(engine, keys), 0
        try:
            while not stop.is_set():
                number += 1
                say(mine, "ann", f"{name}-{number}")
                say(mine, "bob", f"{name}-bob-{number}")
        except BaseException as error:
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("x", "y")]
    for thread in threads:
        thread.start()
    for _ in range(3):
        erase_subject(log, ann, WHY)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    checked(log)  # what came after a key went was sealed under the next
    erase_subject(log, ann, WHY)
    checked(log)
    assert {reader.body(it.seq, "prompt") for it in reader.latest(500, subject=ann) if it.kind != "erasure"} <= {None}
    assert not log.vault.keys.existing([ann])
    for found in reader.latest(10, subject=log.vault.pseudonym("bob")):
        assert reader.body(found.seq, "prompt") is not None


# --- keys ----------------------------------------------------------------------------------------------------------


class Racing(Vault):
    """Another process destroys the key once, right after something was sealed under it."""

    raced = 0

    def seal(self, contents: Mapping[str, Content], *, entry_id: str, key_ref: str) -> dict[str, Sealed]:
        sealed = super().seal(contents, entry_id=entry_id, key_ref=key_ref)
        if not self.raced:
            self.raced += 1
            assert isinstance(self.keys, LocalKeys)
            LocalKeys(self.keys.folder).destroy([key_ref])
        return sealed


@pytest.mark.parametrize("way", ["group", "within", "inbox", "durable"])
def test_who_comes_back_while_the_key_goes_is_sealed_again(
    engine: Engine, keys: KeyRing, way: str, request: pytest.FixtureRequest
) -> None:
    log = Log(engine, keys, vault=Racing(keys))
    who, within = log.vault.pseudonym("ann"), (lambda *_: None) if way == "within" else None
    draft = Draft("generation", "r", {}, {"prompt": Text("mine"), "output": Text("yours")}, who)
    if way == "inbox":
        if engine.dialect.name == "sqlite":
            pytest.skip("there is no inbox on SQLite")
        Log(engine, keys).append([Draft("check", None, {})])
        done: list[Appended] = []
        with engine.begin() as other:
            other.execute(text("SELECT * FROM log_head FOR UPDATE"))
            thread = threading.Thread(target=lambda: done.extend(log.append([draft])))
            thread.start()
            thread.join(0.3)
        thread.join()
        [made] = done
    else:
        [made] = log.append([draft], within=within, ack=Ack.DURABLE if way == "durable" else Ack.SEQUENCED)
    assert isinstance(log.vault, Racing)
    assert log.vault.raced == 1
    assert Reader(engine, log.vault).body(made.seq, "output") == Text("yours")
    assert made.receipt.entry == made.seq
    checked(log)


def test_an_erasure_waits_for_who_leaves_entries_and_erases_them(postgresql_url: str, keys: KeyRing) -> None:
    """On PostgreSQL an entry on its way into the inbox is either erased with its key, or sealed under the next."""
    engine = open_engine(postgresql_url)
    log = Log(engine, keys)
    say(log, "ann", "one")
    ann, done = log.vault.pseudonym("ann"), list[Done]()
    with writing(engine) as slow:
        log._inbox.begin(slow)
        log._inbox.deposit(slow, log._sealer.seal([Draft("check", None, {}, {"output": Text("late")}, ann)]))
        eraser = threading.Thread(target=lambda: done.append(erase_subject(log, ann, WHY)))
        eraser.start()
        eraser.join(0.5)
        assert eraser.is_alive()
        assert log.vault.keys.existing([ann])
    eraser.join()
    assert [(it.bodies, it.of, it.keys) for it in done] == [(3, 2, 1)]
    checked(log)
    engine.dispose()


def test_a_key_store_that_fails_is_said_and_a_second_run_finishes(log: Log, reader: Reader, clock: Clock) -> None:
    class Broken(LocalKeys):
        def destroy(self, refs: Iterable[str]) -> None:
            if list(refs):
                raise KeyFileError("the key service does not answer")

    ann, sound = log.vault.pseudonym("ann"), log.vault.keys
    assert isinstance(sound, LocalKeys)
    broken = Broken(sound.folder)

    def both(seq: int, erase: Callable[[], Done]) -> Done:
        log.vault.keys = broken
        with pytest.raises(KeyFileError, match=r"does not answer.*not finished: run the same command again"):
            erase()
        assert sound.existing([ann])
        assert reader.body(seq, "prompt") is None
        log.vault.keys = sound
        checked(log)
        return erase()

    wanted = Done(keys=1)
    assert both(say(log, "ann", "one"), lambda: erase_subject(log, ann, WHY)) == wanted
    seq = say(log, "ann", "two")
    assert both(seq, lambda: erase_entries(log, WHY, entry=seq)) == wanted
    seq = say(log, "ann", "three")
    clock.now += timedelta(days=500)
    assert both(seq, lambda: retain(log, timedelta(days=400), by="kim")).keys == 2  # and that of the reasons
    assert sound.existing([ann]) == []
    checked(log)


def test_keys_that_an_interrupted_run_left_go_with_any_later_retention(log: Log, clock: Clock) -> None:
    for who in ("ann", "bob", None):
        say(log, who, f"of {who}")
    say(log, "bob", "new")
    names = [log.vault.pseudonym(who) for who in ("ann", "bob")]
    day = "d:2026-01-10"
    for seq in range(3):  # as far as it gets that is killed before the keys
        _erase(log, (LogEntry.seq == seq,), WHY)
    assert log.vault.keys.existing([*names, day]) == [day, *sorted(names)]
    assert retain(log, timedelta(days=4000), by="kim") == Done(keys=2)
    assert log.vault.keys.existing([*names, day]) == [names[1]]
    assert retain(log, timedelta(days=4000), by="kim") == Done()
    checked(log)


def test_no_key_goes_for_rows_that_no_entry_says_were_erased(log: Log, reader: Reader, clock: Clock) -> None:
    """Whoever may change rows only must not be able to have the backups' keys destroyed."""
    for word in ("one", "two"):
        say(log, "ann", word)
    erase_entries(log, WHY, entry=0)
    with writing(log.engine) as connection:
        at = connection.execute(select(LogBody.erased_at).where(LogBody.seq == 0).limit(1)).scalar_one()
        gone = {"ciphertext": None, "wrapped_key": None, "lookup": None, "erased_at": at}
        connection.execute(update(LogBody).where(LogBody.seq == 1).values(**gone))
    assert erase_entries(log, WHY, entry=0) == Done()
    clock.now += timedelta(days=500)
    assert retain(log, timedelta(days=400), by="kim").keys == 1  # that of the day of the reason
    assert log.vault.keys.existing([log.vault.pseudonym("ann")])
    assert [problem.seq for problem in verify(log.engine, log.vkey).problems] == [1, 1]


def test_the_key_of_a_day_goes_with_its_last_content(log: Log, reader: Reader, clock: Clock) -> None:
    one, two = say(log, None, "one"), say(log, None, "two")
    clock.now += timedelta(days=1)
    other = say(log, None, "other")
    days = ["d:2026-01-10", "d:2026-01-11"]
    assert erase_entries(log, WHY, entry=one).keys == 0
    assert log.vault.keys.existing(days) == days
    assert erase_entries(log, WHY, entry=two).keys == 1
    assert log.vault.keys.existing(days) == days[1:]
    done = erase_entries(log, WHY, entry=other)  # of the day that it is
    assert (done.keys, log.vault.keys.existing(days)) == (1, [])
    assert reader.body(done.entries[0], "reason") == Text(WHY.reason)  # reasons have keys of their own
    again = say(log, None, "again")
    assert reader.body(again, "prompt") == Text("again of None")
    checked(log)


def test_the_database_knows_whose_key_sealed_what(log: Log) -> None:
    kinds = ("generation", "ruling", "policy", *sorted(KEPT))
    log.append([
        Draft(kind, None, {}, {"output": Text("x")}, subject)
        for kind in kinds
        for subject in (None, log.vault.pseudonym("ann"))
    ])  # fmt: skip
    with reading(log.engine) as connection:
        for leaf, ref in connection.execute(select(LogEntry.leaf, KEY_REF)):
            assert json.loads(leaf)["bodies"]["output"]["key_ref"] == ref


def test_a_hold_that_comes_in_the_middle_of_a_retention_is_heeded(
    log: Log, reader: Reader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seqs = [say(log, who, f"{who}-{number}") for number in range(3) for who in ("ann", "bob")]
    clock.now += timedelta(days=500)
    monkeypatch.setattr(erase, "_BATCH", 4)
    spans = erase._spans

    def slow(log: Log, where: Sequence[Where]) -> Iterator[Where]:
        for number, span in enumerate(spans(log, where)):
            if number == 1:
                hold(log, log.vault.pseudonym("bob"), by="kim", reason="a court asks")
            yield span

    monkeypatch.setattr(erase, "_spans", slow)
    done = retain(log, timedelta(days=400), by="kim")
    assert (done.of, done.keys) == (4, 1)
    assert [reader.body(seq, "prompt") is None for seq in seqs] == [True, True, True, False, True, False]
    checked(log)


# --- nothing is left -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    engine = open_engine(f"sqlite:///{tmp_path / 'guard.db'}")
    upgrade(engine)
    engine.dispose()
    return tmp_path


@pytest.fixture
def crowd(folder: Path) -> Iterator[Log]:
    """A file with some thousands of entries of many people."""
    engine = open_engine(f"sqlite:///{folder / 'guard.db'}")
    log, chance = Log(engine, KeyRing(folder / "keys")), random.Random(2)
    drafts = []
    for number in range(3000):
        who = f"user-{chance.randrange(50)}"
        bodies = {"prompt": Text(f"{number} {who}"), "output": Text(f"{number} " * chance.randrange(1, 600))}
        drafts.append(Draft("generation", f"r{number}", {}, bodies, log.vault.pseudonym(who)))
    for start in range(0, 3000, 25):
        log.append(drafts[start : start + 25])
    yield log
    engine.dispose()


def stored(log: Log, subject: str) -> list[bytes]:
    """The ends of every stored value of a subject."""
    columns = (LogBody.ciphertext, LogBody.wrapped_key, LogBody.lookup)
    query = select(*columns).join(LogEntry, LogEntry.seq == LogBody.seq).where(LogEntry.subject == subject)
    with reading(log.engine) as connection:
        values = {value for row in connection.execute(query) for value in row}
    return sorted({part for value in values for part in ends(value)})


def left(parts: list[bytes], folder: Path) -> int:
    return len(present(folder.glob("guard.db*"), parts))


@pytest.mark.parametrize("whole", [True, False])
def test_no_byte_of_erased_content_is_left_in_the_files(
    crowd: Log, folder: Path, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the file is made anew or, as where it is large, the index that had been split."""
    if not whole:
        monkeypatch.setattr("guard.store.engine._COMPACT_BELOW", 0)
    parts: list[bytes] = []
    for number in range(2, 40):  # one after the other, so that rows which moved for one are gone with the next
        subject = crowd.vault.pseudonym(f"user-{number}")
        parts += stored(crowd, subject)
        assert erase_subject(crowd, subject, WHY).scrubbed
    assert len(parts) > 2000
    assert left(parts, folder) == 0
    others = stored(crowd, crowd.vault.pseudonym("user-1"))
    assert left(others, folder) == len(others)  # the search itself finds what is there
    assert (folder / "guard.db-wal").stat().st_size == 0
    assert verify(crowd.engine, crowd.vkey, vault=crowd.vault).problems == ()


def test_a_backup_opens_nothing_after_the_key_is_destroyed(crowd: Log, folder: Path) -> None:
    ann, bob = crowd.vault.pseudonym("user-3"), crowd.vault.pseudonym("user-4")
    with closing(sqlite3.connect(folder / "guard.db")) as source, closing(sqlite3.connect(folder / "old.db")) as backup:
        source.backup(backup)
    key = crowd.vault.keys.key(ann, create=False)
    assert key is not None
    erase_subject(crowd, ann, WHY)
    assert not [path for path in folder.rglob("*") if path.is_file() and key in path.read_bytes()]
    old = open_engine(f"sqlite:///{folder / 'old.db'}")
    restored = Reader(old, Log(old, KeyRing(folder / "keys")).vault)
    hers, his = restored.latest(500, subject=ann), restored.latest(500, subject=bob)
    assert hers
    assert his
    for found in hers:
        with pytest.raises(EvidenceError, match="was erased"):
            restored.body(found.seq, "prompt")
    for found in his:
        assert restored.body(found.seq, "prompt") is not None
    old.dispose()


DYING = """
import os, signal, sys
from pathlib import Path
from guard.audit.erase import Why, erase_subject
from guard.audit.keystore import LocalKeys
from guard.audit.log import Log
from guard.audit.vault import Vault
from guard.keys import KeyRing
from guard.store.engine import open_engine

class Dying(LocalKeys):
    def destroy(self, refs):
        if refs:
            os.kill(os.getpid(), signal.SIGKILL)

url, folder = sys.argv[1], Path(sys.argv[2])
keys = KeyRing(folder)
log = Log(open_engine(url), keys, vault=Vault(keys, Dying(folder / "subjects")))
erase_subject(log, log.vault.pseudonym("ann"), Why("kim", "asked"))
"""


def test_a_crash_before_the_key_is_destroyed_is_finished_by_a_second_run(
    url: str, log: Log, reader: Reader, keys: KeyRing
) -> None:
    for number in range(3):
        say(log, "ann", f"a{number}")
    died = subprocess.run([sys.executable, "-c", DYING, url, str(keys.folder)], check=False)
    assert died.returncode == -signal.SIGKILL
    ann = log.vault.pseudonym("ann")
    assert log.vault.keys.existing([ann])
    assert [reader.body(seq, "prompt") for seq in range(3)] == [None] * 3
    assert checked(log).size == 4
    again = erase_subject(log, ann, WHY)
    assert (again.bodies, again.keys, again.entries) == (0, 1, ())
    assert not log.vault.keys.existing([ann])
    assert checked(log).size == 4


# --- retention -----------------------------------------------------------------------------------------------------


def test_retention_erases_by_age_but_for_holds_and_policies(log: Log, reader: Reader, clock: Clock) -> None:
    log.append([Draft("policy", "digest", {}, {"policy": Text("the policy")})])
    old = [say(log, who, f"old {who}") for who in ("ann", "bob", None)]
    clock.now += timedelta(days=1)
    hold(log, log.vault.pseudonym("bob"), by="kim", reason="a court asks")
    clock.now += timedelta(days=299)
    new = [say(log, who, f"new {who}") for who in ("ann", "cy", None)]
    clock.now += timedelta(days=101)
    size = reader.size()
    dry = retain(log, timedelta(days=400), by="kim", dry_run=True)
    assert (dry.bodies, dry.of, reader.size()) == (4, 2, size)  # of ann and of nobody
    done = retain(log, timedelta(days=400), by="kim")
    assert (done.bodies, done.of, done.keys) == (4, 2, 1)  # the day's key; ann still has newer content
    assert [reader.body(seq, "prompt") is None for seq in (*old, *new)] == [True, False, True, False, False, False]
    assert reader.body(0, "policy") == Text("the policy")
    fields = entry(reader, done.entries[0])
    assert (fields["code"], fields["older_than_days"], fields["subject"]) == ("retention", 400, None)
    assert not log.vault.keys.existing(["d:2026-01-10"])
    assert retain(log, timedelta(days=400), by="kim") == Done()
    checked(log)
    clock.now += timedelta(days=300)
    assert retain(log, timedelta(days=400), by="kim").keys == 3  # ann, cy, and the day of the others
    assert reader.body(old[1], "prompt") == Text("old bob of bob")
    checked(log)


def test_less_than_six_months_needs_a_reason(log: Log, clock: Clock, reader: Reader) -> None:
    say(log, "ann", "one")
    clock.now += timedelta(days=100)
    with pytest.raises(ConfigError, match="six months"):
        retain(log, timedelta(days=90), by="kim")
    with pytest.raises(CallerError, match="who"):
        retain(log, timedelta(days=400), by="")
    done = retain(log, timedelta(days=90), by="kim", reason="no high-risk system")
    assert done.bodies == 2
    assert reader.body(done.entries[0], "reason") == Text("no high-risk system")


# --- access --------------------------------------------------------------------------------------------------------


def test_reading_content_is_recorded_once_in_ten_minutes(log: Log, reader: Reader, clock: Clock) -> None:
    found = reader.entry(say(log, "ann", "one"))
    assert found is not None

    def note(who: str, *roles: str) -> bool:
        return access.note(log, found, roles, who=who, why="case")

    assert note("kim", "prompt", "output")
    assert not note("kim", "output")
    assert not note("kim")
    assert note("kim", "release")  # that was not recorded yet
    assert note("lee", "prompt")
    clock.now += timedelta(minutes=11)
    assert note("kim", "prompt")
    fields = entry(reader, 1)
    assert (fields["kind"], fields["of"], fields["by"], fields["why"]) == ("access", 0, "kim", "case")
    assert (fields["roles"], fields["request_id"]) == (["output", "prompt"], "one")
    assert fields["subject"] == found.subject
    assert reader.size() == 5


# --- migration -----------------------------------------------------------------------------------------------------


def test_the_column_of_subjects_can_be_dropped_and_made_again(url: str, keys: KeyRing) -> None:
    engine = open_engine(url)
    log = Log(engine, keys)
    say(log, "ann", "one")
    say(log, None, "two")
    downgrade(engine, "0003")
    upgrade(engine)
    with reading(engine) as connection:
        subjects = connection.execute(text("SELECT subject FROM log_entry ORDER BY seq")).scalars().all()
    assert subjects == [log.vault.pseudonym("ann"), None]
    checked(log)
    with pytest.raises(Exception, match="append-only"), writing(engine) as connection:
        connection.execute(text("UPDATE log_entry SET subject = 'x'"))
    erase_entries(log, WHY, entry=0)
    with pytest.raises(ConfigError, match="content was erased"):
        downgrade(engine, "0003")
    checked(log)
    engine.dispose()
