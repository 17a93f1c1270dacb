"""A report: what was measured on whom and what came of it, as data. The JSON is complete; the page is made from the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from guard.digest import JSON, canonical
from guard.errors import ConfigError
from guard.fairness.analysis import FAIL, FEW, INCONCLUSIVE, PASS, SUPPRESSED, Analysis, Options, analyse
from guard.fairness.cells import Cells
from guard.fairness.source import Source
from guard.version import VERSION

FORMAT = "genguard.fairness-report/1"


@dataclass(frozen=True, slots=True)
class Report:
    """`created` is when, in the record's form; `command` makes the same report again. `undeclared` counts the rows that
    declare no group in a dimension."""

    id: str
    created: str
    command: str
    attributes: tuple[str, ...]
    rows: int
    undeclared: Mapping[tuple[str, ...], int]
    source: Source
    options: Options
    analysis: Analysis

    @property
    def verdicts(self) -> dict[str, int]:
        """How many comparisons failed, were inconclusive and passed."""
        counts = dict.fromkeys((FAIL, INCONCLUSIVE, PASS), 0)
        for _, comparison in self.analysis.comparisons:
            counts[comparison.verdict] += 1
        return counts

    @property
    def verdict(self) -> str:
        """The worst of them; inconclusive where nothing could be compared."""
        return next((name for name, count in self.verdicts.items() if count), INCONCLUSIVE)


def build(cells: Cells, source: Source, options: Options, *, id: str, created: str, command: str) -> Report:  # noqa: A002
    """Analyse rows from anywhere: the record, a file, a probe of a model."""
    undeclared = {dimension: cells.undeclared(dimension) for dimension in cells.dimensions}
    analysis = analyse(cells, options)
    return Report(id, created, command, cells.attributes, cells.rows, undeclared, source, options, analysis)


def data(report: Report) -> dict[str, Any]:
    """The whole report as plain JSON: suppressed figures are null in it as well."""
    analysis, source = report.analysis, report.source
    impacts = [
        {"measure": measure, "dimension": dimension, "lines": [asdict(line) for line in lines]}
        for (measure, dimension), lines in analysis.impacts.items()
    ]
    drifts = [
        {**asdict(drift), "measure": drift.measure.name, "out": [point.period for point in drift.points if point.out]}
        for drift in analysis.drifts
    ]
    return {
        "format": FORMAT,
        "id": report.id,
        "created": report.created,
        "guard": VERSION,
        "command": report.command,
        "verdict": report.verdict,
        "verdicts": report.verdicts,
        "attributes": report.attributes,
        "rows": report.rows,
        "undeclared": [{"dimension": name, "rows": count} for name, count in report.undeclared.items()],
        "source": {"kind": source.kind, "what": source.what, "digest": source.digest, **source.facts},
        "policies": [
            {"name": name, "version": version, "digest": digest, "rows": count}
            for (name, version, digest), count in source.policies.most_common()
        ],
        "models": [
            {"name": name, "digest": digest, "rows": count} for (name, digest), count in source.models.most_common()
        ],
        "options": {**asdict(report.options), "suppressed_below": SUPPRESSED, "judged_from": FEW},
        "results": [asdict(result) for result in analysis.results],
        "impacts": impacts,
        "odds": [asdict(each) for each in analysis.odds],
        "drifts": drifts,
        "limits": source.limits,
    }


def to_json(report: Report) -> bytes:
    """The same report gives the same bytes."""
    plain: JSON = json.loads(json.dumps(data(report)))
    return canonical(plain) + b"\n"


def read_json(path: Path) -> dict[str, Any]:
    """A report that `to_json` wrote. Raises ConfigError where it is none."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ConfigError(f"{path} is not a fairness report as JSON: write one by  guard fairness report --json FILE")
    return found
