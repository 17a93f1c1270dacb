"""A calibration: what it does to scores, what it costs in the version, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from guard.checkers import calibration
from guard.checkers.calibration import KIND, Adjustment, Document, Fitted
from guard.checkers.linear import Model
from guard.checkers.toxicity import MODEL, ToxicityChecker
from guard.errors import ConfigError
from guard.types import Checker, Finding

Ask = Callable[[Checker, str], list[Finding]]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(MODEL)


def document(model: Model, bias: float = 0.0, **changes: object) -> Document:
    head = Fitted(weights={"harassment": 1.0}, bias=bias, thresholds={"0.1": 0.25}, rows=40, positive=20)
    fields = {"kind": KIND, "model": model.digest, "sample": "0" * 64, "categories": {"harassment": head}, **changes}
    return Document.model_validate(fields)


@pytest.fixture
def written(model: Model, tmp_path: Path) -> Callable[[Document], Path]:
    def write(made: Document) -> Path:
        path = tmp_path / "own.json"
        path.write_bytes(made.data())
        return path

    return write


def test_the_identity_changes_nothing_and_others_are_left_alone(model: Model) -> None:
    logits = np.array([[1.0] * len(model.names), [-np.inf] * len(model.names)])
    same = Adjustment(document(model), model.names, "").applied(logits)
    assert (same == logits).all()
    moved = Adjustment(document(model, bias=2.0), model.names, "").applied(logits)
    assert moved[0, model.names.index("harassment")] == 3.0
    assert moved[0, model.names.index("hate")] == 1.0
    assert (moved[1] == -np.inf).all()


def test_a_policy_names_it_and_the_version_has_its_digest(
    model: Model, written: Callable[[Document], Path], ask: Ask
) -> None:
    text = "You are a complete idiot."
    path = written(document(model, bias=-30.0))
    plain = ToxicityChecker(ToxicityChecker.Params())
    fitted = ToxicityChecker(ToxicityChecker.Params.model_validate({"calibration": str(path)}))
    assert "harassment" in {finding.category for finding in ask(plain, text)}
    assert "harassment" not in {finding.category for finding in ask(fitted, text)}
    assert fitted.version.startswith(f"{plain.version}+")
    other = written(document(model, bias=-29.0))
    assert ToxicityChecker(ToxicityChecker.Params(calibration=other)).version != fitted.version


def test_stated_rates_are_thresholds(model: Model, written: Callable[[Document], Path]) -> None:
    path = written(document(model))
    asked = {"calibration": path, "categories": frozenset({"harassment"})}
    assert ToxicityChecker(ToxicityChecker.Params(false_positive_rate=0.1, **asked))._least == {0: 0.25}
    with pytest.raises(
        ConfigError, match=r"no threshold for harassment at a false-positive rate of 0\.02; stated are 0\.1"
    ):
        ToxicityChecker(ToxicityChecker.Params(false_positive_rate=0.02, **asked))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda fields: fields.update(model="f" * 64), "was fitted to model ffffffffffff.*run `guard calibrate` again"),
        (lambda fields: fields.update(kind="other"), "write it again"),
        (lambda fields: fields.update(extra=1), "is not a calibration: extra"),
        (
            lambda fields: fields["categories"].update(rude=fields["categories"]["harassment"]),
            "names 'rude'; the model knows",
        ),
        (lambda fields: fields["categories"]["harassment"].pop("bias"), "categories.harassment.bias: Field required"),
    ],
)
def test_what_does_not_fit_is_refused(
    model: Model, tmp_path: Path, change: Callable[[dict[str, object]], None], complaint: str
) -> None:
    fields = json.loads(document(model).data())
    change(fields)
    path = tmp_path / "own.json"
    path.write_text(json.dumps(fields), "utf-8")
    with pytest.raises(ConfigError, match=complaint):
        calibration.load(path, model)


def test_a_missing_file_names_the_command(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="write one with `guard calibrate`"):
        calibration.load(tmp_path / "none.json", model)
