"""The dashboard in-process: Streamlit's AppTest on a seeded record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import seed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty, migrated record that the dashboard finds."""
    made = seed.world(tmp_path)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    yield made
    made.engine.dispose()


@pytest.fixture
def app() -> Iterator[Callable[..., Any]]:
    """Start the dashboard as `name` ("" is a reader), with query parameters."""
    import streamlit
    from streamlit.testing.v1 import AppTest

    streamlit.cache_resource.clear()
    streamlit.cache_data.clear()

    def make(page: str = "queue", name: str = "Ada Larsen", **query: str) -> Any:
        at = AppTest.from_file(str(ROOT / "dashboards" / "app.py"), default_timeout=60)
        at.session_state["reviewer"] = name
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        if page != "queue":
            at.switch_page(f"views/{page}.py")
            for key, value in query.items():
                at.query_params[key] = value
            at.run()
        return at

    yield make
    streamlit.cache_resource.clear()
    streamlit.cache_data.clear()
