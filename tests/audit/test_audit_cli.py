"""`guard audit` and `guard db`, from the first table to a found manipulation."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.cli import audit, db
from guard.digest import JSON
from guard.errors import ConfigError, EvidenceError, LegalHold, NoteError, ProofError
from guard.keys import KeyRing
from guard.store.engine import HEAD, open_engine, writing
from guard.types import Ack, Image, Text

HOSTILE = "red \x1b[31m \x1b]0;title\x07 \u202egnp.exe \r overwritten\nsecond line"


def run(*words: str, given: str | None = None) -> Result:
    """A command of `guard audit` or `guard db`; our own errors are raised, as `main` would see them."""
    app = {"audit": audit.app, "db": db.app}[words[0]]
    result = CliRunner().invoke(app, list(words[1:]), input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def home() -> Path:
    return Path(os.environ["GUARD_HOME"])


@pytest.fixture
def cli_log(home: Path) -> Log:
    """A log in the home folder with five entries."""
    assert run("db", "upgrade").exit_code == 0
    log = Log(open_engine(f"sqlite:///{home / 'guard.db'}"), KeyRing(home / "keys"))
    for number in range(5):
        state = "held" if number == 3 else "released"
        fields: dict[str, JSON] = {"state": state, "decision": {"action": "allow"}}
        log.append([Draft("generation", f"req-{number}", fields, {"prompt": Text(HOSTILE), "output": Image(b"png")})])
    return log


def tamper(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "guard.db")) as database:
        database.executescript(f"DROP TRIGGER log_entry_no_update; DROP TRIGGER log_entry_no_delete; {statement}")


def test_the_life_of_the_tables(home: Path) -> None:
    with pytest.raises(ConfigError, match="guard db upgrade"):
        run("db", "current")
    assert run("db", "upgrade").output == f"upgraded from nothing to {HEAD}\n"
    assert run("db", "upgrade").output == f"already at revision {HEAD}\n"
    assert run("db", "current").output == f"{HEAD}\n"
    asked = run("db", "downgrade", "base")
    assert asked.exit_code == 1
    assert "backup" in asked.output
    assert run("db", "current").output == f"{HEAD}\n"
    assert run("db", "downgrade", "base", "--yes").output == "now at revision base\n"
    assert "no tables" in run("db", "current").output
    other = run("db", "upgrade", "--store", f"sqlite:///{home}/other.db")
    assert (home / "other.db").exists()
    assert other.exit_code == 0


def test_a_sound_record_holds_and_is_remembered(cli_log: Log, home: Path) -> None:
    first = run("audit", "verify")
    assert first.exit_code == 0
    assert "holds: 5 entries" in first.output
    assert "compared with no earlier checkpoint" in first.output
    second = run("audit", "verify", "--content")
    assert "it extends the checkpoint kept in" in second.output
    kept = list((home / "checkpoints").iterdir())
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600]
    assert kept[0].read_text() == run("audit", "checkpoint").stdout
    data = json.loads(run("audit", "verify", "--json").stdout)
    assert (data["ok"], data["size"], data["problems"], data["first_broken"]) == (True, 5, [], None)


def test_a_changed_entry_is_named(cli_log: Log, home: Path) -> None:
    tamper(home, "UPDATE log_entry SET action = 'block' WHERE seq = 2")
    result = run("audit", "verify")
    assert result.exit_code == 1
    assert "the first broken entry is 2" in result.output
    data = json.loads(run("audit", "verify", "--json").stdout)
    assert (data["ok"], data["first_broken"], [problem["entry"] for problem in data["problems"]]) == (False, 2, [2])
    with pytest.raises(EvidenceError, match="entry 2 was changed"):
        run("audit", "proof", "2")
    assert "was changed" in run("audit", "show", "2").stderr


def test_a_cut_tail_is_found_by_default_the_second_time(cli_log: Log, home: Path) -> None:
    assert run("audit", "verify").exit_code == 0
    with closing(sqlite3.connect(home / "guard.db")) as database, closing(sqlite3.connect(home / "old.db")) as old:
        database.backup(old)
    for _ in range(3):
        cli_log.append([Draft("check", None, {})])
    note = run("audit", "checkpoint").stdout
    (home / "note").write_text(note)
    assert run("audit", "verify").exit_code == 0
    cli_log.engine.dispose()
    (home / "old.db").replace(home / "guard.db")
    for words in ([], ["--against", str(home / "note")]):
        result = run("audit", "verify", *words)
        assert result.exit_code == 1
        assert "the first broken entry is 5" in result.output
    assert run("audit", "verify", "--against", "-", given=note).exit_code == 1
    forgetful = run("audit", "verify", "--no-remember")
    assert forgetful.exit_code == 0  # nothing inside the database can show it
    assert run("audit", "verify").exit_code == 1


def test_two_databases_of_one_home_are_remembered_apart(cli_log: Log, home: Path) -> None:
    assert run("audit", "verify").exit_code == 0
    store = f"sqlite:///{home}/second.db"
    run("db", "upgrade", "--store", store)
    Log(open_engine(store), KeyRing(home / "keys")).append([Draft("check", None, {})])
    assert run("audit", "verify", "--store", store).exit_code == 0
    assert len(list((home / "checkpoints").iterdir())) == 2


def test_what_cannot_be_checked_is_not_called_broken(cli_log: Log, home: Path, tmp_path: Path) -> None:
    assert run("audit", "verify", "--store", f"sqlite:///{home}/guard.db", "--key", cli_log.vkey).exit_code == 0
    with pytest.raises(ConfigError, match="no log key"):
        run("audit", "verify", "--home", str(tmp_path), "--store", f"sqlite:///{home}/guard.db")
    assert not (tmp_path / "keys").exists()  # asking does not make a key
    with pytest.raises(ConfigError, match="cannot read"):
        run("audit", "verify", "--against", str(home / "nowhere"))
    with pytest.raises(NoteError):
        run("audit", "verify", "--against", "-", given="not a note")
    run("db", "downgrade", "base", "--yes")
    result = run("audit", "verify")
    assert result.exit_code == 2
    assert "guard db upgrade" in result.stderr


def test_an_auditor_needs_only_the_public_key(cli_log: Log, home: Path, tmp_path: Path) -> None:
    key = run("audit", "key").stdout.strip()
    assert key == cli_log.vkey
    (tmp_path / "key.txt").write_text(key + "\n")
    store = f"sqlite:///{home}/guard.db"
    for given in (key, str(tmp_path / "key.txt")):
        result = run("audit", "verify", "--home", str(tmp_path), "--store", store, "--key", given)
        assert result.exit_code == 0


def test_a_receipt_is_checked_offline(cli_log: Log, home: Path, tmp_path: Path) -> None:
    receipt = run("audit", "proof", "3", "--json").stdout
    data = json.loads(receipt)
    assert (data["entry"], data["size"], json.loads(data["leaf"])["request_id"]) == (3, 5, "req-3")
    path = tmp_path / "receipt.json"
    path.write_text(receipt)
    assert "holds: entry 3 of 5" in run("audit", "verify-receipt", str(path)).stdout
    alone = run("audit", "verify-receipt", "-", "--home", str(tmp_path), given=receipt)
    assert alone.exit_code == 0
    assert "compare it with the log's own" in alone.stderr
    for change in ({"entry": 2}, {"leaf": data["leaf"].replace("req-3", "req-9")}, {"proof": data["proof"][:-1]}):
        path.write_text(json.dumps(data | change))
        with pytest.raises(ProofError):
            run("audit", "verify-receipt", str(path))
    path.write_text(json.dumps({name: value for name, value in data.items() if name != "vkey"}))
    with pytest.raises(ConfigError, match="--key"):
        run("audit", "verify-receipt", str(path), "--home", str(tmp_path))
    with pytest.raises(EvidenceError, match="there is no entry 9; the record has 5"):
        run("audit", "proof", "9")


def test_searching(cli_log: Log) -> None:
    table = run("audit", "search").stdout.splitlines()
    assert table[0].split() == ["entry", "time", "kind", "request", "action", "state"]
    assert [line.split()[0] for line in table[1:]] == ["4", "3", "2", "1", "0"]
    lines = run("audit", "search", "--json", "--limit", "2", "--before", "3").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [2, 1]
    for words, expected in (
        (["--state", "held"], [3]),
        (["--action", "block"], []),
        (["--kind", "generation", "--limit", "1"], [4]),
        (["req-1"], [1]),
        (["2"], [2]),
        (["--since", "2020-01-01", "--until", "2021-01-01T12:00"], []),
        (["--since", "2020-01-01T00:00+02:00", "--limit", "1"], [4]),
    ):
        lines = run("audit", "search", "--json", *words).stdout.splitlines()
        assert [json.loads(line)["seq"] for line in lines] == expected
    nothing = run("audit", "search", "--state", "blocked")
    assert (nothing.stdout, nothing.stderr) == ("", "no entries match\n")
    with pytest.raises(ConfigError, match="not a time"):
        run("audit", "search", "--since", "yesterday")


def test_showing_hostile_content_is_harmless(cli_log: Log) -> None:
    plain = run("audit", "show", "1").stdout
    assert "req-1" in plain
    assert "overwritten" not in plain
    shown = run("audit", "show", "1", "--content").stdout
    assert "second line" in shown
    assert "overwritten" in shown
    assert "image/png, 3 bytes" in shown
    assert not set(shown) & set("\x1b\x07\r\u202e")
    assert "\n  | second line" in shown  # no line of the content can pass for one of ours
    with pytest.raises(EvidenceError, match="there is no entry 7"):
        run("audit", "show", "7")


# --- erasing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def people(cli_log: Log) -> Log:
    """Entries of two people, from number 5 on: ann, bob, ann."""
    for number, who in enumerate(("ann@example.org", "bob", "ann@example.org")):
        subject = cli_log.vault.pseudonym(who)
        cli_log.append([Draft("generation", f"own-{number}", {}, {"prompt": Text("private words")}, subject)])
    return cli_log


def test_a_person_is_found_held_and_erased(people: Log, home: Path) -> None:
    ann = ("--subject", "ann@example.org", "--by", "kim")
    lines = run("audit", "search", "--subject", "ann@example.org", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [7, 5]
    assert "held: entry 8" in run("audit", "hold", *ann, "--reason", "a court asks").stdout
    with pytest.raises(LegalHold, match="release-hold"):
        run("audit", "erase", *ann, "--reason", "a letter asks")
    assert "entry 9" in run("audit", "release-hold", *ann, "--reason", "settled").stdout
    assert "erased 2 contents of 2 entries, and destroyed 1 keys; the record says so in entry 10" in (
        run("audit", "erase", *ann, "--reason", "a letter asks").stdout
    )
    assert "nothing to erase" in run("audit", "erase", *ann, "--reason", "again").stdout
    assert "erased" in run("audit", "show", "5", "--content", "--by", "kim").stdout
    one = run("audit", "erase", "--request", "own-1", "--reason", "a letter", "--json")
    assert json.loads(one.stdout)["bodies"] == 1
    assert json.loads(one.stdout)["keys"] == 1  # nothing else was sealed under it
    kept = run("audit", "erase", "--entry", "2", "--reason", "a letter", "--basis", "own rules")
    assert "backups made before still hold" in kept.stderr
    verified = run("audit", "verify", "--content")
    assert verified.exit_code == 0, verified.output
    shown = run("audit", "show", "10").stdout
    assert "ann" not in shown
    assert "letter" not in shown
    for words in ([], ["--entry", "1", "--request", "x"]):
        with pytest.raises(ConfigError, match="one of --subject"):
            run("audit", "erase", *words, "--reason", "x")


def test_reading_content_at_the_terminal_is_recorded(cli_log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_REVIEWER", "lee")
    for words in (["1"], ["1", "--content"], ["1", "--content"], ["1", "--content", "--by", "kim"]):
        assert run("audit", "show", *words).exit_code == 0
    lines = run("audit", "search", "--kind", "access", "--json").stdout.splitlines()
    assert [json.loads(line)["request_id"] for line in lines] == ["req-1", "req-1"]
    entry = json.loads(run("audit", "show", "6").stdout)
    assert (entry["by"], entry["of"], entry["roles"], entry["why"]) == ("kim", 1, ["output", "prompt"], "command")
    assert json.loads(run("audit", "show", "5").stdout)["by"] == "lee"


def test_retention_at_the_terminal(people: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="how long content is kept"):
        run("audit", "retain")
    with pytest.raises(ConfigError, match="six months"):
        run("audit", "retain", "--older-than", "4w")
    monkeypatch.setenv("GUARD_RETENTION", "2y")
    assert "nothing to erase" in run("audit", "retain").stdout
    now = ("--older-than", "0d", "--reason", "a test")
    assert "would erase 13 contents of 8 entries" in run("audit", "retain", *now, "--dry-run").stdout
    assert "erased 13 contents of 8 entries, and destroyed 3 keys" in run("audit", "retain", *now).stdout
    assert run("audit", "verify", "--content").exit_code == 0
    with pytest.raises(ConfigError, match="no keys of a record"):
        run("audit", "erase", "--home", "/nowhere", "--subject", "x", "--reason", "y")


@pytest.fixture
def durable_log(home: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """A log on PostgreSQL with one entry, and two that wait for a number."""
    monkeypatch.setenv("GUARD_STORE", postgresql_url)
    engine = open_engine(postgresql_url)
    log = Log(engine, KeyRing(home / "keys"))
    log.append([Draft("generation", "first", {"state": "released"})])
    for name in ("second", "third"):
        log.append([Draft("generation", name, {"state": "released"})], ack=Ack.DURABLE)
    yield log
    engine.dispose()


@pytest.mark.parametrize("command", [("search",), ("verify",), ("checkpoint",), ("show", "2"), ("proof", "2")])
def test_commands_that_read_number_first_what_waits(durable_log: Log, command: tuple[str, ...]) -> None:
    done = run("audit", *command)
    assert done.exit_code == 0
    assert json.loads(run("audit", "verify", "--json").stdout)["size"] == 3


def test_settle_numbers_what_waits(durable_log: Log) -> None:
    assert run("audit", "settle").output == "2 entries waited in the inbox, 0 wait now\n"
    again = json.loads(run("audit", "settle", "--json").stdout)
    assert again == {"before": 0, "waiting": 0, "refused": {}, "lost": []}


def test_settle_has_nothing_to_do_on_sqlite(cli_log: Log) -> None:
    assert run("audit", "settle").output == "0 entries waited in the inbox, 0 wait now\n"


def test_who_has_no_keys_is_told_what_waits(durable_log: Log, home: Path, tmp_path: Path) -> None:
    key, before = run("audit", "key").stdout.strip(), sorted(home.rglob("*"))
    (home / "keys").rename(tmp_path / "elsewhere")
    done = run("audit", "verify", "--key", key, "--no-remember")
    assert done.exit_code == 0
    assert "2 entries are durable and have no number yet: run  guard audit settle" in done.stderr
    assert "holds: 1 entries" in done.stdout
    assert not (home / "keys").exists()
    with pytest.raises(ConfigError, match="no log key"):
        run("audit", "settle")
    (tmp_path / "elsewhere").rename(home / "keys")
    assert sorted(home.rglob("*")) == before


def test_the_keys_of_another_log_number_nothing(durable_log: Log, home: Path, tmp_path: Path) -> None:
    key = run("audit", "key").stdout.strip()
    (home / "keys").rename(tmp_path / "elsewhere")
    Log(open_engine(f"sqlite:///{tmp_path}/x.db"), KeyRing(home / "keys"))  # makes all keys
    done = run("audit", "verify", "--key", key, "--no-remember")
    assert done.exit_code == 0
    assert "not signed with a key of this key folder" in done.stderr
    assert "2 entries are durable" in done.stderr


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        ("UPDATE log_inbox SET state = 'blocked' WHERE request_id = 'second'", "is never numbered: it was not left by"),
        ("DELETE FROM log_inbox WHERE request_id = 'second'", "was durable, and is gone before it was numbered"),
    ],
)
def test_what_was_done_to_the_inbox_is_said(durable_log: Log, attack: str, words: str) -> None:
    with writing(durable_log.engine) as connection:
        connection.execute(text(attack))
    for command in ("settle", "verify"):
        done = run("audit", command)
        assert done.exit_code == 1
        assert words in done.stderr
        assert "see who has INSERT or DELETE" in done.stderr
    assert "holds:" in done.stdout  # the record itself does
    data = json.loads(run("audit", "verify", "--json").stdout)
    assert (data["ok"], len(data["inbox"]["refused"]) + len(data["inbox"]["lost"])) == (True, 1)


def test_tables_with_entries_in_the_inbox_are_not_taken_down(durable_log: Log) -> None:
    with pytest.raises(ConfigError, match="the inbox holds entries: run  guard audit settle  first"):
        run("db", "downgrade", "0004", "--yes")
    run("audit", "settle")
    assert run("db", "downgrade", "0004", "--yes").output == "now at revision 0004\n"
    with writing(durable_log.engine) as connection:
        connection.execute(text("INSERT INTO log_inbox VALUES ('i', 'check', 't', NULL, NULL, NULL, '', '')"))
    with pytest.raises(ConfigError, match="entries of the release before"):
        run("db", "upgrade")


def test_pruning_at_the_terminal(cli_log: Log, home: Path, tmp_path: Path) -> None:
    cli_log.append([Draft("check", f"c{number}", {}, {"output": Text("x")}) for number in range(300)])
    (tmp_path / "old.proof").write_text(run("audit", "proof", "7").stdout)
    with pytest.raises(ConfigError, match="either --before or --below"):
        run("audit", "prune", "--reason", "old")
    with pytest.raises(ConfigError, match="not a time"):
        run("audit", "prune", "--before", "yesterday", "--reason", "old")
    with pytest.raises(ConfigError, match="--exempt"):
        run("audit", "prune", "--below", "300", "--reason", "old")
    now = ("--below", "300", "--reason", "old", "--exempt", "no high-risk system", "--by", "kim")
    assert "would prune 256 entries below 256 with 261 contents" in run("audit", "prune", *now, "--dry-run").stdout
    done = run("audit", "prune", *now).stdout
    assert (
        "pruned 256 entries below 256 with 261 contents, and destroyed 0 keys; the record says so in entry 305" in done
    )
    assert "nothing to prune" in run("audit", "prune", *now).stdout
    assert json.loads(run("audit", "prune", *now, "--json").stdout)["minimum"] == 256
    verified = run("audit", "verify", "--content")
    assert verified.exit_code == 0, verified.output
    assert "entries below 256 were pruned" in verified.stdout
    assert json.loads(run("audit", "verify", "--json").stdout)["minimum"] == 256
    for words in (["show", "7"], ["proof", "7"]):
        with pytest.raises(EvidenceError, match=r"entry 7 was pruned, as entry 305 says; receipts of it still verify"):
            run("audit", *words)
    with pytest.raises(EvidenceError, match="there is no entry 999"):
        run("audit", "show", "999")
    assert "holds: entry 7 of" in run("audit", "verify-receipt", str(tmp_path / "old.proof")).stdout
    assert json.loads(run("audit", "show", "305").stdout)["exempt"] == "no high-risk system"
    assert "entries below 256 were pruned, as entry 305 says" in run("audit", "search", "c3").stderr
    assert "note" not in run("audit", "search", "--limit", "5").stderr
    assert "exported 306 entries" in run("audit", "export", str(tmp_path / "out")).stdout
