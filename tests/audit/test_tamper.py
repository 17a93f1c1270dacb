"""The attack matrix: whatever is changed in the database, the verifier says so and names the entry."""

from __future__ import annotations

import base64
import json
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from guard.audit import merkle
from guard.audit.checkpoint import Checkpoint, NoteSigner, split_note
from guard.audit.cosign import Cosigner
from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.verify import Report, verify
from guard.audit.vouched import Known
from guard.audit.witness import witness_vkeys
from guard.digest import JSON, canonical
from guard.errors import GuardError, NoteError
from guard.keys import KeyRing
from guard.options import WitnessSpec
from guard.store.engine import open_engine, upgrade
from guard.types import Content, Text
from tests.audit.readers import is_sound

ENTRIES = 40
MUTATIONS = 3000
TABLES = ("log_head", "log_entry", "log_body", "log_tile", "log_checkpoint", "log_cosignature")
BATCHES = (1, 1, 7, 1, 12, 1, 9, 1, 6, 1)
SIGNED = 3  # the checkpoints that the witness signed: after the batches of more than six entries


def drafts(first: int, count: int, word: str = "entry") -> list[Draft]:
    made = []
    for number in range(first, first + count):
        state = ("released", "held", "blocked")[number % 3]
        bodies: dict[str, Content] = {"prompt": Text(f"{word} {number}")} if number % 2 else {}
        if number % 5 == 0:
            made.append(Draft("policy", None if number % 2 else f"p{number}", {"policy": {"name": "p"}}, bodies))
        else:
            fields: dict[str, JSON] = {"state": state, "decision": {"action": "allow", "rules": [word]}}
            made.append(Draft("generation", f"request-{number}", fields, bodies))
    return made


@dataclass
class Copy:
    """A record in memory that is put back to its pristine state after each attack."""

    engine: Engine
    pristine: sqlite3.Connection
    database: sqlite3.Connection
    vkey: str
    keys: KeyRing
    log: Log
    known: Known

    def restore(self) -> None:
        self.pristine.backup(self.database)

    def verify(self, against: str | None = None, vault: bool = False) -> Report:
        report = verify(
            self.engine, self.vkey, against=against, known=self.known, vault=self.log.vault if vault else None
        )
        if not vault and report.size:  # the quick look says yes where the careful one finds nothing
            assert is_sound(self.engine, self.vkey, against, self.known) == report.ok
        return report

    def value(self, query: str, *parameters: object) -> Any:
        return self.database.execute(query, parameters).fetchone()[0]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file made by the ordinary writer."""
    folder = tmp_path_factory.mktemp("record")
    engine = open_engine(f"sqlite:///{folder / 'guard.db'}")
    upgrade(engine)
    log = Log(engine, KeyRing(folder / "keys"), spacing=1, witness=WitnessSpec(str(folder / "witness")))
    size = 0
    for batch in BATCHES:
        log.append(drafts(size, batch))
        size += batch
        if batch > 6:
            log.publish()
    assert size == ENTRIES
    engine.dispose()
    return folder


def load(folder: Path) -> Copy:
    engine = open_engine("sqlite://")
    database = cast("sqlite3.Connection", engine.raw_connection().driver_connection)
    pristine = sqlite3.connect(":memory:", isolation_level=None)
    with closing(sqlite3.connect(folder / "guard.db")) as source:
        source.backup(pristine)
    # Whoever edits the file is bound by no trigger and no constraint.
    pristine.executescript("DROP TRIGGER log_entry_no_update; DROP TRIGGER log_entry_no_delete")
    pristine.backup(database)
    database.execute("PRAGMA foreign_keys = OFF")
    keys = KeyRing(folder / "keys")
    log = Log(engine, keys)
    known = Known(witness_vkeys(WitnessSpec(str(folder / "witness"))))
    return Copy(engine, pristine, database, log.vkey, keys, log, known)


@pytest.fixture(scope="module")
def shared(original: Path) -> Iterator[Copy]:
    copy = load(original)
    yield copy
    copy.pristine.close()
    copy.engine.dispose()


@pytest.fixture
def copy(shared: Copy) -> Copy:
    shared.restore()
    return shared


def test_the_untouched_copy_holds(copy: Copy) -> None:
    report = copy.verify(vault=True)
    assert (report.ok, report.size, report.first_broken) == (True, ENTRIES, None)
    assert (report.vouched, report.unchecked) == (SIGNED, 0)
    assert verify(copy.engine, copy.vkey).unchecked == SIGNED  # by somebody, as far as this reader knows


def flipped(value: object, chance: random.Random) -> object:
    """The value with one bit flipped, of the same storage class where that is possible."""
    if isinstance(value, int):
        bit = 1 << chance.choice([*range(12), chance.randrange(63)])
        return value ^ bit
    data = bytearray(value.encode("utf-8", "surrogateescape") if isinstance(value, str) else cast("bytes", value))
    if not data:
        data = bytearray(1)
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def bound(column: str, text: bool) -> str:
    return f"{column} = CAST(? AS TEXT)" if text else f"{column} = ?"


def mutate(copy: Copy, column: str, seq: int, chance: random.Random) -> None:
    """One bit of one cell; where the cell is empty or may be, sometimes its presence instead."""
    value = copy.value(f"SELECT {column} FROM log_entry WHERE seq = ?", seq)
    if value is None:
        new: object = chance.choice(["", "x", "released"])
    elif column in ("request_id", "state", "action") and chance.random() < 0.15:
        new = None
    else:
        new = flipped(value, chance)
    text = isinstance(value, str) or (value is None and new is not None)
    copy.database.execute(f"UPDATE log_entry SET {bound(column, text)} WHERE seq = ?", (new, seq))


def test_any_flipped_bit_of_any_entry_is_found_and_named(copy: Copy) -> None:
    """Thousands of mutations, four entries at a time: exactly those four must be named, whatever the column."""
    chance = random.Random(20261123)
    columns = [row[1] for row in copy.database.execute("PRAGMA table_info(log_entry)")]
    columns.remove("seq")
    tried = dict.fromkeys(columns, 0)
    while sum(tried.values()) < MUTATIONS:
        seqs = chance.sample(range(ENTRIES), 4)
        for seq in seqs:
            column = min(tried, key=lambda name: tried[name])
            tried[column] += 1
            mutate(copy, column, seq, chance)
        report = copy.verify()
        assert {problem.seq for problem in report.problems} == set(seqs)
        assert (report.ok, report.first_broken) == (False, min(seqs))
        copy.restore()


def test_any_flipped_bit_of_a_number_is_found_and_named(copy: Copy) -> None:
    chance = random.Random(4)
    for _ in range(150):
        seq = chance.randrange(ENTRIES)
        try:
            mutate(copy, "seq", seq, chance)
        except sqlite3.IntegrityError:  # the number of another entry: see the test of swaps
            continue
        report = copy.verify()
        assert not report.ok
        assert seq in {problem.seq for problem in report.problems}
        copy.restore()


@pytest.mark.parametrize("table", ["log_body", "log_head", "log_tile", "log_checkpoint"])
def test_any_flipped_bit_beside_the_entries_is_found(copy: Copy, table: str) -> None:
    chance = random.Random(table)
    columns = [row[1] for row in copy.database.execute(f"PRAGMA table_info({table})")]
    rows = [row[0] for row in copy.database.execute(f"SELECT rowid FROM {table}")]
    for number in range(120):
        column, row = columns[number % len(columns)], chance.choice(rows)
        value = copy.value(f"SELECT {column} FROM {table} WHERE rowid = ?", row)
        seq = copy.value("SELECT seq FROM log_body WHERE rowid = ?", row) if table == "log_body" else None
        new = "2026-11-23" if value is None else flipped(value, chance)
        text = isinstance(value, str) or value is None
        try:
            copy.database.execute(f"UPDATE {table} SET {bound(column, text)} WHERE rowid = ?", (new, row))
        except sqlite3.IntegrityError:
            continue
        report = copy.verify()
        assert not report.ok, (column, row, value, new)
        if table == "log_body":
            assert seq in {problem.seq for problem in report.problems}
        copy.restore()


@pytest.mark.parametrize("column", ["id", "kind", "occurred_at", "request_id", "state", "action", "leaf_hash", "leaf"])
def test_swapping_a_column_of_two_entries_names_both(copy: Copy, column: str) -> None:
    copy.database.execute("CREATE TEMP TABLE swap AS SELECT * FROM log_entry WHERE seq IN (16, 37)")
    copy.database.execute("UPDATE log_entry SET id = id || '-' WHERE seq IN (16, 37)")
    for seq, other in ((16, 37), (37, 16)):
        values = f"SELECT {column} FROM temp.swap WHERE seq = {other}"
        copy.database.execute(f"UPDATE log_entry SET {column} = ({values}) WHERE seq = {seq}")
        if column != "id":
            copy.database.execute(
                f"UPDATE log_entry SET id = (SELECT id FROM temp.swap WHERE seq = {seq}) WHERE seq = {seq}"
            )
    changed = copy.value(
        f"SELECT count(*) FROM temp.swap s JOIN log_entry e USING (seq) WHERE e.{column} IS NOT s.{column}"
    )
    copy.database.execute("DROP TABLE temp.swap")
    report = copy.verify()
    if changed:
        assert {problem.seq for problem in report.problems} == {16, 37}
    else:
        assert column in ("kind", "action", "state")
        assert report.ok


def test_swapping_two_whole_entries_names_both(copy: Copy) -> None:
    for old, new in ((16, -1), (37, 16), (-1, 37)):
        copy.database.execute("UPDATE log_entry SET seq = ? WHERE seq = ?", (new, old))
        copy.database.execute("UPDATE log_body SET seq = ? WHERE seq = ?", (new, old))
    report = copy.verify()
    assert {16, 37} <= {problem.seq for problem in report.problems}
    assert report.first_broken == 16


def test_swapping_two_bodies_names_both(copy: Copy) -> None:
    for old, new in ((11, -1), (33, 11), (-1, 33)):
        copy.database.execute("UPDATE log_body SET seq = ? WHERE seq = ?", (new, old))
    assert {problem.seq for problem in copy.verify().problems} == {11, 33}


def test_resealing_a_body_is_found(copy: Copy) -> None:
    """Whoever holds the keys can seal other content, but not into an entry that was signed."""
    entry_id = copy.value("SELECT id FROM log_entry WHERE seq = 11")
    facts = json.loads(copy.value("SELECT leaf FROM log_entry WHERE seq = 11"))["bodies"]["prompt"]
    [sealed] = copy.log.vault.seal({"prompt": Text("never said")}, entry_id=entry_id, key_ref=facts["key_ref"]).values()
    copy.database.execute(
        "UPDATE log_body SET ciphertext = ?, wrapped_key = ?, lookup = ? WHERE seq = 11",
        (sealed.ciphertext, sealed.wrapped_key, sealed.lookup),
    )
    assert {problem.seq for problem in copy.verify().problems} == {11}


def test_quietly_erasing_a_body_is_found(copy: Copy) -> None:
    for change in (
        "UPDATE log_body SET ciphertext = NULL, wrapped_key = NULL, lookup = NULL, erased_at = '2026' WHERE seq = 11",
        "UPDATE log_body SET lookup = NULL WHERE seq = 11",
        "DELETE FROM log_body WHERE seq = 11",
        "UPDATE log_body SET role = 'output' WHERE seq = 11",
    ):
        copy.database.execute(change)
        assert {problem.seq for problem in copy.verify().problems} == {11}
        copy.restore()


def test_a_body_that_no_entry_names_is_found(copy: Copy) -> None:
    for seq in (2, 11, ENTRIES + 5, -3):
        copy.database.execute("INSERT INTO log_body (seq, role) VALUES (?, 'release')", (seq,))
        assert {problem.seq for problem in copy.verify().problems} == {seq}
        copy.restore()


@pytest.mark.parametrize("seq", [0, 1, 17, ENTRIES - 2, ENTRIES - 1])
def test_a_deleted_entry_is_named(copy: Copy, seq: int) -> None:
    copy.database.execute("DELETE FROM log_entry WHERE seq = ?", (seq,))
    assert copy.verify().first_broken == seq


@pytest.mark.parametrize("seq", [0, 17, ENTRIES - 1])
def test_a_deleted_entry_is_named_even_when_the_rest_moves_up(copy: Copy, seq: int) -> None:
    copy.database.execute("DELETE FROM log_body WHERE seq = ?", (seq,))
    copy.database.execute("DELETE FROM log_entry WHERE seq = ?", (seq,))
    for table in ("log_entry", "log_body"):
        copy.database.execute(f"UPDATE {table} SET seq = -seq WHERE seq > ?", (seq,))
        copy.database.execute(f"UPDATE {table} SET seq = -seq - 1 WHERE seq < 0")
    assert copy.verify().first_broken == seq


@pytest.mark.parametrize("at", [0, 17, ENTRIES, ENTRIES + 1])
def test_an_inserted_entry_is_named(copy: Copy, at: int) -> None:
    for table in ("log_entry", "log_body"):
        copy.database.execute(f"UPDATE {table} SET seq = -seq - 1 WHERE seq >= ?", (at,))
        copy.database.execute(f"UPDATE {table} SET seq = -seq WHERE seq < 0")
    leaf = canonical(
        {"v": 1, "id": "new", "kind": "check", "at": "2026-11-23T00:00:00.000000Z", "request_id": None, "bodies": {}}
    )
    copy.database.execute(
        "INSERT INTO log_entry (seq, id, kind, occurred_at, leaf_hash, leaf) VALUES (?, 'new', 'check', ?, ?, ?)",
        (at, "2026-11-23T00:00:00.000000Z", merkle.leaf_hash(leaf), leaf),
    )
    report = copy.verify()
    assert not report.ok
    assert report.first_broken == min(at, ENTRIES)


def rebuild_tree(copy: Copy) -> None:
    """What an attacker with the database, but without the log's key, can make fit."""
    tree = merkle.CompactRange()
    hashes = [row[0] for row in copy.database.execute("SELECT leaf_hash FROM log_entry ORDER BY seq")]
    for hashed in hashes:
        tree.append(hashed)
    copy.database.execute("UPDATE log_head SET size = ?, peaks = ?", (tree.size, b"".join(tree.peaks)))
    copy.database.execute("DELETE FROM log_tile")
    for (level, index), tile in merkle.grow(0, {}, hashes).items():
        copy.database.execute("INSERT INTO log_tile VALUES (?, ?, ?)", (level, index, tile))


def edit_leaf(copy: Copy, seq: int) -> None:
    leaf = copy.value("SELECT leaf FROM log_entry WHERE seq = ?", seq).replace(b'"entry"', b'"other"')
    copy.database.execute(
        "UPDATE log_entry SET leaf = ?, leaf_hash = ? WHERE seq = ?", (leaf, merkle.leaf_hash(leaf), seq)
    )


@pytest.mark.parametrize("seq", [1, 16, 37])
def test_an_edit_with_its_hash_recomputed_is_named_by_the_tiles(copy: Copy, seq: int) -> None:
    edit_leaf(copy, seq)
    assert {problem.seq for problem in copy.verify().problems} == {seq}


@pytest.mark.parametrize(("seq", "batch"), [(1, 1), (16, 10), (21, 10), (31, 23), (32, 32), (39, 39)])
def test_an_edit_with_the_whole_tree_recomputed_is_narrowed_down_by_the_checkpoints(
    copy: Copy, seq: int, batch: int
) -> None:
    edit_leaf(copy, seq)
    rebuild_tree(copy)
    report = copy.verify()
    assert not report.ok
    assert report.first_broken == batch  # the first entry of the append that it was part of


def sign_everything(copy: Copy) -> None:
    """What an attacker can do who also stole the log's key."""
    signer = NoteSigner("genguard", copy.keys.signing_key("log"))
    tree = merkle.CompactRange()
    sizes = {row[0] for row in copy.database.execute("SELECT size FROM log_checkpoint")}
    copy.database.execute("DELETE FROM log_checkpoint")
    for (hashed,) in copy.database.execute("SELECT leaf_hash FROM log_entry ORDER BY seq").fetchall():
        tree.append(hashed)
        if tree.size in sizes:
            note = signer.sign(Checkpoint("genguard", tree.size, tree.root()).text)
            copy.database.execute("INSERT INTO log_checkpoint VALUES (?, ?, ?)", (tree.size, tree.root(), note))


def test_a_rewrite_with_the_stolen_key_is_found_by_whoever_kept_a_checkpoint(copy: Copy) -> None:
    kept = copy.value("SELECT note FROM log_checkpoint WHERE size = 22")
    edit_leaf(copy, 16)
    rebuild_tree(copy)
    sign_everything(copy)
    assert "genguard-witness" in str(
        copy.verify().problems[0]
    )  # whose stored word the thief cannot rewrite, only remove
    copy.database.execute("DELETE FROM log_cosignature")
    assert copy.verify().ok  # nothing inside one database can show this: that is what kept checkpoints are for
    report = copy.verify(against=kept)
    assert not report.ok
    assert "history was rewritten" in str(report.problems[0])
    assert copy.verify(against=copy.value("SELECT note FROM log_checkpoint WHERE size = 9")).ok


@pytest.mark.parametrize("size", [0, 22, 39])
def test_a_cut_tail_is_found_by_whoever_kept_a_checkpoint(copy: Copy, size: int) -> None:
    kept = copy.value("SELECT note FROM log_checkpoint WHERE size = ?", ENTRIES)
    for table, column in (("log_body", "seq"), ("log_entry", "seq")):
        copy.database.execute(f"DELETE FROM {table} WHERE {column} >= ?", (size,))
    assert copy.verify().first_broken == size
    copy.database.execute("DELETE FROM log_checkpoint WHERE size > ?", (size,))
    copy.database.execute("DELETE FROM log_cosignature WHERE size > ?", (size,))
    assert copy.verify().first_broken == size
    rebuild_tree(copy)
    assert copy.verify().ok  # an honest log of that size looks just like this
    report = copy.verify(against=kept)
    assert (report.ok, report.first_broken) == (False, size)
    assert "cut tail" in str(report.problems[0])


def test_an_old_backup_and_a_fork_are_found(copy: Copy) -> None:
    copy.log.append(drafts(50, 3))
    kept = copy.value("SELECT note FROM log_checkpoint ORDER BY size DESC LIMIT 1")
    copy.restore()
    assert copy.verify().ok
    assert not copy.verify(against=kept).ok
    copy.log.append(drafts(50, 5, "another"))  # the same log, the same key, another continuation
    assert copy.verify().ok
    assert not copy.verify(against=kept).ok


def test_a_checkpoint_of_another_log_is_no_comparison(copy: Copy, tmp_path: Path) -> None:
    signer = NoteSigner("genguard", KeyRing(tmp_path).signing_key("log"))
    with pytest.raises(NoteError):
        copy.verify(against=signer.sign(Checkpoint("genguard", 1, bytes(32)).text))
    assert not verify(copy.engine, signer.vkey).ok  # nor does another key fit this log


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("line = (SELECT line FROM log_cosignature WHERE size = 9)", "does not match"),
        ("line = :forged", "by another key"),
        ("line = :retimed", "does not match"),
        ("line = :stranger", "it is by 'w.example'"),
        ("line = :stranger, witness = 'another'", "it is by 'w.example'"),
        ("line = ''", "not one signature line"),
        ("line = line || line", "not one signature line"),
        ("line = replace(line, char(10), '')", "not one signature line"),
        ("line = 'nonsense' || char(10)", "malformed"),
        ("line = replace(line, ' ', '  ')", "malformed"),
        ("witness = 'another'", "it is by 'genguard-witness"),
        ("size = 1", "does not match"),
        ("size = 5000", "no such checkpoint"),
    ],
)
def test_a_stored_cosignature_that_is_forged_moved_or_malformed_is_named(copy: Copy, change: str, words: str) -> None:
    text = split_note(copy.value("SELECT note FROM log_checkpoint WHERE size = 22"))[0]
    name = copy.value("SELECT witness FROM log_cosignature WHERE size = 22")
    stored = base64.b64decode(copy.value("SELECT line FROM log_cosignature WHERE size = 22").split(" ")[2])
    retimed = stored[:11] + bytes([stored[11] ^ 1]) + stored[12:]
    lines = {
        "forged": Cosigner(name, Ed25519PrivateKey.generate()).sign(text, 1),
        "retimed": f"\u2014 {name} {base64.b64encode(retimed).decode()}\n",
        "stranger": Cosigner("w.example", Ed25519PrivateKey.generate()).sign(text, 1),
    }
    copy.database.execute(f"UPDATE log_cosignature SET {change} WHERE size = 22", lines)
    report = copy.verify()
    assert (report.ok, report.first_broken, len(report.problems)) == (False, None, 1)
    assert words in str(report.problems[0])
    assert re.search(r"under the checkpoint at (22|1|5000) entries", str(report.problems[0]))


def test_a_cosignature_by_a_stranger_is_counted_and_not_believed(copy: Copy) -> None:
    text = split_note(copy.value("SELECT note FROM log_checkpoint WHERE size = 22"))[0]
    line = Cosigner("w.example", Ed25519PrivateKey.generate()).sign(text, 1)
    copy.database.execute("INSERT INTO log_cosignature VALUES (22, 'w.example', ?)", (line,))
    report = copy.verify()
    assert (report.ok, report.vouched, report.unchecked) == (True, SIGNED, 1)


@pytest.mark.parametrize("size", [1, 22, ENTRIES])
def test_checkpoints_cannot_be_forged_moved_or_dropped_unseen(copy: Copy, size: int) -> None:
    forged = NoteSigner("genguard", Ed25519PrivateKey.generate()).sign(Checkpoint("genguard", size, bytes(32)).text)
    changes: list[tuple[str, tuple[object, ...]]] = [
        ("UPDATE log_checkpoint SET note = ? WHERE size = ?", (forged, size)),
        ("UPDATE log_checkpoint SET root = ? WHERE size = ?", (bytes(32), size)),
        ("UPDATE log_checkpoint SET size = 5 WHERE size = ?", (size,)),
        ("UPDATE log_checkpoint SET size = -5 WHERE size = ?", (size,)),
        ("UPDATE log_checkpoint SET size = 500 WHERE size = ?", (size,)),
        ("UPDATE log_checkpoint SET note = (SELECT note FROM log_checkpoint WHERE size = 9) WHERE size = ?", (size,)),
    ]
    for change, parameters in changes:
        copy.database.execute(change, parameters)
        assert not copy.verify().ok, change
        copy.restore()
    copy.database.execute("DELETE FROM log_checkpoint WHERE size = ?", (size,))
    copy.database.execute("DELETE FROM log_cosignature WHERE size = ?", (size,))
    report = copy.verify()
    assert report.ok == (size != ENTRIES)  # older checkpoints may be thinned out; the newest must be there
    if size == ENTRIES:
        assert report.first_broken == 39


def test_heads_and_tiles_cannot_be_added_or_dropped(copy: Copy) -> None:
    for change in (
        "DELETE FROM log_head",
        "INSERT INTO log_head VALUES ('second', 0, x'')",
        "UPDATE log_head SET origin = 'other'",
        "UPDATE log_head SET size = size - 1",
        "UPDATE log_head SET peaks = zeroblob(64)",
        "DELETE FROM log_tile",
        "INSERT INTO log_tile VALUES (1, 0, zeroblob(32))",
        "INSERT INTO log_tile VALUES (0, 9, zeroblob(32))",
        "UPDATE log_tile SET hashes = x''",
    ):
        copy.database.execute(change)
        assert not copy.verify().ok, change
        copy.restore()


def loosen(copy: Copy) -> None:
    """Make the tables take any type, as somebody with an editor for SQLite files can."""
    copy.database.execute("PRAGMA writable_schema = ON")
    copy.database.execute(
        "UPDATE sqlite_master SET sql = replace(replace(sql, ' STRICT', ''), 'NOT NULL', '') WHERE type = 'table'"
    )
    copy.database.execute("PRAGMA writable_schema = RESET")


WRONG = [None, 5, -1, 1.5, float("inf"), "", "text", b"", b"\xff\xfe", b"[]", b'{"v":1}', b"[" * 60_000, "2" * 70_000]


@pytest.mark.parametrize("table", TABLES)
def test_cells_of_a_wrong_type_are_tampering_and_never_a_crash(copy: Copy, table: str) -> None:
    loosen(copy)
    assert copy.verify().ok
    columns = [row[1] for row in copy.database.execute(f"PRAGMA table_info({table})")]
    for column in columns:
        for wrong in WRONG:
            row = 1 if table == "log_head" else 2
            copy.database.execute(f"CREATE TEMP TABLE before AS SELECT * FROM {table}")
            try:
                copy.database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (wrong, row))
            except sqlite3.Error:  # a rowid stays a number whatever the schema says
                copy.database.execute("DROP TABLE temp.before")
                continue
            same = copy.value(f"SELECT count(*) FROM (SELECT * FROM {table} EXCEPT SELECT * FROM temp.before)") == 0
            copy.database.execute("DROP TABLE temp.before")
            assert copy.verify(vault=True).ok is same, (column, wrong)
            copy.restore()
            loosen(copy)


def test_an_index_that_hides_an_entry_is_found(copy: Copy) -> None:
    """Searching trusts the indexes, so the verifier asks the database whether they agree with the tables."""
    copy.database.execute("PRAGMA writable_schema = ON")
    copy.database.execute("DELETE FROM sqlite_master WHERE name = 'ix_log_entry_request_id'")
    copy.database.execute("PRAGMA writable_schema = RESET")
    copy.database.execute("CREATE INDEX hidden ON log_entry (request_id) WHERE request_id != 'request-16'")
    copy.database.execute("PRAGMA writable_schema = ON")
    copy.database.execute(
        "UPDATE sqlite_master SET name = 'ix_log_entry_request_id',"
        " sql = 'CREATE INDEX ix_log_entry_request_id ON log_entry (request_id)' WHERE name = 'hidden'"
    )
    copy.database.execute("PRAGMA writable_schema = RESET")
    query = "SELECT count(*) FROM log_entry INDEXED BY ix_log_entry_request_id WHERE request_id = 'request-16'"
    assert copy.value(query) == 0
    report = copy.verify()
    assert not report.ok
    assert "damaged" in str(report.problems[0])


def contents(path: Path) -> dict[str, list[Any]] | None:
    with closing(sqlite3.connect(path)) as database:
        database.text_factory = bytes
        return {table: database.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}


def test_bytes_flipped_in_the_file_are_found_or_change_nothing(original: Path, tmp_path: Path) -> None:
    """Raw damage below SQL: the verifier reports it, or the bytes meant nothing. It never crashes."""
    data = (original / "guard.db").read_bytes()
    pristine = contents(original / "guard.db")
    vkey = NoteSigner("genguard", KeyRing(original / "keys").signing_key("log")).vkey
    known = Known(witness_vkeys(WitnessSpec(str(original / "witness"))))
    chance = random.Random(3)
    path = tmp_path / "flipped.db"
    verdicts = {"found": 0, "refused": 0, "harmless": 0}
    pages = len(data) // 4096
    for number in range(200):
        changed = bytearray(data)
        at = 4096 * (number % pages) + chance.randrange(4096) if number % 3 else chance.randrange(len(data))
        changed[at] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        engine = open_engine(f"sqlite:///{path}")
        try:
            report = verify(engine, vkey, known=known)
            verdict = "harmless" if report.ok else "found"
        except GuardError:
            verdict = "refused"
        finally:
            engine.dispose()
        if verdict == "harmless":
            assert contents(path) == pristine, at
        verdicts[verdict] += 1
        for leftover in ("flipped.db-wal", "flipped.db-shm"):
            (tmp_path / leftover).unlink(missing_ok=True)
    assert verdicts["found"] > 40
    assert verdicts["harmless"] > 0


def test_progress_is_reported(copy: Copy) -> None:
    seen: list[tuple[int, int]] = []
    verify(copy.engine, copy.vkey, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (ENTRIES, ENTRIES)


def test_a_flood_of_problems_is_cut_off(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard.audit.problems.MAX_PROBLEMS", 10)
    copy.database.execute("UPDATE log_entry SET kind = 'x'")
    report = copy.verify()
    assert (len(report.problems), report.first_broken) == (10, 0)
