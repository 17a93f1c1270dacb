"""A log on each engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.audit.read import Reader
from guard.digest import JSON
from guard.keys import KeyRing
from guard.store.partitions import make_room
from guard.types import Content, Image, Text, new_id
from tests.clock import Clock
from tests.conftest import shrink


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys")


@pytest.fixture
def log(engine: Engine, keys: KeyRing) -> Log:
    return Log(engine, keys)


@pytest.fixture
def reader(log: Log) -> Reader:
    return Reader(log.engine, log.vault)


@pytest.fixture
def draft() -> Callable[..., Draft]:
    """Makes a generation like those that the pipeline records."""

    def make(request_id: str | None = None, *, state: str = "released", action: str = "allow") -> Draft:
        fields: dict[str, JSON] = {"state": state, "decision": {"action": action, "rules": ["r1"]}, "stage": "output"}
        bodies: dict[str, Content] = {
            "prompt": Text(f"prompt of {request_id}"),
            "output": Image(b"\x89PNG" + bytes(20)),
        }
        return Draft("generation", request_id or new_id(), fields, bodies)

    return make


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def narrow(engine: Engine) -> Engine:
    """The same database with partitions of 512 entries, on PostgreSQL."""
    if engine.dialect.name == "postgresql":
        shrink(engine, 512)
        make_room(engine)
    return engine
