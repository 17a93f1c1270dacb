"""Checkers by name: what ships, what others install, and what goes wrong with either."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from guard import plugins
from guard.errors import ConfigError


def test_what_ships_is_there() -> None:
    for name in plugins.BUILT_IN:
        assert plugins.checker_class(name).name == name
        assert issubclass(plugins.params_model(name) or BaseModel, BaseModel)


def test_a_third_party_package_is_found(sample_plugin: str) -> None:
    assert "sample-words" in plugins.checker_names()
    checker = plugins.build_checker("sample-words", {"words": ["a"]})
    assert checker.version == "1.0"
    assert plugins.params_model("sample-sleep") is None


def test_unknown_and_broken_names(sample_plugin: str) -> None:
    with pytest.raises(
        ConfigError, match=r"'nothing' is not known; known are bias, .*grounding, .*pii, .*sample-words"
    ):
        plugins.checker_class("nothing")
    with pytest.raises(ConfigError, match="'sample-missing' cannot be imported"):
        plugins.checker_class("sample-missing")


def test_nobody_takes_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.3\nName: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[guard.checkers]\npii = os:PathLike\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="offered more than once"):
        plugins.checker_class("pii")
