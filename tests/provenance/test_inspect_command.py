"""`guard inspect`: reads what lies beside the file, searches the record, and shows what strangers wrote as text only."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import guard.cli.inspect as command
from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.errors import ConfigError, KeyFileError
from guard.keys import KeyRing
from guard.provenance.certs import Identity
from guard.provenance.credentials import Claim, sign
from guard.provenance.stamp import Stamper
from guard.store.engine import open_engine, upgrade
from guard.types import Image, PolicyRef, Text

Draw = Callable[..., Image]
ANSWER = Text("Your parcel arrives on Tuesday.")


def stamped(keys: KeyRing, policy: PolicyRef) -> str:
    _, stamp = Stamper(keys).stamp(ANSWER, request_id="r", policy=policy, generator={"model": "m"})
    assert stamp.manifest is not None
    return stamp.manifest


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    app = typer.Typer()
    command.register(app)

    def invoke(*arguments: object, **options: Any) -> Any:
        given_ = [*map(str, arguments), "--home", str(tmp_path / "home")]
        result = CliRunner().invoke(app, given_, **options)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_the_command_finds_the_stamp_beside_the_file(
    run: Callable[..., Any], tmp_path: Path, policy: PolicyRef
) -> None:
    keys = KeyRing(tmp_path / "home" / "keys")
    file = tmp_path / "answer.txt"
    file.write_bytes(ANSWER.data)
    assert json.loads(run(file, "--json").stdout)["verdict"] == "no_evidence"
    (tmp_path / "answer.txt.stamp.json").write_text(json.dumps({"stamp": {"manifest": stamped(keys, policy)}}))
    found = run(file, "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["verdict"] == "trusted"
    moved = tmp_path / "moved.json"
    (tmp_path / "answer.txt.stamp.json").rename(moved)
    assert "trusted" in run(file, "--manifest", moved).stdout
    assert "answer.txt (text/plain): trusted" in run("-", "--manifest", moved, input=ANSWER.data).stdout.replace(
        "stdin", "answer.txt"
    )


def test_the_command_searches_the_record_and_does_not_create_one(run: Callable[..., Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    file = tmp_path / "answer.txt"
    file.write_bytes(ANSWER.data)
    assert "No record was searched" in run(file).stdout
    assert not home.exists()
    engine = open_engine(f"sqlite:///{home / 'guard.db'}")
    upgrade(engine)
    fields = {"state": "released", "decision": {"action": "allow", "rules": []}, "generator": None}
    Log(engine, KeyRing(home / "keys")).append([Draft("generation", "request-7", fields, {"release": ANSWER})])
    engine.dispose()
    shown = run(file).stdout
    assert "recovered" in shown
    assert "request-7" in shown


def test_an_image_is_shown_with_its_credential(
    run: Callable[..., Any], tmp_path: Path, draw: Draw, claim: Claim, identity: Identity, anchor: str
) -> None:
    file, authority = tmp_path / "signed.png", tmp_path / "authority.pem"
    hostile = dataclasses.replace(claim, model="tiny\x1b[2J\u202egnp.\n[red]<b>")
    file.write_bytes(sign(draw(), hostile, identity).data)
    authority.write_text(anchor)
    shown = run(file).stdout
    assert "valid" in shown
    assert "says that AI made it" in shown
    assert "tiny⟨U+001B⟩[2J⟨U+202E⟩gnp. [red]<b>" in shown
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert "trusted" in run(file, "--trust", authority).stdout


def test_every_result_exits_with_zero_and_unreadable_files_do_not(run: Callable[..., Any], tmp_path: Path) -> None:
    for data in (b"", b"\x00\xff\xfe", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WAVE", "bidi \u202e".encode()):
        file = tmp_path / "file"
        file.write_bytes(data)
        assert run(file).exit_code == 0
        assert json.loads(run(file, "--json").stdout)["verdict"] == "no_evidence"
    with pytest.raises(ConfigError, match="cannot read"):
        run(tmp_path / "missing")
    with pytest.raises(ConfigError, match="cannot read"):
        run(tmp_path)
    with pytest.raises(ConfigError, match="cannot read"):
        run(file, "--manifest", tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"\xff\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        run(file, "--manifest", tmp_path / "binary")
    with pytest.raises(KeyFileError):
        run(file, "--trust", tmp_path / "binary")
    assert run().exit_code == 2


@pytest.mark.slow
def test_a_watermark_is_looked_for_with_the_model(
    run: Callable[..., Any], tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    from guard.generators.text import TextGenerator
    from guard.models import load_text
    from guard.provenance.watermark import text_mark
    from guard.types import Generated, Request

    model = tiny("gpt2")
    keys = KeyRing(tmp_path / "home" / "keys")
    old = text_mark(keys, "greenlist")
    keys.secret("watermark-2")  # from here on the old key only reads
    mark = text_mark(keys, "gumbel")
    for name, chosen, verdict in (
        ("old", old, "probable"),
        ("marked", mark, "probable"),
        ("plain", None, "no_evidence"),
    ):
        generator = TextGenerator(load_text(model), mark=chosen)
        made = generator.generate(Request(Text("Hello"), params={"seed": 5, "max_new_tokens": 200}))
        assert isinstance(made, Generated)
        (tmp_path / name).write_bytes(made.content.data)
        found = json.loads(run(tmp_path / name, "--model", model, "--json").stdout)
        assert found["verdict"] == verdict
        assert found["evidence"][1]["details"]["tokens"] > 100
