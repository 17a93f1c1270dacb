"""`guard calibrate` writes what a policy can name, and says what it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guard.checkers.toxicity import ToxicityChecker
from guard.cli import app
from guard.errors import ConfigError
from guard.pipeline import Guard
from guard.types import Item, Stage, Text

ROWS = [
    *({"text": f"Thank you for parcel {number}.", "labels": []} for number in range(30)),
    *({"text": f"You moron, where is parcel {number}?", "labels": ["harassment"]} for number in range(30)),
]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)), "utf-8")
    return path


def test_from_sample_to_decision(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.json"
    done = CliRunner().invoke(app, ["calibrate", str(sample), "--out", str(out), "--rate", "0.1"])
    assert done.exit_code == 0, done.output
    assert "harassment: 30 of 60 rows; AUROC 1.000 as shipped, 1.000 fitted" in done.output
    assert "as shipped, for want of labels: child_sexual_exploitation, hate" in done.output
    policy = {
        "name": "own",
        "version": "1",
        "checkers": {
            "toxicity": {"params": {"calibration": str(out), "false_positive_rate": 0.1, "categories": ["harassment"]}}
        },
        "rules": [{"id": "rude", "checker": "toxicity", "category": "harassment", "threshold": 0.1, "action": "block"}],
    }
    with Guard(policy, home=tmp_path / "home") as guard:
        assert guard.check("You moron, where is it?").decision.rules == ("rude",)
        assert guard.check("Thank you for everything.").decision.rules == ()


def test_json(sample: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", str(sample), "--out", str(tmp_path / "own.json"), "--json"])
    assert done.exit_code == 0
    data = json.loads(done.output)
    assert data["categories"]["harassment"]["positive"] == 30
    assert len(data["digest"]) == len(data["model"]) == 64


def test_the_cascade_has_a_calibration_of_its_own(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.json"
    done = CliRunner().invoke(app, ["calibrate", str(sample), "--out", str(out), "--tiers", "cascade"])
    assert done.exit_code == 0, done.output
    assert f"toxicity: {{params: {{tiers: cascade, calibration: {out}}}}}" in done.output.replace("\n", "")
    params = {"tiers": "cascade", "calibration": out, "categories": frozenset({"harassment"})}
    checker = ToxicityChecker(ToxicityChecker.Params.model_validate(params))
    rude, calm = checker.check(
        [Item(Text(f"{text}, where is it?"), Stage.OUTPUT) for text in ("You moron", "Thank you")]
    )
    assert [finding.category for finding in rude] == ["harassment"]
    assert calm == []
    with pytest.raises(ConfigError, match="run `guard calibrate` again"):
        ToxicityChecker(ToxicityChecker.Params(calibration=out))


def test_mistakes_are_named(sample: Path, tmp_path: Path) -> None:
    def complaint(*arguments: str) -> str:
        error = CliRunner().invoke(app, ["calibrate", *arguments]).exception
        assert isinstance(error, ConfigError)
        return str(error)

    assert "use shares between 0 and 1" in complaint(str(sample), "--out", str(tmp_path / "x"), "--rate", "5")
    assert "use tier0 or cascade" in complaint(str(sample), "--out", str(tmp_path / "x"), "--tiers", "all")
    assert "cannot read" in complaint(str(tmp_path / "none"), "--out", str(tmp_path / "x"))
    assert "cannot write" in complaint(str(sample), "--out", str(tmp_path / "no" / "folder"))
