"""A mark that the policy requires and that cannot be made: nothing is released, and the record says why."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard import Guard, State, Text, cli
from guard.media import content_of
from guard.provenance import credentials, wrapped
from guard.provenance.certs import AUTHORITY_FILE
from guard.types import Content, Media
from tests.provenance.files import FILES

OPEN: dict[str, Any] = {"name": "open", "version": "1", "checkers": {}, "rules": []}
KINDS = ("image/png", "audio/wav", "video/mp4", "application/pdf")
SIGNER = "c2pa-development-signer-1.pem"
Fault = Callable[[Path, pytest.MonkeyPatch], object]


def others_can_read(keys: Path, patch: pytest.MonkeyPatch) -> None:
    (keys / SIGNER).chmod(0o644)


def cut_off(keys: Path, patch: pytest.MonkeyPatch) -> None:
    (keys / SIGNER).write_bytes((keys / SIGNER).read_bytes()[:100])


def of_another_authority(keys: Path, patch: pytest.MonkeyPatch) -> None:
    (keys / AUTHORITY_FILE).unlink()


def a_folder(keys: Path, patch: pytest.MonkeyPatch) -> None:
    (keys / SIGNER).unlink()
    (keys / SIGNER).mkdir()


def no_library(keys: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(sys.modules, "c2pa", None)


FAULTS: dict[Fault, str] = {
    others_can_read: "key_file",
    cut_off: "key_file",
    of_another_authority: "key_file",
    a_folder: "key_file",
    no_library: "missing_extra",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_released_and_the_record_says_why(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Guard(OPEN, home=tmp_path) as g:
        assert g.wrap(lambda _: FILES["image/png"]())("go").state is State.RELEASED
    fault(tmp_path / "keys", monkeypatch)
    with Guard(OPEN, home=tmp_path) as g:
        exported = Text("A report.")
        for content in (*(content_of(FILES[kind]()) for kind in KINDS), exported):
            outcome = g.stamp(content, model="m")
            assert (outcome.state, outcome.content, outcome.stamp) == (State.BLOCKED, None, None)
            [entry] = g.ledger.reader.history(outcome.request_id)
            why = f"required mark missing; manifest: {FAULTS[fault]}"
            assert g.ledger.details(entry)["results"][-1]["error"] == why
            assert g.ledger.reader.body(entry.seq, "release") is None
            assert entry.fields["stamp"] is None
        said = g.wrap(lambda _: "An answer.")("go")  # whose manifest needs neither
        assert said.state is State.RELEASED


def test_what_no_policy_requires_is_released_without_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_library(tmp_path, monkeypatch)
    stamp = {name: [] for name in ("image", "audio", "video", "document")}
    with Guard({**OPEN, "stamp": stamp}, home=tmp_path) as g:
        for kind in KINDS:
            outcome = g.stamp(content_of(FILES[kind]()), model="m")
            assert outcome.state is State.RELEASED
            assert outcome.stamp is not None
            assert outcome.stamp.layers[0].detail == {"reason": "missing_extra"}


def test_a_disk_without_room_for_a_key(tmp_path: Path) -> None:
    """In a process that may not write another byte to any file."""
    code = """
import resource, signal, sys
from pathlib import Path
from guard.keys import KeyRing
from guard.provenance.stamp import Stamper
from guard.types import Image, PolicyRef
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
image = Image(Path(sys.argv[2]).read_bytes())
same, made = Stamper(KeyRing(Path(sys.argv[1]))).stamp(
    image, request_id="r", policy=PolicyRef("p", "1", "d"), generator={})
print(same is image, made.layers[0].status, made.layers[0].detail["reason"])
"""
    (tmp_path / "a.png").write_bytes(FILES["image/png"]())
    command = [sys.executable, "-c", code, str(tmp_path / "keys"), str(tmp_path / "a.png")]
    # The log goes to a pipe, which has no such limit.
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "failed", "key_file"]
    assert "cannot create" in answer.stderr


# --- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`guard stamp`, in this process: its exit code and its JSON."""

    def run(name: str, data: bytes) -> tuple[int, dict[str, Any]]:
        (tmp_path / name).write_bytes(data)
        (tmp_path / "policy.yaml").write_text(json.dumps(OPEN))
        where = ["--policy", str(tmp_path / "policy.yaml"), "--home", str(tmp_path / "home")]
        files = [str(tmp_path / name), "--out", str(tmp_path / f"out-{name}")]
        monkeypatch.setattr(sys, "argv", ["guard", "stamp", *files, "--model", "theirs", "--json", *where])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(str(end.value.code)), json.loads(capsys.readouterr().out)

    return run


def test_the_command_signs_files_and_texts(
    stamp: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in (("a.pdf", FILES["application/pdf"]()), ("a.wav", FILES["audio/wav"]()), ("a.md", b"# Report\n")):
        code, printed = stamp(name, data)
        assert (code, printed["state"]) == (0, "released")
        content: Content = content_of((tmp_path / f"out-{name}").read_bytes())
        found = credentials.read(content) if isinstance(content, Media) else wrapped.read(content)
        assert found.state is credentials.State.VALID
        assert found.generation["model"] == {"name": "theirs", "weights": None}
    monkeypatch.setitem(sys.modules, "c2pa", None)
    code, printed = stamp("b.pdf", FILES["application/pdf"]())
    assert (code, printed["state"], printed["content"]) == (4, "blocked", None)
    assert not (tmp_path / "out-b.pdf").exists()
