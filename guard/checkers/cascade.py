"""Both tiers of the harm model: tier 0 reads every line, tier 1 those of which tier 0 is not sure and those that name a group.

There the two tiers' log-odds are averaged and calibrated again; elsewhere tier 0's stand. Of groups of people tier 0 is never
sure: what is said of them may be hostile without a hostile word, and the names of some look hostile to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guard.checkers import identities
from guard.checkers.encoder import Encoder
from guard.checkers.linear import Model
from guard.digest import sha256
from guard.errors import ConfigError


class Cascade:
    """Scores lines as `linear.Model` does."""

    def __init__(self, first: Model, second: Encoder) -> None:
        import numpy as np

        self.first, self.second = first, second
        self.names = first.names
        self.digest = sha256(f"{first.digest} {second.digest}".encode()).hex()
        self.version = f"{first.version}+tier1:{second.digest[:12]}"
        self.thresholds: Mapping[str, Mapping[str, float]] = {head.name: head.thresholds or {} for head in second.heads}
        self._low, self._high, self._slope, self._offset = (
            np.array([getattr(head, name) for head in second.heads])
            for name in ("low", "high", "joint_slope", "joint_offset")
        )

    @classmethod
    def load(cls, first: Model, path: Path) -> Cascade:
        """With tier 1 from its file. Raises ConfigError (missing, damaged, made for another tier 0) and MissingExtra."""
        second = Encoder.load(path)
        if (second.names, second.first) != (first.names, first.digest):
            raise ConfigError(
                f"{path.name} was fitted with tier 0 {second.first[:12]}, and this is {first.digest[:12]}; reinstall genguard"
            )
        return cls(first, second)

    def logits(self, lines: Sequence[str]) -> Any:
        """Calibrated log-odds, lines × names."""
        reads = self.first.read(lines)
        found = self.first.logits_of(reads)
        asked = self.unsure(reads, found).nonzero()[0]
        if len(asked):
            found[asked] = self.joined(found[asked], self.second.logits([reads[row] for row in asked]))
        return found

    def unsure(self, reads: Sequence[str], first: Any) -> Any:
        """Which lines (as `linear.Model.read` gives them) tier 1 has to read: those with words, and a category that tier 0 is
        not sure of or a group of people."""
        import numpy as np

        named = np.fromiter(map(identities.named, reads), bool, len(reads))
        within = (first >= self._low) & (first <= self._high)
        return (within.any(1) | named) & np.isfinite(first).all(1)

    def combined(self, reads: Sequence[str], first: Any, second: Any) -> Any:
        """What `logits` gives, from both tiers' log-odds for every line."""
        import numpy as np

        return np.where(self.unsure(reads, first)[:, None], self.joined(first, second), first)

    def joined(self, first: Any, second: Any) -> Any:
        """The calibrated mean of both tiers' log-odds."""
        return (first + second) / 2 * self._slope + self._offset
