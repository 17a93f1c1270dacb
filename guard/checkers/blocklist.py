"""Images that somebody has listed: PDQ hashes within a distance of those in block lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from guard import pdq
from guard.checkers.images import Pictures
from guard.digest import label
from guard.errors import ConfigError
from guard.types import Finding, Item

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

CATEGORY = "blocklisted_image"
PLAIN = 50  # quality below which a picture is too flat for its hash to mean anything
_LINE = re.compile(r"([0-9a-fA-F]{64})(?:[\s,;]+(.*))?")


class BlocklistChecker:
    """Reports images whose hash is near one of a list. Flat pictures have no hash that means anything, and no finding."""

    class Params(Pictures):
        """What a policy may set."""

        lists: tuple[Path, ...] = Field(
            min_length=1,
            description="text files with a PDQ hash (64 hexadecimal digits) and a reason on each line; # comments",
        )
        distance: int = Field(31, ge=0, le=127, description="most of the 256 bits that may differ")
        turned: bool = Field(True, description="match quarter turns and mirror images too")

    name = "blocklist"
    kinds = frozenset({"image"})
    horizon = "document"
    categories = frozenset({CATEGORY})

    def __init__(self, params: Params) -> None:
        self._params = params
        self._hashes, self._reasons, digest = _read(params.lists)
        self.version = f"1+pdq+{digest}"

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """One finding for each reason whose hashes are near, from 0.5 at the greatest distance to 1 for the same hash."""
        return [list(self._findings(self._params.of(item))) for item in items]

    def _findings(self, frames: Sequence[Picture]) -> Iterator[Finding]:
        nearest: dict[str, int] = {}
        for frame in frames:
            hashes, quality = pdq.hashes(frame, turned=self._params.turned)
            if quality < PLAIN:
                continue
            apart = pdq.distances(hashes, self._hashes).min(axis=0)
            for index in (apart <= self._params.distance).nonzero()[0].tolist():
                reason = self._reasons[index]
                nearest[reason] = min(nearest.get(reason, pdq.BITS), int(apart[index]))
        for reason, bits in sorted(nearest.items()):
            score = 1 - bits / (2 * self._params.distance) if bits else 1.0
            message = f"on a block list: {reason}" if reason else "on a block list"
            yield Finding(CATEGORY, round(score, 4), message=f"{message} ({bits} of {pdq.BITS} bits differ)")


def _read(files: Sequence[Path]) -> tuple[Any, list[str], str]:
    """Array (hashes, 32), the reasons, and a digest of the files."""
    import numpy as np

    hashes, reasons, digests = [], [], []
    for file in files:
        try:
            data = file.read_bytes()
            lines = data.decode("utf-8-sig").splitlines()
        except OSError as error:
            raise ConfigError(f"cannot read the block list {file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"the block list {file} is not UTF-8") from error
        digests.append(label(data))
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                raise ConfigError(f"{file}:{number}: not a PDQ hash of 64 hexadecimal digits with a reason behind it")
            hashes.append(bytes.fromhex(match[1]))
            reasons.append((match[2] or "").strip())
    if not hashes:
        raise ConfigError(f"the block list {files[0]} holds no hash, so nothing could ever match")
    digest = label("\n".join(digests).encode()).removeprefix("sha256:")[:12]
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32), reasons, digest
