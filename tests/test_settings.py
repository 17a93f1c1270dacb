"""Settings: arguments, environment, file, defaults; nothing misspelt is ignored, no password is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from guard import settings
from guard.errors import ConfigError
from guard.options import AuthoritySpec, Signatures, WitnessSpec


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUARD_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "repo" / "sub").mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()
    monkeypatch.chdir(tmp_path / "repo" / "sub")


def test_defaults(tmp_path: Path) -> None:
    found = settings.load()
    assert found.home == tmp_path / "data" / "genguard"
    assert found.store_url == f"sqlite:///{found.home}/guard.db"
    assert found.cache == tmp_path / "cache" / "genguard"
    assert found.policy is None


def test_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repo" / "guard.toml").write_text('store = "sqlite:///toml.db"\npolicy = "toml"\nhome = "toml-home"\n')
    assert settings.load().store_url == "sqlite:///toml.db"
    monkeypatch.setenv("GUARD_STORE", "sqlite:///env.db")
    monkeypatch.setenv("GUARD_HOME", str(tmp_path / "home"))
    assert settings.load().store_url == "sqlite:///env.db"
    assert settings.load().policy == "toml"
    assert settings.load().cache == tmp_path / "home" / "cache"
    assert settings.load(store="sqlite:///arg.db", policy="p").store_url == "sqlite:///arg.db"
    monkeypatch.setenv("GUARD_POLICY", "env")
    assert settings.load().policy == "env"


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "repo" / "mine").mkdir()
    (tmp_path / "repo" / "guard.toml").write_text('policy = "mine"\n')
    assert settings.load().policy == str(tmp_path / "repo" / "mine")


def test_the_search_stops_at_the_repository(tmp_path: Path) -> None:
    (tmp_path / "guard.toml").write_text('policy = "outside"\n')
    assert settings.load().policy is None


@pytest.mark.parametrize(
    ("text", "words"),
    [("polcy = 'x'", "unknown setting 'polcy'"), ("store = ", "guard.toml"), ("store = 3", "setting 'store'")],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "repo" / "guard.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        settings.load()


def test_a_signer_is_a_chain_and_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load().signer is None
    repository = tmp_path / "repo"
    (repository / "chain.pem").touch()
    (repository / "guard.toml").write_text('c2pa_chain = "chain.pem"\nc2pa_key = "/secrets/key.pem"\n')
    assert settings.load().signer == (repository / "chain.pem", Path("/secrets/key.pem"))
    monkeypatch.setenv("GUARD_C2PA_KEY", "/env/key.pem")
    monkeypatch.setenv("GUARD_C2PA_CHAIN", "")  # empty is not set
    assert settings.load().signer == (repository / "chain.pem", Path("/env/key.pem"))
    assert settings.load(c2pa_chain="a", c2pa_key=Path("b")).signer == (Path("a"), Path("b"))


def test_a_time_stamp_authority_is_a_url_and_its_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load().authority_spec is None
    monkeypatch.setenv("GUARD_TSA", "https://time.example/tsr")
    with pytest.raises(ConfigError, match="set GUARD_TSA_ANCHORS"):
        _ = settings.load().log_options
    (tmp_path / "repo" / "roots.pem").touch()
    (tmp_path / "repo" / "guard.toml").write_text('tsa_anchors = "roots.pem"\n')
    spec = AuthoritySpec("https://time.example/tsr", tmp_path / "repo" / "roots.pem")
    assert settings.load().log_options == {
        "origin": "genguard",
        "witness": None,
        "authority": spec,
        "signatures": Signatures.ED25519,
    }
    monkeypatch.setenv("GUARD_TIMESTAMPS", "preferred")
    monkeypatch.setenv("GUARD_SIGNATURES", "ed25519+ml-dsa-44")
    found = settings.load()
    assert found.authority_spec == replace(spec, required=False)
    assert found.log_options["signatures"] is Signatures.BOTH
    for name in ("GUARD_TIMESTAMPS", "GUARD_SIGNATURES"):
        monkeypatch.setenv(name, "sometimes")
        with pytest.raises(ConfigError, match=name[6:].lower()):
            settings.load()
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("given", "missing"), [("c2pa_chain", "c2pa_key"), ("c2pa_key", "c2pa_chain")])
def test_half_a_signer_is_none(given: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GUARD_{given.upper()}", "file.pem")
    with pytest.raises(
        ConfigError, match=f"setting '{given}' needs '{missing}' beside it: set GUARD_{missing.upper()}"
    ):
        _ = settings.load().signer


def test_a_password_is_not_shown() -> None:
    found = settings.load(store="postgresql://me:hunter2@db/x")
    assert "hunter2" not in repr(found) + str(found)
    assert "hunter2" in found.store_url


def test_a_witness_is_a_folder_relative_to_the_file_or_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load().witness_spec is None
    file = tmp_path / "repo" / "guard.toml"
    file.write_text('witness = "../elsewhere"\norigin = "genguard/test"\n')
    assert settings.load().witness_spec == WitnessSpec(str(tmp_path / "repo" / ".." / "elsewhere"))
    assert settings.load().origin == "genguard/test"
    file.write_text('witness = "https://witness.example"\nwitness_key = "a+b+c"\n')
    assert settings.load().witness_spec == WitnessSpec("https://witness.example", "a+b+c")
    monkeypatch.setenv("GUARD_WITNESS", "/mnt/witness")
    assert settings.load().witness_spec == WitnessSpec("/mnt/witness", "a+b+c")
    for name in ("two words", "a+b", "\u2028", "x" * 201):
        monkeypatch.setenv("GUARD_ORIGIN", name)
        with pytest.raises(ConfigError, match="origin"):
            settings.load()
