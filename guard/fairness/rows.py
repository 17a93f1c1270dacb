"""Labelled rows from a file: CSV with a header, or one JSON object a line. Every complaint names file and line."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.digest import JSON, file_label
from guard.errors import ConfigError
from guard.fairness.cells import Cells, Row, odds
from guard.fairness.measures import KNOWN, ODDS, Measure
from guard.fairness.source import Source, period_of

_LINES = (".jsonl", ".ndjson")
_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_MISSING = {"", "nan", "null", "none", "na", "n/a"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what; all others are measures. `label` and `predicted` (both or neither) give equalised odds."""

    label: str | None = None
    predicted: str | None = None
    time: str | None = None
    skip: tuple[str, ...] = ()


def read(path: Path, attributes: tuple[str, ...], columns: Columns, *, period: str = "week") -> tuple[Cells, Source]:
    """Add up a file. A column is a rate where all its values are 0, 1, true, false, yes or no, else a mean of numbers; an empty
    cell, null or NaN is missing. Raises ConfigError, which starts with `file:line`, for anything else."""
    if (columns.label is None) != (columns.predicted is None):
        raise ConfigError("equalised odds need both --label and --predicted")
    special = {columns.label, columns.predicted, columns.time, *columns.skip, *attributes}
    kinds: dict[str, str] = {}
    seen: dict[str, None] = {}
    wanted = [name for name in (*attributes, columns.label, columns.predicted, columns.time) if name is not None]
    for number, record in _records(path):
        seen.update(dict.fromkeys(record))
        if path.suffix not in _LINES:  # every row of a table has every column
            _require(path, wanted, seen)
        for name, given in record.items():
            if name not in special:
                value = _number(given, f"{path}:{number}: {name}")
                kind = "rate" if value in (None, 0.0, 1.0) else "mean"
                kinds[name] = "mean" if "mean" in (kind, kinds.get(name)) else "rate"
    _require(path, wanted, seen)
    measures = tuple(KNOWN.get(name, Measure(name, name, kind)) for name, kind in kinds.items())
    for measure in measures:
        if measure.kind == "rate" and kinds[measure.name] == "mean":
            raise ConfigError(f"{path}: {measure.name} is a rate, so its values must be 0 and 1: rename the column")
    if columns.label is not None:
        measures += ODDS
    if not measures:
        raise ConfigError(
            f"{path}: nothing is left to measure beside the groups: add a column such as refusal or score"
        )
    cells = Cells(attributes, measures)
    for number, record in _records(path):
        cells.add(_row(path, number, record, attributes, columns, measures, period))
    limits = ["Groups, labels and outcomes are those of the file; nobody here checked them."]
    facts: dict[str, JSON] = {"file": path.name, "columns": [measure.name for measure in measures], "period": period}
    return cells, Source("data", f"Rows of {path.name}", file_label(path), facts, limits=limits)


def _require(path: Path, wanted: list[str], seen: Mapping[str, None]) -> None:
    for name in wanted:
        if name not in seen:
            raise ConfigError(f"{path}: there is no column {name!r}; there are {', '.join(seen) or 'none'}")


def _row(
    path: Path,
    number: int,
    record: Mapping[str, Any],
    attributes: tuple[str, ...],
    columns: Columns,
    measures: tuple[Measure, ...],
    period: str,
) -> Row:
    place = f"{path}:{number}"
    names = (measure.name for measure in measures if measure not in ODDS)
    values = {name: _number(record.get(name), f"{place}: {name}") for name in names}
    if columns.label is not None and columns.predicted is not None:
        label, predicted = (
            _binary(record.get(name), f"{place}: {name}") for name in (columns.label, columns.predicted)
        )
        values |= odds(label, predicted)
    groups = {name: str(given).strip() for name in attributes if (given := record.get(name)) is not None}
    when = ""
    if columns.time is not None:
        try:
            when = period_of(str(record.get(columns.time))[:10], period)
        except ValueError:
            raise ConfigError(f"{place}: {columns.time} must start with a date such as 2026-11-23") from None
    return Row(groups, values, when)


def _number(given: Any, place: str) -> float | None:
    if given is None:
        return None
    text = str(given).strip().lower()
    if text in _MISSING:
        return None
    if text in _WORDS:
        return _WORDS[text]
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(
            f"{place} is neither a number nor true or false: correct it, or leave it out by --skip"
        ) from None
    if math.isinf(value):
        raise ConfigError(f"{place} is infinite: correct it, or leave the cell empty where it is not known")
    return value


def _binary(given: Any, place: str) -> float | None:
    value = _number(given, place)
    if value not in (None, 0.0, 1.0):
        raise ConfigError(f"{place} must be 0 or 1 (or true, false, or empty where it is not known)")
    return value


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and columns of each row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _json(path, file) if path.suffix in _LINES else _csv(path, file)
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def _csv(path: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(file, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not header or len(set(header)) < len(header) or "" in header:
            raise ConfigError(f"{path}:1: the first line must name the columns, each once")
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                raise ConfigError(f"{path}:{reader.line_num}: {len(values)} cells where the header names {len(header)}")
            yield reader.line_num, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise ConfigError(f"{path}:{reader.line_num}: not CSV: {error}") from None


def _json(path: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise ConfigError(f"{path}:{number}: not a JSON object: write one a line") from None
        if not isinstance(record, dict):
            raise ConfigError(f"{path}:{number}: not a JSON object: write one a line")
        yield number, record
