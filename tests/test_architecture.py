"""The shape of the code: layers, weight of an import, one place for broad catches, size."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import guard

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    "torch", "transformers", "diffusers", "presidio_analyzer", "spacy", "streamlit", "pandas", "numpy", "sklearn",
    "fairlearn", "onnxruntime", "tokenizers", "c2pa", "PIL", "alembic", "sqlalchemy", "pydantic", "yaml", "typer",
    "cryptography",
)  # fmt: skip


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", "pyproject.toml"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package by itself, to plant violations in."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "guard", folder / "guard", ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("guard/policy/decide.py", "from guard import pipeline", "each line imports only the lines below it"),
        ("guard/policy/decide.py", "import guard.cli", "each line imports only the lines below it"),
        ("guard/checkers/bias.py", "import guard.store.tables", "a checker sees neither the database"),
        ("guard/checkers/bias.py", "import guard.checkers.pii", "checkers do not know each other"),
        ("guard/audit/verify.py", "from guard.audit import log", "the verifier borrows nothing"),
        ("guard/policy/decide.py", "import sqlalchemy", "deciding needs no database"),
        ("guard/isolate.py", "import torch", "only guard.models, guard.scoring"),
        ("guard/review/queue.py", "import streamlit", "guard does not know its dashboard's framework"),
        ("guard/audit/merkle.py", "import guard.audit.log", "no import cycles"),
    ],
)
def test_each_contract_bites(copy: Path, file: str, line: str, contract: str) -> None:
    path = copy / file
    original = path.read_text("utf-8")
    path.write_text(f"{original}\n\ndef _planted() -> None:\n    {line}\n", "utf-8")
    try:
        done = lint(copy)
    finally:
        path.write_text(original, "utf-8")
    assert done.returncode != 0
    broken = [text for text in done.stdout.splitlines() if "BROKEN" in text]
    assert any(text.startswith(contract) for text in broken), done.stdout


def test_importing_guard_is_light() -> None:
    script = (
        "import sys, time; before = set(sys.modules); t = time.perf_counter(); import guard; "
        "spent = time.perf_counter() - t; print(spent); print(*sorted(set(sys.modules) - before))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    seconds, modules = done.stdout.splitlines()
    assert not {name.partition(".")[0] for name in modules.split()} & set(HEAVY)
    assert float(seconds) < 0.15  # the one absolute figure: the import is nearly empty, so any machine makes it


def test_help_is_light() -> None:
    script = "import sys; from guard.cli import app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    light = {"pydantic", "yaml", "typer", "cryptography", "sqlalchemy"}
    assert not loaded & (set(HEAVY) - light)


def test_public_names_are_complete_and_sorted() -> None:
    assert guard.__all__ == sorted(guard.__all__)
    for name in guard.__all__:
        assert getattr(guard, name) is not None
    assert set(guard.__all__) - {"__version__"} == set(guard._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = guard.nothing


def sources() -> Iterator[tuple[str, ast.Module, str]]:
    for folder in ("guard", "dashboards", "migrations"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            yield path.relative_to(ROOT).as_posix(), ast.parse(text), text


def test_any_exception_becomes_data_in_one_place_only() -> None:
    # `drive` and `adrive` hand what a step raised to the flow, which records it and raises it again.
    allowed = {("guard/worker.py", "attempt"), ("guard/flow.py", "drive"), ("guard/flow.py", "adrive")}
    found = set()
    for name, tree, _ in sources():
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _reraises(node):
                    found.add((name, function.name))
    assert found == allowed


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")


def _reraises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) and node.exc is None for node in handler.body)


def test_modules_stay_small() -> None:
    long = {name: count for name, _, text in sources() if (count := len(text.splitlines())) > 400}
    assert not long


def test_only_digest_hashes() -> None:
    for name, tree, _ in sources():
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
        }
        assert name == "guard/digest.py" or not imported & {"hashlib", "hmac"}, name


def test_the_schema_for_editors_is_fresh() -> None:
    from guard.policy.editor import schema_text

    file = ROOT / "policies" / "schema.json"
    assert file.read_text("utf-8") == schema_text(), "run  guard policy schema --out policies/schema.json"
