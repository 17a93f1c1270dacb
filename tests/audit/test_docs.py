"""The record's own documentation: every field, every attack and every right that it names is there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

import guard
from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.verify import verify
from guard.keys import KeyRing
from guard.store.engine import open_engine
from guard.store.schema import RIGHTS, drift
from guard.types import Ack
from tests.conftest import copied, role

HERE = Path(__file__).resolve().parent
README = (HERE.parents[1] / "guard" / "audit" / "README.md").read_text("utf-8")
Maker = Callable[..., Draft]


def rows(heading: str) -> list[list[str]]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_attack_of_the_matrix_is_a_test() -> None:
    tests = "".join(path.read_text("utf-8") for path in HERE.parent.rglob("test_*.py"))
    named = [name for row in rows("The attack matrix") for name in re.findall(r"`(\w+)`", row[2])]
    assert len(named) > 15
    assert [name for name in named if f"def {name}(" not in tests] == []


def test_the_fields_of_an_entry_are_the_documented_ones(sample_plugin: str, tmp_path: Path) -> None:
    policy: dict[str, Any] = {
        "name": "p",
        "version": "1",
        "checkers": {"words": {"use": "sample-words", "params": {"words": ["doubt"]}}},
        "rules": [{"id": "hold", "checker": "words", "action": "review"}],
    }
    with guard.Guard(policy, store=f"sqlite:///{tmp_path / 'g.db'}", home=tmp_path) as g:
        outcome = g.wrap(lambda _: "I doubt it.")("hello")
        entry = g.ledger.reader.entry(outcome.receipt.entry)
    assert entry is not None
    documented = {name for row in rows("What an entry holds") for name in re.findall(r"`(\w+)`", row[0])}
    assert documented == set(json.loads(entry.leaf)) | {"clock", "stream"}  # where it went back; of streams


def test_the_documented_rights_are_enough_and_no_more(template: Engine, keys: KeyRing, draft: Maker) -> None:
    """A service that has just these rights appends, and cannot change what it appended."""
    section = README.split("## Rights in PostgreSQL")[1].split("\n\n")[1]
    words = re.split(r"(UPDATE|DELETE) on\s", section.split("EXECUTE")[0])
    documented = {
        right: set(re.findall(r"`(\w+)`", names)) for right, names in zip(words[1::2], words[2::2], strict=True)
    }
    assert documented == {
        right: {table for table, rights in RIGHTS.items() if right in rights} for right in ("UPDATE", "DELETE")
    }
    with role(template, "service") as name, copied(template) as url:
        owner = open_engine(url)
        with owner.begin() as connection:
            connection.execute(text(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {name}"))
            for right, tables in documented.items():
                connection.execute(text(f"GRANT {right} ON {', '.join(sorted(tables))} TO {name}"))
        service = open_engine(owner.url.set(username=name).render_as_string(hide_password=False))
        log = Log(service, keys)
        log.append([draft() for _ in range(3)])
        log.append([draft()], within=lambda *_: None)
        log.append([draft()], ack=Ack.DURABLE)
        with service.begin() as connection:
            columns = "'x', kind, occurred_at, request_id, state, action, leaf_hash, leaf, subject, ''"
            connection.execute(text(f"INSERT INTO log_inbox SELECT {columns} FROM log_entry WHERE seq = 0"))
        log.settle()
        assert verify(service, log.vkey).ok
        assert drift(owner) == []
        for change in (
            "UPDATE log_entry SET state = 'x'",
            "DELETE FROM log_entry",
            "TRUNCATE log_entry CASCADE",
            "DELETE FROM log_once",
        ):
            with pytest.raises(Exception, match="permission denied"), service.begin() as connection:
                connection.execute(text(change))
        service.dispose()
        owner.dispose()
