"""`guard corpus`: build, show, find and probe, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guard.cli import app
from guard.errors import ConfigError
from tests.corpus.test_index import prose
from tests.tiny import make


def run(*words: str, text: str = "") -> Result:
    result = CliRunner().invoke(app, ["corpus", *words], input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GUARD_HOME", str(tmp_path / "home"))
    folder = tmp_path / "works"
    folder.mkdir()
    (folder / "a.txt").write_text(prose(1, 500))
    (folder / "b.txt").write_text(prose(2, 500))
    (folder / "c.bin").write_bytes(bytes(300))
    return folder


def test_building_showing_and_finding(works: Path) -> None:
    done = run("build", "books", str(works), "--licence", "all rights reserved")
    assert done.exit_code == 0
    assert done.stdout.startswith("added 2 works with ")
    assert done.stderr == f"left out: {works / 'c.bin'} is not text\n"
    assert json.loads(run("build", "books", str(works), "--json").stdout)["known"] == 2
    shown = run("show", "books").stdout
    assert shown.startswith("2 works, ")
    assert "all rights reserved: 2 works" in shown
    data = json.loads(run("show", "books", "--json").stdout)
    assert (data["works"], data["run"], data["licences"]) == (2, 150, {"all rights reserved": 2})

    found = run("find", "books", text=f"He said: {(works / 'b.txt').read_text()[200:600]}")
    assert found.exit_code == 3
    assert "letters and digits as in b.txt, from about character 0 on (all rights reserved)" in found.stdout
    [copy] = json.loads(run("find", "books", "--json", text=(works / "a.txt").read_text()).stdout)
    assert (copy["title"], copy["start"], copy["at"]) == ("a.txt", 0, 0)
    nothing = run("find", "books", text="nothing of theirs")
    assert (nothing.exit_code, nothing.stdout) == (0, "no copy found\n")
    assert json.loads(run("find", "books", "--json", text="x").stdout) == []


def test_mistakes_are_named(works: Path) -> None:
    with pytest.raises(ConfigError, match="guard corpus build none"):
        run("show", "none")
    with pytest.raises(ConfigError, match="cannot name a corpus"):
        run("build", "No Name", str(works))
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        run("build", "books", "/nowhere")


def test_probing_a_model(works: Path, tmp_path: Path) -> None:
    run("build", "books", str(works))
    model = make("gpt2", tmp_path / "model")
    words = ["probe", str(model), "books", "--count", "3", "--prefix", "40", "--tokens", "8", "--device", "cpu"]
    assert run(*words).stdout.startswith("recited in 0 of 3 answers: 0.0% (95 % interval 0.0% to 56.1%)")
    data = json.loads(run(*words, "--json").stdout)
    assert (data["passages"], data["recited"], len(data["answers"])) == (3, 0, 3)
