"""`guard dashboard` and `guard review`, up to where a browser takes over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from guard import bundled, review
from guard.cli.dashboard import options, register, require_loopback
from guard.cli.review import app as review_app
from guard.errors import ConfigError, ReviewError
from tests import seed


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "example.org", ""])
def test_the_dashboard_listens_on_this_machine_only(address: str) -> None:
    with pytest.raises(ConfigError, match="no sign-in yet"):
        require_loopback(address)
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(app, ["dashboard", "--address", address])
    assert isinstance(result.exception, ConfigError)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_addresses_are_fine(address: str) -> None:
    require_loopback(address)


def test_the_server_gets_its_whole_configuration_from_us() -> None:
    from streamlit import config

    given = options(bundled.folder("dashboards"), address="127.0.0.1", port=8501, browser=False)
    assert given["server.address"] == "127.0.0.1"
    assert given["browser.gatherUsageStats"] is False
    assert given["client.showErrorDetails"] == "none"
    assert "*" not in given["server.allowedHosts"]
    known = config.get_config_options()
    assert not [name for name in given if name not in known]


def run(*words: str) -> Result:
    return CliRunner().invoke(review_app, list(words), catch_exceptions=True)


@pytest.fixture
def case(world: Any) -> str:
    return str(seed.case_of(world, seed.held_text(world)))


def test_list_show_claim_rule(world: Any, case: str) -> None:
    shown = json.loads(run("list", "--json").stdout)
    assert (shown["total"], shown["cases"][0]["id"]) == (1, case)
    assert "card-out" in run("list").stdout
    text = run("show", case).stdout
    assert "4111 1111 1111 1111" in text
    assert "[CREDIT_CARD]" in text
    assert run("claim", "--reviewer", "ada").stdout.strip() == case
    done = json.loads(run("rule", case, "approve", "--reason", "Fine.", "--reviewer", "ada", "--json").stdout)
    assert (done["case"]["ruling"], done["case"]["assignee"]) == ("approve", "ada")
    shown = run("show", case, "--reviewer", "ada").stdout
    assert "rationale:\n  | Fine." in shown
    assert "nothing waits" in run("list").stderr
    before = review.get(world.engine, case)
    assert "1 cases rebuilt" in run("rebuild").stderr
    assert review.get(world.engine, case) == before


def test_unclaim(world: Any, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_REVIEWER", "ada")
    run("claim", case)
    assert "given back" in run("unclaim", case).stderr
    assert review.get(world.engine, case).assignee is None


def test_refusals(world: Any, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUARD_REVIEWER", raising=False)
    assert isinstance(run("claim", case).exception, ConfigError)
    result = run("rule", case, "approve", "--reason", "Fine.", "--reviewer", "ada")
    assert isinstance(result.exception, ReviewError)
    assert run("rule", case, "approve", "--reviewer", "ada").exit_code == 2


def test_terminal_output_obeys_nothing(world: Any) -> None:
    case = str(seed.case_of(world, seed.held_hostile(world)))
    for words in (("show", case), ("list",)):
        out = run(*words).stdout
        assert "\x1b" not in out
        assert "\u202e" not in out


def test_a_demo_record_is_another_one(tmp_path: Path) -> None:
    from guard import settings
    from guard.cli.demo import demo_settings

    assert demo_settings(settings.load(home=tmp_path)).store_url == f"sqlite:///{tmp_path / 'demo' / 'guard.db'}"
