"""What leaves the house is checked here by the specifications' own rules, without our code for tiles and proofs."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pymerkle import InmemoryTree  # type: ignore[import-untyped]
from sqlalchemy import Engine, select
from typer.testing import CliRunner, Result

from guard.audit.checkpoint import Checkpoint, NoteSigner, open_checkpoint
from guard.audit.cosign import cosignatures
from guard.audit.draft import Draft
from guard.audit.export import export, tile_path
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.audit.receipt import from_tlog_proof, read_receipt, to_tlog_proof, verify_receipt
from guard.cli import audit
from guard.errors import ConfigError, EvidenceError, OperationError, ProofError
from guard.keys import KeyRing
from guard.options import WitnessSpec
from guard.store.engine import open_engine, reading, upgrade
from guard.store.tables import LogBody, LogEntry
from guard.types import Ack, Text

Maker = Callable[..., Draft]

# --- a reader of tlog-tiles, from the specification ---


def encoded_index(index: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join(["x" + group for group in groups[:-1]] + [groups[-1]])


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def tree_hash(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, over leaf hashes, by its recursive definition."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_hash(hashes[:split]) + tree_hash(hashes[split:])).digest()


def entries_in(folder: Path, size: int) -> list[bytes]:
    found: list[bytes] = []
    for index in range(-(-size // 256)):
        width = min(256, size - 256 * index)
        data = (folder / "tile/entries" / (encoded_index(index) + (f".p/{width}" if width < 256 else ""))).read_bytes()
        for _ in range(width):
            length = int.from_bytes(data[:2], "big")
            found.append(data[2 : 2 + length])
            assert len(found[-1]) == length
            data = data[2 + length :]
        assert data == b""
    return found


def check_folder(folder: Path) -> tuple[int, list[bytes]]:
    """Everything that tlog-tiles promises, and no other tile or bundle."""
    note = (folder / "checkpoint").read_text()
    origin, size_line, root_line = note.split("\n")[:3]
    key = (folder / "key").read_text().strip()
    assert open_checkpoint(note, key).origin == origin
    size = int(size_line)
    entries = entries_in(folder, size)
    hashes = [leaf_hash(entry) for entry in entries]
    assert tree_hash(hashes) == base64.b64decode(root_line)
    expected = {f"tile/entries/{encoded_index(index)}" for index in range(size // 256)}
    if size % 256:
        expected.add(f"tile/entries/{encoded_index(size // 256)}.p/{size % 256}")
    level, row = 0, hashes
    while row:
        for index in range(-(-len(row) // 256)):
            tile = row[256 * index : 256 * (index + 1)]
            name = f"tile/{level}/{encoded_index(index)}" + (f".p/{len(tile)}" if len(tile) < 256 else "")
            assert (folder / name).read_bytes() == b"".join(tile)
            expected.add(name)
        row = [tree_hash(row[256 * index : 256 * (index + 1)]) for index in range(len(row) // 256)]
        level += 1
    assert {path.relative_to(folder).as_posix() for path in (folder / "tile").rglob("*") if path.is_file()} == expected
    return size, entries


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600])
def test_an_export_keeps_the_rules_of_tlog_tiles(engine: Engine, keys: KeyRing, tmp_path: Path, size: int) -> None:
    log = Log(engine, keys)
    for start in range(0, size, 200):
        log.append([Draft("check", f"r{number}", {}) for number in range(start, min(size, start + 200))])
    steps: list[tuple[int, int]] = []
    written = export(engine, log.vkey, tmp_path / "out", progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (size, size)
    found, entries = check_folder(tmp_path / "out")
    assert (found, written.size) == (size, size)
    with reading(engine) as connection:
        assert entries == list(connection.execute(select(LogEntry.leaf).order_by(LogEntry.seq)).scalars())
    oracle = InmemoryTree(algorithm="sha256")
    for entry in entries:
        oracle.append_entry(entry)
    assert oracle.get_root() == written.root
    private = [tmp_path / "out", *(path for path in (tmp_path / "out").rglob("*") if path.is_file())]
    assert {path.stat().st_mode & 0o077 for path in private} == {0}


@pytest.mark.parametrize(
    ("index", "path"),
    [(0, "000"), (999, "999"), (1000, "x001/000"), (1234, "x001/234"), (1234067, "x001/x234/067"), (70000, "x070/000")],
)
def test_indexes_are_paths(index: int, path: str) -> None:
    assert tile_path(index) == path == encoded_index(index)
    assert tile_path(index, 112) == path + ".p/112"


def test_the_specifications_example_of_70000_entries() -> None:
    """273 full tiles and one of 112 hashes; above them one full, one of 17, and one of one hash."""
    from guard.audit.export import _Tiles

    names: list[tuple[int, str]] = []

    class Names(_Tiles):
        def _tile(self, level: int, hashes: list[bytes]) -> None:
            names.append((level, tile_path(self._full[level], len(hashes))))

    tiles = Names(Path("nowhere"))
    for number in range(70_000):
        tiles._bundle.clear()
        tiles.add(b"%d" % number)
    tiles.finish()
    by_level = [[path for level, path in names if level == wanted] for wanted in range(3)]
    assert by_level[0] == [*(f"{index:03d}" for index in range(273)), "273.p/112"]
    assert by_level[1:] == [["000", "001.p/17"], ["000.p/1"]]


def test_bodies_are_exported_sealed(log: Log, tmp_path: Path) -> None:
    tmp_path = tmp_path / "out"
    log.append([Draft("generation", "r", {}, {"prompt": Text("secret words"), "output": Text("more")})])
    log.append([Draft("check", None, {})])
    export(log.engine, log.vkey, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "bodies.jsonl").read_text().splitlines()]
    assert [(line["seq"], line["role"], line["erased_at"]) for line in lines] == [
        (0, "output", None),
        (0, "prompt", None),
    ]
    with reading(log.engine) as connection:
        stored = connection.execute(select(LogBody.ciphertext).order_by(LogBody.seq, LogBody.role)).scalars().all()
    assert [base64.b64decode(line["ciphertext"]) for line in lines] == stored
    fields = json.loads(entries_in(tmp_path, 2)[0])
    for line in lines:
        digest = hashlib.sha256(base64.b64decode(line["ciphertext"])).hexdigest()
        assert fields["bodies"][line["role"]]["ct_sha256"] == digest
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secret words" not in everything


def test_memory_stays_flat(engine: Engine, keys: KeyRing, tmp_path: Path) -> None:
    """Four times the content must not take much more memory."""
    log = Log(engine, keys)
    peaks = []
    for name, batches in (("small", 2), ("large", 6)):
        for _ in range(batches):
            log.append([Draft("check", None, {}, {"output": Text("x" * 100_000)}) for _ in range(60)])
        tracemalloc.start()
        export(engine, log.vkey, tmp_path / name)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_a_changed_record_is_not_exported(log: Log, tmp_path: Path, draft: Maker) -> None:
    with pytest.raises(EvidenceError, match="empty"):
        export(log.engine, log.vkey, tmp_path / "none")
    log.append([draft() for _ in range(3)])
    with pytest.raises(ConfigError, match="not empty"):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "x").write_text("x")
        export(log.engine, log.vkey, tmp_path / "full")
    with log.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER log_entry_no_update")
        else:
            connection.exec_driver_sql("DROP TRIGGER log_entry_no_change ON log_entry")
        wrong = LogEntry.__table__.update().where(LogEntry.seq == 1)  # type: ignore[attr-defined]
        connection.execute(wrong.values(leaf=b"{}"))
    with pytest.raises(EvidenceError, match="guard audit verify"):
        export(log.engine, log.vkey, tmp_path / "broken")
    assert not (tmp_path / "broken" / "checkpoint").exists()  # what is incomplete does not look whole
    (tmp_path / "file").write_text("x")
    with pytest.raises(OperationError, match="another folder"):
        export(log.engine, log.vkey, tmp_path / "file" / "below")


# --- proofs of single entries ---


def by_the_rules(text: str) -> tuple[int, bytes, list[bytes], str]:
    """A tlog-proof read as its specification says."""
    lines = text.split("\n")
    assert lines.pop(0) == "c2sp.org/tlog-proof@v1"
    extra = base64.b64decode(lines.pop(0).removeprefix("extra "))
    index = lines.pop(0)
    assert index.startswith("index ")
    end = lines.index("")
    return (
        int(index.removeprefix("index ")),
        extra,
        [base64.b64decode(line) for line in lines[:end]],
        "\n".join(lines[end + 1 :]),
    )


def inclusion_root(hashed: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162, 2.1.3.2."""
    fn, sn, r = index, size - 1, hashed
    for p in path:
        assert sn != 0
        if fn & 1 or fn == sn:
            r = hashlib.sha256(b"\x01" + p + r).digest()
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return r


def test_a_tlog_proof_holds_by_the_rules(log: Log, reader: Reader, draft: Maker) -> None:
    log.append([draft() for _ in range(300)])
    oracle = InmemoryTree(algorithm="sha256")
    entries = [reader.entry(seq) for seq in range(300)]
    for entry in entries:
        assert entry is not None
        oracle.append_entry(entry.leaf)
    for seq in (0, 1, 255, 256, 299):
        entry, receipt = entries[seq], reader.receipt(seq)
        assert entry is not None
        assert receipt is not None
        text = to_tlog_proof(receipt, entry.leaf)
        index, extra, path, note = by_the_rules(text)
        checkpoint = open_checkpoint(note, log.vkey)
        assert (index, extra, checkpoint.size) == (seq, entry.leaf, 300)
        assert inclusion_root(leaf_hash(extra), index, 300, path) == checkpoint.root == oracle.get_root()
        assert sorted(oracle.prove_inclusion(seq + 1, 300).path) == sorted([leaf_hash(extra), *path])
        assert from_tlog_proof(text) == (receipt, entry.leaf)
        assert verify_receipt(*read_receipt(text)[:1], log.vkey, leaf=extra) == checkpoint


def test_the_specifications_form_is_read() -> None:
    """Its example is shortened, so only its form can be checked: five hashes of a leaf in a tree of 109482."""
    signer = NoteSigner("example.com/fancylog", KeyRing(Path(os.environ["GUARD_HOME"])).signing_key("log"))
    path = [
        "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=",
        "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=",
        "EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=",
        "RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=",
        "AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=",
    ]
    root = base64.b64decode("sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=")
    note = signer.sign(Checkpoint("example.com/fancylog", 109482, root).text)
    head = ["c2sp.org/tlog-proof@v1", "extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6", "index 73894"]
    receipt, leaf = from_tlog_proof("\n".join([*head, *path, "", note]))
    assert (receipt.entry, receipt.size, receipt.root) == (73894, 109482, root.hex())
    assert leaf == b"age-v1.2.1-darwin-arm64.tar.gz"
    assert [base64.b64encode(bytes.fromhex(item)).decode() for item in receipt.proof] == path
    with pytest.raises(ProofError):
        verify_receipt(receipt, signer.vkey, leaf=leaf)


def test_malformed_proofs_are_refused(log: Log, reader: Reader, draft: Maker) -> None:
    log.append([draft() for _ in range(5)])
    receipt, entry = reader.receipt(2), reader.entry(2)
    assert receipt is not None
    assert entry is not None
    good = to_tlog_proof(receipt, entry.leaf)
    lines = good.split("\n")
    changes = [
        good.replace("@v1", "@v2"),
        good.replace("index 2", "index 02"),
        good.replace("index 2", "index -2"),
        good.replace("index 2", "index \u0662"),
        good.replace("index 2\n", ""),
        "\n".join(lines[:1] + lines[2:]),
        good.replace("extra ", "extra !"),
        good.replace("\n\n", "\n", 1),
        good.replace(lines[3], lines[3][:-4]),
        good.replace(lines[3], "\n".join([lines[3]] * 70)),
        good.replace("\n5\n", "\n6\n"),
        good.replace("index 2", "index 3"),
        good.replace(lines[4], lines[3]),
        "\n".join([lines[0], "extra " + base64.b64encode(entry.leaf + b" ").decode(), *lines[2:]]),
        lines[0],
        "",
    ]
    for text in changes:
        with pytest.raises(EvidenceError):
            found, leaf, _ = read_receipt(text)
            verify_receipt(found, log.vkey, leaf=leaf)


# --- the commands ---


def run(*words: str, given: str | None = None) -> Result:
    result = CliRunner().invoke(audit.app, list(words), input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_from_the_command_line(tmp_path: Path) -> None:
    home = Path(os.environ["GUARD_HOME"])
    engine = open_engine(f"sqlite:///{home}/guard.db")
    upgrade(engine)
    log = Log(engine, KeyRing(home / "keys"), witness=WitnessSpec(str(tmp_path / "w")))
    log.append([Draft("check", None, {}) for _ in range(5)], ack=Ack.WITNESSED)
    engine.dispose()
    proof = run("proof", "3").stdout
    assert proof.startswith("c2sp.org/tlog-proof@v1\nextra ")
    path = tmp_path / "3.tlog-proof"
    path.write_text(proof)
    assert "holds: entry 3 of 5" in run("verify-receipt", str(path)).stdout
    assert "holds: entry 3 of 5" in run("verify-receipt", "-", given=run("proof", "3", "--json").stdout).stdout
    elsewhere = ("--home", str(tmp_path / "nobody"))
    with pytest.raises(ConfigError, match="--key"):
        run("verify-receipt", str(path), *elsewhere)
    assert "holds" in run("verify-receipt", str(path), *elsewhere, "--key", log.vkey).stdout
    witness = log._witness().witness
    assert list(cosignatures(proof.partition("\n\n")[2], [witness.vkey]))
    checked = run("verify-receipt", str(path), "--witness-key", witness.vkey).stdout
    assert f"cosigned by {witness.name} 20" in checked
    stranger = Log(engine, KeyRing(home / "keys"), witness=WitnessSpec(str(tmp_path / "x")))._witness().witness
    with pytest.raises(EvidenceError, match="did not cosign"):
        run("verify-receipt", str(path), "--witness-key", stranger.vkey)
    assert "exported 5 entries" in run("export", str(tmp_path / "out")).stdout
    assert check_folder(tmp_path / "out")[0] == 5
    assert list(cosignatures((tmp_path / "out" / "checkpoint").read_text(), [witness.vkey]))
