"""How a record is kept: its name, who signs its checkpoints, and who vouches for them; and how streams leave."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict


@dataclass(frozen=True, slots=True)
class WitnessSpec:
    """Who cosigns checkpoints: a folder, or the URL of a C2SP tlog-witness with its verification key."""

    where: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class AuthoritySpec:
    """Who stamps checkpoints with the time: the URL of an RFC 3161 authority, and the PEM file of its certificates."""

    url: str
    anchors: Path
    required: bool = True


class Signatures(enum.StrEnum):
    """What signs checkpoints: Ed25519, which every tool reads, or ML-DSA-44 beside it, against quantum computers."""

    ED25519 = "ed25519"
    BOTH = "ed25519+ml-dsa-44"


class LogOptions(TypedDict, total=False):
    """How the log of a record is named, who signs it, and who vouches for it."""

    origin: str
    witness: WitnessSpec | None
    authority: AuthoritySpec | None
    signatures: Signatures


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """How answers leave that come in pieces (`guard.stream`). `notice` ends a stream of which something was withheld."""

    optimistic: bool = False
    notice: str = ""
