"""The wheel holds all it needs: policies, migrations and dashboards work without a checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with the wheel; its dependencies are those of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    home = folder / "env"
    venv.create(home, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    install = [sys.executable, "-m", "pip", "--python", str(home), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return home / "bin"


def run(command: list[str], empty: Path) -> subprocess.CompletedProcess[str]:
    environment = {"GUARD_HOME": str(empty / "home"), "PATH": "/usr/bin:/bin", "HOME": str(empty)}
    return subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)


def test_an_installed_wheel_works_from_an_empty_directory(installed: Path, tmp_path: Path) -> None:
    where = run([str(installed / "python"), "-c", "import guard; print(guard.__file__)"], tmp_path)
    assert str(installed.parent) in where.stdout, where.stderr
    lint = run([str(installed / "guard"), "policy", "lint"], tmp_path)
    assert lint.returncode == 0, lint.stderr
    assert "_bundled" in lint.stdout
    assert lint.stdout.count(" is valid ") >= 2
    upgrade = run([str(installed / "guard"), "db", "upgrade"], tmp_path)
    assert upgrade.returncode == 0, upgrade.stderr
    assert (tmp_path / "home" / "guard.db").is_file()


def test_the_dashboard_ships(installed: Path, tmp_path: Path) -> None:
    script = "from guard import bundled; print(*sorted(p.name for p in bundled.folder('dashboards').iterdir()))"
    found = run([str(installed / "python"), "-c", script], tmp_path)
    assert {"app.py", "safe.py", "theme.toml", "views"} <= set(found.stdout.split()), found.stderr
