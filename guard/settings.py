"""Settings, read at the edges (command line, dashboard, Guard's constructor) and passed down as arguments.

Order: arguments, then the environment (GUARD_ and the setting's name in capitals, such as GUARD_STORE), then the nearest
`guard.toml` between the working directory and the root of its repository, then the defaults. Unknown keys in `guard.toml`
are errors.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from guard.errors import ConfigError
from guard.options import AuthoritySpec, LogOptions, Signatures, WitnessSpec

_PATHS = ("home", "policy", "tsa_anchors", "c2pa_chain", "c2pa_key")


def _default_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "genguard"


class Settings(BaseSettings):
    """What a deployment chooses. The store's URL may hold a password, so it never prints."""

    model_config = SettingsConfigDict(env_prefix="GUARD_", env_ignore_empty=True, extra="forbid", frozen=True)

    store: SecretStr | None = Field(None, description="database URL; default: SQLite in the home folder")
    home: Path = Field(default_factory=_default_home, description="keys, cache and the embedded database")
    policy: str | None = Field(None, description="policy file, folder or the name of a shipped policy")
    origin: str = Field(
        "genguard",
        pattern=r"^[!-*,-~]{1,200}$",
        description="the log's name in its checkpoints, without spaces and '+'",
    )
    witness: str | None = Field(
        None, description="who cosigns checkpoints: a folder elsewhere, or a tlog-witness's URL"
    )
    witness_key: str | None = Field(
        None, description="verification key of a witness that has a URL, and after it those that it had before"
    )
    tsa: str | None = Field(
        None,
        description="URL of an RFC 3161 authority that stamps the time: checkpoints, and credentials where a policy asks",
    )
    tsa_anchors: Path | None = Field(None, description="PEM file of the root certificates that its stamps must lead to")
    timestamps: Literal["required", "preferred"] = Field(
        "required", description="whether a stamp that cannot be had is an error, or only a warning"
    )
    signatures: Signatures = Field(
        Signatures.ED25519,
        description="what signs checkpoints: ed25519, or ed25519+ml-dsa-44 against quantum computers",
    )
    system: str | None = Field(
        None, description="the AI system that is served, as its operator calls it; stands in entries"
    )
    environment: str | None = Field(None, description="where it runs, such as production; stands in entries")
    retention: str | None = Field(None, description="how long content is kept, such as 400d; default: for ever")
    c2pa_chain: Path | None = Field(
        None, description="PEM certificates of the signer of credentials: its own, then its issuers'"
    )
    c2pa_key: Path | None = Field(None, description="PEM private key of that signer, readable by its owner only")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment; `load` adds the file below them."""
        return init_settings, env_settings, _TomlSource(settings_cls)

    @property
    def store_url(self) -> str:
        """The database URL in the clear; do not log it."""
        return self.store.get_secret_value() if self.store else f"sqlite:///{self.home / 'guard.db'}"

    @property
    def signer(self) -> tuple[Path, Path] | None:
        """The chain and the key of whoever signs credentials; None for the development authority."""
        if self.c2pa_chain and self.c2pa_key:
            return self.c2pa_chain, self.c2pa_key
        if self.c2pa_chain or self.c2pa_key:
            given, missing = ("c2pa_chain", "c2pa_key") if self.c2pa_chain else ("c2pa_key", "c2pa_chain")
            raise ConfigError(f"setting {given!r} needs {missing!r} beside it: set GUARD_{missing.upper()} as well")
        return None

    @property
    def witness_spec(self) -> WitnessSpec | None:
        """The witness, where there is one."""
        return WitnessSpec(self.witness, self.witness_key) if self.witness else None

    @property
    def deployment(self) -> dict[str, str | None]:
        """What every entry of an outcome says of where it was made."""
        return {"system": self.system, "environment": self.environment}

    @property
    def authority_spec(self) -> AuthoritySpec | None:
        """The time stamp authority, where there is one."""
        if self.tsa and not self.tsa_anchors:
            raise ConfigError("setting 'tsa' needs 'tsa_anchors' beside it: set GUARD_TSA_ANCHORS as well")
        if not self.tsa or not self.tsa_anchors:
            return None
        return AuthoritySpec(self.tsa, self.tsa_anchors, self.timestamps == "required")

    @property
    def log_options(self) -> LogOptions:
        """What a `Log` takes besides its database and keys."""
        return LogOptions(
            origin=self.origin,
            witness=self.witness_spec,
            authority=self.authority_spec,
            signatures=self.signatures,
        )

    @property
    def keys(self) -> Path:
        """The folder of the key files."""
        return self.home / "keys"

    @property
    def cache(self) -> Path:
        """What can be made again: trained demo models."""
        if "GUARD_HOME" in os.environ or self.home != _default_home():
            return self.home / "cache"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genguard"


class _TomlSource(PydanticBaseSettingsSource):
    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = find_file(Path.cwd())
        if path is None:
            return {}
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
        unknown = sorted(set(values) - set(Settings.model_fields))
        if unknown:
            known = ", ".join(Settings.model_fields)
            raise ConfigError(f"{path}: unknown setting {unknown[0]!r}; the settings are {known}")
        for name in _PATHS:  # relative paths are relative to the file, wherever the program was started
            if isinstance(values.get(name), str) and (path.parent / values[name]).exists():
                values[name] = str(path.parent / values[name])
        witness = values.get("witness")
        if isinstance(witness, str) and not witness.startswith(("http://", "https://")):
            values["witness"] = str(path.parent / witness)  # the folder may have to be made yet
        return values


def find_file(start: Path) -> Path | None:
    """The nearest `guard.toml` at or above `start`, not looking beyond the repository's root."""
    for folder in (start, *start.parents):
        if (folder / "guard.toml").is_file():
            return folder / "guard.toml"
        if (folder / ".git").exists():
            return None
    return None


def load(
    *,
    store: str | None = None,
    home: str | Path | None = None,
    policy: str | Path | None = None,
    c2pa_chain: str | Path | None = None,
    c2pa_key: str | Path | None = None,
) -> Settings:
    """Settings for this process; arguments that are not None win. Raises ConfigError naming the setting."""
    given = {"store": store, "home": home, "policy": str(policy) if policy else None}
    given |= {"c2pa_chain": c2pa_chain, "c2pa_key": c2pa_key}
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigError(f"setting {name!r}: {first['msg']}") from error
