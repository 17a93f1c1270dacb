"""One person among a hundred thousand entries is erased: what the files then hold, and a backup made before.

A tenth of them on PostgreSQL, whose files keep what was sealed whatever their number.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Engine, func, select, text
from typer.testing import CliRunner

from guard import review
from guard.audit import merkle
from guard.audit.draft import Draft
from guard.audit.log import Appended, Log
from guard.audit.read import Reader
from guard.audit.receipt import verify_receipt
from guard.audit.tree import newest_checkpoint, parse_checkpoint
from guard.audit.verify import verify
from guard.cli import audit
from guard.digest import JSON, sha256, subkey
from guard.errors import EvidenceError
from guard.keys import KeyRing
from guard.provenance.fingerprint import stamped
from guard.provenance.fingerprint import text as fingerprint
from guard.provenance.registry import Registry
from guard.store.engine import open_engine, reading
from guard.store.tables import LogBody, LogEntry, LogName, LogTile
from guard.types import Content, Receipt, Stamp, Text
from tests.audit.residue import Needle, confirming, ends, present, written

ENTRIES, HERS, OTHERS, AT_ONCE = {"sqlite": 100_000, "postgresql": 10_000}, 400, 200, 1000
ANN = "ann@example.org"


def words(chance: random.Random, count: int) -> str:
    """A text that occurs nowhere else."""
    return " ".join("".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(count))


@dataclass
class Place:
    """Where a database keeps its bytes: SQLite's file with its log, or what a server has of it, with its log since a moment."""

    engine: Engine
    since: str

    @classmethod
    def of(cls, engine: Engine) -> Place:
        if engine.dialect.name == "sqlite":
            return cls(engine, "")
        with reading(engine) as connection:
            return cls(engine, connection.execute(text("SELECT pg_walfile_name(pg_current_wal_lsn())")).scalar_one())

    def files(self) -> list[Path]:
        """As they are now."""
        if self.engine.dialect.name == "sqlite":
            source = Path(str(self.engine.url.database))
            return sorted(source.parent.glob(f"{source.name}*"))
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CHECKPOINT"))
            where = text(
                "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()"
            )
            base, oid = connection.execute(where).one()
        if not Path(base).is_dir():
            pytest.skip("the files of this PostgreSQL are on another machine")
        log = [path for path in Path(base, "pg_wal").iterdir() if path.is_file() and path.name >= self.since]
        return [*files(Path(base, "base", str(oid))), *sorted(log)]


@dataclass
class Crowd:
    """A record of many people, what Ann said in it, and where it lies."""

    log: Log
    said: dict[int, dict[str, str]]  # by entry and role
    receipts: dict[int, Receipt]
    place: Place


@pytest.fixture
def crowd(engine: Engine, keys: KeyRing) -> Crowd:
    place, log, chance = Place.of(engine), Log(engine, keys), random.Random(17)
    people, count = [log.vault.pseudonym(f"user-{number}") for number in range(OTHERS)], ENTRIES[engine.dialect.name]
    ann, hers = log.vault.pseudonym(ANN), set(chance.sample(range(count), HERS))
    said: dict[int, dict[str, str]] = {}
    for start in range(0, count, AT_ONCE):
        drafts = []
        for seq in range(start, start + AT_ONCE):
            bodies: dict[str, Content] = {"output": Text(f"answer {seq}")}
            if seq in hers:
                long = 2000 if len(said) % 100 == 0 else chance.randrange(4, 60)
                said[seq] = {"prompt": words(chance, 4), "output": words(chance, long)}
                bodies = {role: Text(told) for role, told in said[seq].items()}
                bodies |= stamped(bodies["output"], Stamp("", ())).traces
            who = ann if seq in hers else chance.choice(people)
            fields: dict[str, JSON] = {"state": "released", "stamp": {"layers": [marked(seq)]} if seq in hers else None}
            drafts.append(Draft("generation", f"r{seq}", fields, bodies, who))
        log.append(drafts)
    said |= held(log, ann, chance)
    reader = Reader(engine)
    seqs = [*chance.sample(list(said), 200), *chance.sample(sorted(set(range(count)) - hers), 100)]
    receipts = {seq: receipt for seq in seqs if (receipt := reader.receipt(seq)) is not None}
    return Crowd(log, said, receipts, place)


def marked(seq: int) -> JSON:
    return {"kind": "watermark", "status": "applied", "algorithm": "", "detail": {"mark_id": f"{seq:012x}"}}


def held(log: Log, ann: str, chance: random.Random) -> dict[int, dict[str, str]]:
    """A case about Ann, with a ruling whose reason quotes her."""
    told, reason = {"output": words(chance, 9)}, words(chance, 9)

    def open_case(connection: Connection, appended: Sequence[Appended]) -> None:
        review.open_case(
            connection, case_id="case", seq=appended[0].seq, request_id="held", stage="output", kind="text", severity=3,
            opened_at=log.now(), deadline="2999",
        )  # fmt: skip

    fields: dict[str, JSON] = {"state": "held", "case": "case", "stage": "output"}
    draft = Draft("generation", "held", fields, {"output": Text(told["output"])}, ann)
    seq = log.append([draft], within=open_case)[0].seq
    review.claim(log.engine, log, reviewer="kim", case_id="case")
    done = review.rule(log.engine, log, case_id="case", reviewer="kim", ruling="reject", rationale=reason)
    return {seq: told, done.ruling_seq or 0: {"rationale": reason}}


@pytest.mark.slow
def test_nothing_of_a_person_is_left_among_a_hundred_thousand_entries(
    crowd: Crowd, engine: Engine, keys: KeyRing, tmp_path: Path, url: str
) -> None:
    log, place, ann = crowd.log, crowd.place, crowd.log.vault.pseudonym(ANN)
    texts = [told for roles in crowd.said.values() for told in roles.values()]
    assert (len(crowd.said), len(texts), len(crowd.receipts)) == (HERS + 2, 2 * HERS + 2, 300)
    key = log.vault.keys.key(ann, create=False)
    assert key is not None
    with reading(engine) as connection:  # what any backup of the database holds
        columns = (LogEntry.leaf, LogBody.ciphertext, LogBody.wrapped_key, LogBody.lookup)
        query = select(*columns).join(LogEntry, LogEntry.seq == LogBody.seq).where(LogEntry.subject == ann)
        rows = connection.execute(query).all()
    sealed = {part for row in rows for value in row[1:] for part in ends(value or b"")}
    telling = {needle for told in texts for needle in written(told)} | confirming_any(texts, keys)
    # A text of hers has keys by which it is found: no file may hold one of them, plain or as the sealed body writes them.
    found_by = [fingerprint.keys(roles["output"]) for roles in crowd.said.values() if "output" in roles]
    traced = sum(len(keys_) > 0 for keys_ in found_by)
    assert traced > HERS / 2
    telling |= {number.tobytes() for keys_ in found_by for number in keys_}
    telling |= {part for keys_ in found_by for part in ends(fingerprint.pack(keys_).encode())}
    assert names_of_marks(engine) == HERS
    assert present(place.files(), telling | sealed) == sealed
    backup = tmp_path / "backup"
    backup.mkdir()
    if engine.dialect.name == "sqlite":
        for path in place.files():
            shutil.copy(path, backup)

    command = ["erase", "--subject", ANN, "--reason", "a letter asks", "--by", "kim"]
    done = CliRunner().invoke(audit.app, [*command, "--store", url, "--home", str(keys.folder.parent)])
    assert done.exit_code == 0, done.output
    assert names_of_marks(engine) == 0
    assert f"erased {len(texts) + traced} contents of {len(crowd.said)} entries, and destroyed 1 keys" in done.output

    # A server's files keep what was sealed, as backups do; SQLite's do not.
    left = present(place.files(), telling | sealed)
    assert left == (set() if engine.dialect.name == "sqlite" else left & sealed)

    # No key that is left opens anything of hers, nor finds it by guessing the very truth.
    assert present(files(keys.folder), [key[:16], key[-16:]]) == set()
    others = list(log.vault.keys.each())
    assert len(others) >= OTHERS
    for leaf, wrapped in {(row.leaf, row.wrapped_key) for row in rows}:
        owner = f"{json.loads(leaf)['id']}\n\n{ann}".encode()  # what the key was wrapped for: see guard.audit.vault
        assert AESGCM(key).decrypt(wrapped[:12], wrapped[12:], owner)
        for other in others:
            with pytest.raises(InvalidTag):
                AESGCM(other).decrypt(wrapped[:12], wrapped[12:], owner)
    looked = {digest for told in texts[::8] for digest in log.vault.lookups(Text(told))}
    assert looked.isdisjoint(row.lookup for row in rows)
    if engine.dialect.name == "sqlite":
        no_backup_opens(f"sqlite:///{backup / 'guard.db'}", log, crowd.said)

    # Neither does the index of what was released, from what is left or from the backup.
    restored = [open_engine(f"sqlite:///{backup / 'guard.db'}")] if engine.dialect.name == "sqlite" else []
    for place_ in (engine, *restored):
        registry = Registry(Reader(place_, log.vault), log.vault)
        assert registry.refresh() == 0
        assert [hit for told in texts[::40] for hit in registry.similar(Text(told))] == []
    for other_engine in restored:
        other_engine.dispose()

    # The record is whole, everybody else's content opens, and every proof holds: those handed out before, and new ones.
    report = verify(engine, log.vkey, vault=log.vault)
    assert report.problems == ()
    reader = Reader(engine, log.vault)
    for seq, receipt in crowd.receipts.items():
        entry, newer = reader.entry(seq), reader.receipt(seq)
        assert entry is not None
        assert newer is not None
        assert newer.size > receipt.size
        verify_receipt(receipt, log.vkey, leaf=entry.leaf)
        verify_receipt(newer, log.vkey, leaf=entry.leaf)
    if engine.dialect.name == "sqlite":  # once is enough: the tree is the same
        assert every_inclusion_proof_holds(engine) == report.size > ENTRIES["sqlite"]

    # And the search would have found what a careless program writes down.
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE careless (words text)"))
        connection.execute(text("INSERT INTO careless VALUES (:words)"), [{"words": told} for told in texts[:4]])
    careless = {needle for told in texts[:4] for needle in written(told)[:3]}
    assert present(place.files(), careless) == careless


def names_of_marks(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(LogName)).scalar_one()


def confirming_any(texts: Sequence[str], keys: KeyRing) -> set[Needle]:
    """Digests of the texts, plain or under any secret that outlives an erasure."""
    secrets = [path.read_bytes() for path in sorted(keys.folder.glob("*.key"))]
    secrets += [subkey(secret, purpose) for secret in secrets for purpose in ("lookup", "commit", "subject")]
    forms = [form for told in texts for form in (told.encode(), sha256(told.encode()))]
    return {tell for form in forms for tell in confirming(form, secrets)}


def no_backup_opens(url: str, log: Log, said: dict[int, dict[str, str]]) -> None:
    """A database restored from before beside the keys that are left."""
    engine = open_engine(url)
    restored = Reader(engine, log.vault)
    for seq, roles in said.items():
        for role in roles:
            with pytest.raises(EvidenceError, match="was erased"):
                restored.body(seq, role)
    assert [restored.find(Text(told)) for told in next(iter(said.values())).values()] == [[], []]
    assert restored.find(Text("answer 1")) or restored.find(Text("answer 2"))
    engine.dispose()


def every_inclusion_proof_holds(engine: Engine) -> int:
    """How many there are."""
    with reading(engine) as connection:
        checkpoint = parse_checkpoint(str(newest_checkpoint(connection)))
        tiles = {
            (level, index): hashes for level, index, hashes in connection.execute(select(*LogTile.__table__.columns))
        }
        hashes = connection.execute(select(LogEntry.leaf_hash).order_by(LogEntry.seq)).scalars().all()
    nodes = merkle.TileNodes(lambda level, index: tiles[level, index])
    for seq, hashed in enumerate(hashes):
        proof = merkle.inclusion_proof(seq, checkpoint.size, nodes)
        merkle.verify_inclusion(hashed, seq, checkpoint.size, proof, checkpoint.root)
    return len(hashes)


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
