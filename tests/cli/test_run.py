"""`guard run` on saved models: one JSON object, files, exit codes. A few runs are processes as a shell starts them; the
others call the same entry point here, where the libraries are loaded already."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from guard import Guard, cli
from guard.bundled import folder
from guard.cases import blank_png
from guard.provenance import credentials, manifest
from guard.types import Image
from tests.tiny import SAYS

Tiny = Callable[[str], Path]
SHIPPED = folder("policies")
POLICY = """\
name: test
version: "1"
checkers:
  hold: {use: sample-words, params: {words: [doubt, camera]}}
  stop: {use: sample-words, params: {words: [forbidden, idiot]}}
rules:
  - {id: hold, checker: hold, action: review}
  - {id: stop, checker: stop, action: block}
"""
OUTCOME = {"request_id", "state", "decision", "results", "content", "stamp", "receipt", "case", "replayed"}
GREEDY = ("--param", "temperature=0")


@dataclass
class Done:
    code: int
    out: bytes
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(sample_plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> Run:
    """The command line, in this process."""
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GUARD_HOME", str(tmp_path / "home"))

    def call(*arguments: object, stdin: bytes = b"", policy: str = "policy.yaml") -> Done:
        words = ["run", "--policy", policy, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", ["guard", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capfdbinary.readouterr()
        assert isinstance(end.value.code, int)
        return Done(end.value.code, out, err.decode())

    return call


def shell(place: Path, *arguments: object, stdin: bytes = b"") -> Done:
    """The command line, as a process that has never heard of an offline hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**kept, "GUARD_HOME": str(place / "home")}
    command = [sys.executable, "-m", "guard", "run", *map(str, arguments)]
    done = subprocess.run(command, cwd=place, env=environment, input=stdin, capture_output=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr.decode())


def check_shape(data: Any, policy: str) -> None:
    """The keys that are documented, and no others."""
    assert set(data) == OUTCOME
    assert set(data["decision"]) == {"action", "rules", "shadow", "degraded", "policy"}
    assert set(data["decision"]["policy"]) == {"name", "version", "digest"}
    assert data["decision"]["policy"]["name"] == policy
    assert data["results"]
    for result in data["results"]:
        assert set(result) == {"checker", "version", "stage", "status", "elapsed_ms", "error", "findings"}
        assert result["status"] in ("ok", "skipped"), result
        for finding in result["findings"]:
            assert set(finding) == {"category", "score", "start", "end", "region", "message"}
    assert set(data["receipt"]) == {"entry", "size", "root", "leaf_hash", "proof", "checkpoint"}
    assert data["receipt"]["entry"] < data["receipt"]["size"]


def test_text_under_the_shipped_policy(tiny: Tiny, tmp_path: Path, network_log: Path) -> None:
    done = shell(
        tmp_path, "--policy", SHIPPED / "default", "--model", tiny("reciter"), "--prompt", "private", *GREEDY, "--json"
    )
    assert (done.code, done.err) == (0, "")
    check_shape(done.json, "default")
    assert (done.json["state"], done.json["content"]) == ("released", "Write to [EMAIL_ADDRESS] today.")
    assert (done.json["decision"]["action"], done.json["decision"]["rules"]) == ("redact", ["contact-out"])
    [finding] = [each for result in done.json["results"] for each in result["findings"]]
    assert (finding["category"], finding["start"], finding["end"]) == ("EMAIL_ADDRESS", 9, 31)
    assert {layer["kind"]: layer["status"] for layer in done.json["stamp"]["layers"]} == {
        "manifest": "applied",
        "watermark": "not_applicable",
        "fingerprint": "not_applicable",
    }
    assert not network_log.exists()


def test_an_image_under_the_shipped_policy(run: Run, tiny: Tiny, tmp_path: Path, network_log: Path) -> None:
    arguments = ["--model", tiny("painter"), "--prompt", "a red house", "--param", "num_inference_steps=1"]
    done = run(*arguments, "--json", "--out", "house.png", policy=str(SHIPPED / "baseline-image"))
    assert done.code == 0, done.err
    check_shape(done.json, "baseline-image")
    content = done.json["content"]
    assert content["media_type"] == "image/png"
    data = base64.b64decode(content["base64"])
    assert (tmp_path / "house.png").read_bytes() == data
    assert not (tmp_path / "house.png.stamp.json").exists()  # an image carries its manifest itself
    assert Pillow.open(io.BytesIO(data)).size == (64, 64)
    assert credentials.read(Image(data)).generation["request_id"] == done.json["request_id"]
    assert not network_log.exists()


@pytest.mark.parametrize(
    ("prompt", "code", "state", "rules"),
    [
        ("kind", 0, "released", []),
        ("unfair", 3, "held", ["hold"]),
        ("rude", 4, "blocked", ["stop"]),
        ("doubt", 3, "held", ["hold"]),
        ("forbidden", 4, "blocked", ["stop"]),
    ],
)
def test_exit_codes(run: Run, tiny: Tiny, prompt: str, code: int, state: str, rules: list[str]) -> None:
    done = run("--model", tiny("reciter"), "--prompt", prompt, *GREEDY, "--json")
    assert done.code == code, done.err
    check_shape(done.json, "test")
    assert (done.json["state"], done.json["decision"]["rules"]) == (state, rules)
    if code:
        assert (done.json["content"], done.json["stamp"]) == (None, None)
        assert (done.json["case"] is not None) == (code == 3)
        assert not any(word.encode() in done.out for word in ("camera", "kettle"))
    else:
        assert done.json["content"] == SAYS[prompt]
        assert manifest.verify(done.json["stamp"]["manifest"], SAYS[prompt], []).state is manifest.State.UNKNOWN_SIGNER


def test_for_people_the_content_goes_to_stdout_and_talk_to_stderr(run: Run, tiny: Tiny) -> None:
    done = run("--model", tiny("reciter"), "--prompt", "kind", *GREEDY)
    assert (done.code, done.out) == (0, SAYS["kind"].encode() + b"\n")
    assert "released · allow" in done.err
    held = run("--model", tiny("reciter"), "--prompt", "unfair", *GREEDY)
    assert (held.code, held.out) == (3, b"")
    assert "held · review" in held.err
    assert "camera" not in held.err
    drawn = run(
        "--model", tiny("painter"), "--prompt", "snow", "--param", "num_inference_steps=1", policy=open_policy()
    )
    assert (drawn.code, drawn.out[:8]) == (0, b"\x89PNG\r\n\x1a\n")


def open_policy() -> str:
    """A policy that looks at nothing."""
    Path("open.yaml").write_text('name: open\nversion: "1"\ncheckers: {}\nrules: []\n', "utf-8")
    return "open.yaml"


def test_a_text_is_written_with_its_manifest_beside_it(run: Run, tiny: Tiny, tmp_path: Path) -> None:
    done = run("--model", tiny("reciter"), "--prompt", "kind", *GREEDY, "--out", "answer.txt", "--json")
    assert done.code == 0, done.err
    assert (tmp_path / "answer.txt").read_text("utf-8") == SAYS["kind"] == done.json["content"]
    beside = (tmp_path / "answer.txt.stamp.json").read_text("utf-8")
    assert beside == done.json["stamp"]["manifest"]
    held = run("--model", tiny("reciter"), "--prompt", "unfair", *GREEDY, "--out", "held.txt")
    assert held.code == 3
    assert not list(tmp_path.glob("held*"))


def test_a_request_id_is_answered_once(run: Run, tiny: Tiny) -> None:
    arguments = ("--model", tiny("gpt2"), "--prompt", "Hello", "--id", "one", "--param", "max_new_tokens=12", "--json")
    first, second = run(*arguments), run(*arguments)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert (first.json["replayed"], second.json["replayed"]) == (False, True)
    for key in ("request_id", "state", "decision", "results", "content", "stamp"):
        assert second.json[key] == first.json[key]  # although it draws: the second drew nothing
    assert second.json["receipt"]["entry"] == first.json["receipt"]["entry"]
    other = run(*arguments[:3], "Hallo", *arguments[4:])
    assert other.code == 2
    assert "used before for another prompt" in other.err


def test_parameters_requester_and_purpose(run: Run, tiny: Tiny) -> None:
    base = ("--model", tiny("gpt2"), "--prompt", "Hello", "--json", "--param", "max_new_tokens=12")
    policy = open_policy()
    who = ("--requester", "user:1", "--purpose", "chat")
    seeded = [run(*base, "--param", "seed=5", "--param", 'stop=["\\n"]', *who, policy=policy) for _ in range(2)]
    assert seeded[0].json["content"] == seeded[1].json["content"] != run(*base, policy=policy).json["content"]
    with Guard(policy) as g:
        entry = g.ledger.reader.entry(seeded[0].json["receipt"]["entry"])
    assert entry is not None
    params = {"max_new_tokens": 12, "seed": 5}  # a stop text may quote somebody, so it is sealed
    assert entry.fields["request"] == {"purpose": "chat", "groups": {}, "params": params}


def test_a_prompt_from_stdin(run: Run, tiny: Tiny) -> None:
    assert (
        run("--model", tiny("reciter"), "--prompt", "-", *GREEDY, stdin=b"kind\n").out.decode().strip() == SAYS["kind"]
    )
    done = run("--model", tiny("reciter"), "--prompt", "-", stdin=blank_png(), policy=open_policy())
    assert done.code == 2
    assert "takes a text prompt, not image" in done.err
    done = run("--model", tiny("reciter"), "--prompt", "-", stdin=b"\xff\xfe")
    assert done.code == 2
    assert "not UTF-8" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "no/where", "--prompt", "x"], "there is no folder 'no/where'; to load it from the hub, pin it"),
        (["--model", "/no/where", "--prompt", "x"], "no such model folder: /no/where"),
        (["--model", ".", "--prompt", "x"], "holds no safetensors weights"),
        (["--model", "TEXT", "--prompt", "x", "--param", "heat=1"], "unknown generation parameter 'heat'"),
        (["--model", "TEXT", "--prompt", "x", "--param", "temperature=hot"], "generation parameter 'temperature'"),
        (["--model", "TEXT", "--prompt", "x", "--param", "temperature=NaN"], "parameter 'temperature'"),
        (["--model", "TEXT", "--prompt", "x", "--param", "temperature"], "write it as name=value"),
        (
            ["--model", "TEXT", "--prompt", "x", "--param", "id=7"],
            "--param id: this is no parameter of a model; see --id",
        ),
        (["--model", "TEXT", "--prompt", "x", "--param", "groups=3"], "--param groups"),
        (["--model", "TEXT", "--prompt", "x", "--device", "warp"], "unknown device 'warp'"),
        (["--model", "TEXT", "--prompt", ""], "the prompt is empty"),
        (["--model", "TEXT", "--prompt", "x" * 600], "shorten the prompt"),
        (["--model", "TEXT", "--prompt", "a\udcff"], "not valid Unicode"),
        (["--model", "TEXT", "--prompt", "x", "--id", "a\nb"], "printable"),
        (["--model", "TEXT", "--prompt", "x", "--store", "mysql://x"], "the store cannot be"),
        (["--model", "TEXT", "--prompt", "x", "--out", "no/where.txt"], "cannot write no/where.txt"),
        (["--model", "IMAGE", "--prompt", "x", "--param", "width=7"], "generation parameter 'width'"),
        (["--model", "IMAGE", "--prompt", "x", "--param", "max_new_tokens=7"], "parameter 'max_new_tokens'"),
        (["--model", "TEXT"], "give --prompt TEXT"),
        (["--prompt", "x"], "--model"),
        (["--model", "TEXT", "--prompt", "x", "--policy", "nowhere"], "there is no policy at nowhere"),
    ],
)
def test_mistakes_are_exit_2_and_say_what_to_do(run: Run, tiny: Tiny, arguments: list[str], words: str) -> None:
    folders = {"TEXT": "gpt2", "IMAGE": "painter"}
    done = run(*(tiny(folders[word]) if word in folders else word for word in arguments), policy=open_policy())
    assert done.code == 2, done.err
    assert words in done.err
    assert done.out == b""
    assert "Traceback" not in done.err
