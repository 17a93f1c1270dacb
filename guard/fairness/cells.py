"""Sufficient statistics: by combination of groups and by measure the number of values, their sum and the sum of squares.

Whatever the report says follows from these alone, so ten million rows cost what ten cost. Values are those of
`fairlearn.metrics.MetricFrame`: a rate or mean is the sum over the number, by group. What is missing (None or NaN) is not
counted, and is told apart from zero everywhere.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guard.errors import ConfigError
from guard.fairness.measures import Measure

if TYPE_CHECKING:
    import numpy as np

Group = tuple[str, ...]  # one value for each attribute, in the order of the attributes
Values = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Row:
    """One outcome. `groups` are declared by whoever sent it; nothing infers them. `period` sorts as text, such as a day."""

    groups: Mapping[str, str]
    values: Values
    period: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One measure by the groups of one dimension: arrays with one number for each group. `rows` also counts the rows
    in which the measure has no value."""

    measure: Measure
    dimension: tuple[str, ...]
    groups: tuple[Group, ...]
    rows: np.ndarray
    n: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """By group; NaN where there is no value."""
        import numpy as np

        means: np.ndarray = np.divide(self.total, self.n, out=np.full(len(self.n), np.nan), where=self.n > 0)
        return means

    @property
    def variances(self) -> np.ndarray:
        """The unbiased sample variance by group; NaN below two values."""
        import numpy as np

        spread = np.maximum(self.squares - self.total**2 / np.maximum(self.n, 1), 0.0)
        variances: np.ndarray = np.divide(spread, self.n - 1, out=np.full(len(self.n), np.nan), where=self.n > 1)
        return variances

    def only(self, keep: np.ndarray) -> Table:
        """The groups where `keep` is true."""
        groups = tuple(group for group, kept in zip(self.groups, keep, strict=True) if kept)
        arrays = (self.rows[keep], self.n[keep], self.total[keep], self.squares[keep])
        return Table(self.measure, self.dimension, groups, *arrays)


@dataclass(slots=True)
class Cells:
    """Adds rows up. `attributes` are the names of the groups; a row that does not declare one has None there."""

    attributes: tuple[str, ...]
    measures: tuple[Measure, ...]
    rows: int = 0
    _sums: dict[tuple[str, tuple[str | None, ...]], list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.attributes:
            raise ConfigError("name the groups to compare, such as --groups gender,age")
        names = [measure.name for measure in self.measures]
        for what, listed in (("group", self.attributes), ("measure", names)):
            if len(set(listed)) < len(listed):
                raise ConfigError(f"the same {what} is named twice in {', '.join(listed)}: name each once")

    def add(self, row: Row) -> None:
        """Count one row. Raises ConfigError for a rate that is neither 0 nor 1, and for infinities."""
        key = row.period, tuple(row.groups.get(name) or None for name in self.attributes)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0.0] * (1 + 3 * len(self.measures))
        self.rows += 1
        sums[0] += 1
        at = 1
        for measure in self.measures:
            value = row.values.get(measure.name)
            if value is not None and not math.isnan(value):
                if (measure.kind == "rate" and value not in (0, 1)) or math.isinf(value):
                    raise ConfigError(f"{measure.name} is {value}: a rate needs 0 or 1, a mean a finite number")
                sums[at] += 1
                sums[at + 1] += value
                sums[at + 2] += value * value
            at += 3

    def add_all(self, rows: Iterable[Row]) -> Cells:
        """Count many rows, one after the other."""
        for row in rows:
            self.add(row)
        return self

    def add_columns(self, groups: Sequence[Any], values: Mapping[str, Any], period: str = "") -> Cells:
        """Count columns at once: for each attribute an array of group names (n), for each measure an array of numbers (n)."""
        import numpy as np

        index = np.zeros(len(groups[0]), np.intp)
        names: list[Group] = [()]
        for column in groups:
            listed = column.tolist() if isinstance(column, np.ndarray) else column
            found = {name: code for code, name in enumerate(sorted(set(listed)))}  # hashing beats sorting the rows
            index = index * len(found) + np.fromiter(map(found.__getitem__, listed), np.intp, len(index))
            names = [(*before, str(name)) for before in names for name in found]
        rows = np.bincount(index, minlength=len(names))
        columns = [rows.astype(float)]
        for measure in self.measures:
            value = np.asarray(values[measure.name], float)
            known = np.isfinite(value)
            if np.isinf(value).any() or (measure.kind == "rate" and not np.isin(value[known], (0.0, 1.0)).all()):
                raise ConfigError(f"{measure.name}: a rate needs 0 or 1, a mean finite numbers (NaN is missing)")
            at, some = (index, value) if known.all() else (index[known], value[known])
            count = rows if known.all() else np.bincount(at, minlength=len(names))
            total = np.bincount(at, some, len(names))
            squares = total if measure.kind == "rate" else np.bincount(at, some * some, len(names))
            columns += [count.astype(float), total, squares]
        table = np.stack(columns, axis=1)
        for number in np.flatnonzero(rows):
            sums = self._sums.setdefault((period, names[number]), [0.0] * table.shape[1])
            sums[:] = [before + more for before, more in zip(sums, table[number].tolist(), strict=True)]
        self.rows += int(rows.sum())
        return self

    @property
    def periods(self) -> list[str]:
        """The periods, oldest first."""
        return sorted({period for period, _ in self._sums})

    @property
    def dimensions(self) -> list[tuple[str, ...]]:
        """Each attribute alone, and where there are several, all of them together (their intersections)."""
        alone: list[tuple[str, ...]] = [(name,) for name in self.attributes]
        return [*alone, self.attributes] if len(alone) > 1 else alone

    def undeclared(self, dimension: Sequence[str]) -> int:
        """How many rows do not declare a group in every attribute of a dimension."""
        return self.rows - int(sum(sums[0] for sums in self._marginal(dimension, None).values()))

    def tables(self, dimension: Sequence[str], period: str | None = None) -> list[Table]:
        """One table a measure, over all periods or one; groups in alphabetical order."""
        import numpy as np

        summed = self._marginal(dimension, period)
        groups = tuple(sorted(summed))
        data = np.array([summed[group] for group in groups]).reshape(len(groups), 1 + 3 * len(self.measures))
        at = enumerate(self.measures)
        return [
            Table(measure, tuple(dimension), groups, data[:, 0], *(data[:, 1 + 3 * i + j] for j in range(3)))
            for i, measure in at
        ]

    def by_period(self, dimension: Sequence[str]) -> dict[str, list[Table]]:
        """The tables of each period."""
        return {period: self.tables(dimension, period) for period in self.periods}

    def _marginal(self, dimension: Sequence[str], period: str | None) -> dict[Group, list[float]]:
        places = [self.attributes.index(name) for name in dimension]
        gathered: dict[Group, list[list[float]]] = defaultdict(list)
        for (when, key), sums in self._sums.items():
            group = tuple(value for place in places if (value := key[place]) is not None)
            if len(group) == len(places) and period in (None, when):
                gathered[group].append(sums)
        return {group: [math.fsum(column) for column in zip(*parts, strict=True)] for group, parts in gathered.items()}


def odds(label: float | None, predicted: float | None) -> dict[str, float | None]:
    """The values of the two measures of equalised odds in one row: each is over the rows with one label."""
    return {
        "true_positive_rate": predicted if label == 1 else None,
        "false_positive_rate": predicted if label == 0 else None,
    }
