"""From the record to a signed file and back: what the command writes, `guard inspect` proves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guard.audit.read import Reader
from guard.audit.vault import Vault
from guard.cli import app
from guard.digest import label
from guard.errors import CallerError, OperationError
from guard.fairness import printed
from guard.keys import KeyRing
from guard.provenance.inspect import inspect
from guard.provenance.verdict import Verdict
from guard.store.engine import open_engine
from tests.conftest import chromium_path
from tests.fairness import planted


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    it = planted.record(tmp_path, 800)
    it.engine.dispose()
    monkeypatch.setenv("GUARD_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["fairness", *arguments], catch_exceptions=True)


def test_an_issued_report_can_be_proved(home: Path) -> None:
    done = run(
        "report", "--groups", "sex,age", "--since", "2026-01-01", "--out", "report.html", "--json", "report.json"
    )
    assert done.exit_code == 0, done.output
    assert "Groups fare differently" in done.stdout
    html = (home / "report.html").read_bytes()
    sidecar = (home / "report.html.stamp.json").read_text()
    engine, keys = open_engine(f"sqlite:///{home / 'guard.db'}", create=False), KeyRing(home / "keys")
    reader = Reader(engine, Vault(keys))
    found = inspect(html, keys=keys, reader=reader, sidecar=sidecar)
    assert found.verdict is Verdict.TRUSTED
    assert {each.layer: each.status for each in found.evidence} == {
        "manifest": "valid", "watermark": "not_looked", "record": "released",
    }  # fmt: skip
    assert inspect(html, keys=keys, reader=reader).verdict is Verdict.RECOVERED
    changed = html.replace(b"12.", b"13.", 1)
    assert inspect(changed, keys=keys, reader=reader, sidecar=sidecar).verdict is Verdict.CONTRADICTED
    assert inspect(changed, keys=keys, reader=reader).verdict is Verdict.NO_EVIDENCE
    [entry] = reader.latest(kind="report")
    assert entry.intact
    assert entry.fields["report"]["files"] == {
        "report.html": label(html), "report.json": label((home / "report.json").read_bytes()),
    }  # fmt: skip
    assert json.loads(sidecar)["receipt"]["entry"] == entry.seq
    engine.dispose()
    again = json.loads((home / "report.json").read_text())
    assert "--until" in again["command"]
    assert (
        run("report", "--groups", "sex,age", "--json", "again.json", "--until", again["source"]["until"]).exit_code == 0
    )
    second = json.loads((home / "again.json").read_text())
    assert (second["results"], second["source"]["digest"]) == (again["results"], again["source"]["digest"])


def test_the_gate_by_its_exit_codes(home: Path) -> None:
    assert run("report", "--groups", "sex", "--json", "report.json").exit_code == 0
    stopped = run("gate", "report.json", "--max-gap", "0.05")
    assert stopped.exit_code == 1
    assert "FAIL  Blocked: the gap of m from f (sex)" in stopped.stdout
    assert "Blocked" not in run("gate", "report.json", "--max-gap", "0.5").stdout  # means have a line of their own
    assert run("gate", "report.json", "--max-gap", "0.05", "--baseline", "report.json").exit_code == 0
    assert isinstance(run("gate", "none.json", "--max-gap", "0.05").exception, CallerError)  # exit code 2


def test_rows_of_a_file_need_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{'ab'[at % 2]},{int(at % 8 == 1)},{at % 3 % 2},{at % 2},x\n" for at in range(400))
    Path("rows.csv").write_text("team,refusal,truth,guess,note\n" + rows)
    options = ("--data", "rows.csv", "--groups", "team", "--label", "truth", "--predicted", "guess", "--skip", "note")
    done = run("report", *options, "--out", "report.html", "--reference", "team=b")
    assert done.exit_code == 0, done.output
    html = Path("report.html").read_text("utf-8")
    assert "Equalised odds" in html
    assert "--reference team=b" in html


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--groups", "sex"), "say where the report goes"),
        (("--groups", "sex", "--json", "r.json", "--pdf", "r.pdf"), "--pdf needs --out"),
        (("--groups", "sex", "--json", "r.json", "--period", "year"), "day, week, month"),
        (("--groups", "sex", "--json", "r.json", "--reference", "f"), "attribute=group"),
        (("--groups", "sex", "--json", "r.json", "--label", "l"), "give --data FILE"),
        (("--groups", "sex", "--json", "r.json", "--data", "x.csv", "--since", "2026-01-01"), "leave one out"),
        (("--groups", "eyes", "--json", "r.json"), "no request declares the group 'eyes'"),
        (("--groups", ",", "--json", "r.json"), "name the groups"),
        (("--groups", "sex", "--out", "no/where.html"), "cannot write"),
    ],
)
def test_what_the_command_refuses(home: Path, options: tuple[str, ...], words: str) -> None:
    done = run("report", *options)
    assert isinstance(done.exception, CallerError)
    assert words in str(done.exception)


@pytest.mark.browser
@pytest.mark.skipif(chromium_path() is None, reason="no Chromium")
def test_the_pdf_is_printed() -> None:
    paper = printed.pdf(b"<!doctype html><html lang=en><title>t</title><h1>Report</h1></html>")
    assert paper.startswith(b"%PDF-")
    assert b"/MarkInfo" in paper  # tagged, for screen readers


def test_without_a_browser_there_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(OperationError, match="print the HTML file"):
        printed.pdf(b"")
