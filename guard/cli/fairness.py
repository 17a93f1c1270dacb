"""`guard fairness`: a report on how groups fare, and a gate for continuous integration."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import HomeOption, StoreOption, open_log
from guard.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from guard.fairness.analysis import Options
    from guard.fairness.cells import Cells
    from guard.fairness.report import Report
    from guard.fairness.rows import Columns
    from guard.fairness.source import Source
    from guard.settings import Settings

app = typer.Typer(
    help="Whether groups are treated differently, and how sure that is.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)

MaxGap = Annotated[
    float, typer.Option("--max-gap", help="The difference of rates that is tolerated: 0.05 is 5 points.")
]


@app.command()
def report(
    groups: Annotated[str, typer.Option("--groups", help="Declared groups to compare, such as gender,age.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The report as one HTML file; it is signed and recorded.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="The same as JSON, for the gate.")] = None,
    pdf_file: Annotated[Path | None, typer.Option("--pdf", help="The same as PDF, printed by a Chromium.")] = None,
    since: Annotated[str | None, typer.Option(help="Requests from this UTC time on, such as 2026-08-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Requests before this UTC time; default: now.")] = None,
    data: Annotated[Path | None, typer.Option(help="Rows from a CSV or JSONL file instead of the record.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the true label (0 or 1), for equalised odds.")] = None,
    predicted: Annotated[str | None, typer.Option(help="Column of the predicted label (0 or 1).")] = None,
    time: Annotated[str | None, typer.Option(help="Column of the date, for differences over time.")] = None,
    skip: Annotated[str, typer.Option(help="Columns that are no measures, such as id,comment.")] = "",
    period: Annotated[str, typer.Option(help="What is told apart over time: day, week or month.")] = "week",
    max_gap: MaxGap = 0.05,
    reference: Annotated[
        list[str] | None, typer.Option(help="The group to compare with, as gender=f; repeatable. Default: the largest.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap and the permutation tests.")] = 0,
    store: StoreOption = None,
    home: HomeOption = None,
) -> None:
    """Compare groups in what was recorded, or in labelled rows of a file.

    Needs --out, --json or both. Exit code 0 whatever is found: `guard fairness gate` judges.
    """
    from guard import settings
    from guard.audit.draft import timestamp
    from guard.cli.erasure import moment
    from guard.cli.show import harmless
    from guard.fairness import report as reports
    from guard.fairness import rows, words
    from guard.fairness.analysis import Options
    from guard.fairness.source import PERIODS
    from guard.types import new_id

    if out is None and (json_file is None or pdf_file is not None):
        raise ConfigError("say where the report goes: --out FILE.html, --json FILE.json or both; --pdf needs --out")
    if period not in PERIODS:
        raise ConfigError(f"a period is one of {', '.join(PERIODS)}, not {period!r}")
    created = timestamp(datetime.now(UTC))
    config, attributes = settings.load(store=store, home=home), _names(groups)
    options = Options(max_gap, _pairs(reference or []), seed=seed)
    columns = rows.Columns(label, predicted, time, _names(skip))
    span = moment(since), moment(until) or created
    with _engine(config, create=data is not None) as engine:
        if data is not None:
            if since or until:
                raise ConfigError(
                    "--since and --until choose from the record, and --data takes its place: leave one out"
                )
            cells, source = rows.read(data, attributes, columns, period=period)
        else:
            cells, source = _traffic(engine, attributes, columns, span, period)
        command = _command(groups, data, columns, span, period, options)
        made = reports.build(cells, source, options, id=new_id(), created=created, command=command)
        written = _write(made, config, engine, out, json_file, pdf_file)
    typer.echo(harmless(words.headline(made)))
    for path in written:
        typer.echo(f"written: {path}", err=True)


@app.command()
def gate(
    current: Annotated[Path, typer.Argument(metavar="REPORT", help="The report to judge, as JSON.")],
    max_gap: MaxGap,
    baseline: Annotated[Path | None, typer.Option("--baseline", help="An earlier report, as JSON.")] = None,
) -> None:
    """Fail where a gap is surely larger than tolerated or, with a baseline, where one beyond the tolerated surely grew.

    Exit code 0 where none is, 1 with the reasons where one is, 2 where the reports cannot be read or compared.
    """
    from guard.cli.show import harmless
    from guard.fairness.gate import judge
    from guard.fairness.report import read_json

    found = judge(read_json(current), max_gap=max_gap, baseline=read_json(baseline) if baseline else None)
    for reason in found.worse:
        typer.echo(harmless(f"FAIL  {reason}"))
    if found.missing:
        typer.echo(f"note: {found.missing} comparisons of the baseline are not in this report", err=True)
    against = " than in the baseline" if baseline else ""
    typer.echo(
        f"{len(found.worse)} of {found.compared} gaps are surely {'worse' if baseline else 'too large'}{against}"
    )
    raise typer.Exit(1 if found.worse else 0)


def _names(listed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in listed.split(",") if name.strip())


def _pairs(listed: list[str]) -> dict[str, str]:
    found = {}
    for pair in listed:
        name, separator, value = pair.partition("=")
        if not separator or not name or not value:
            raise ConfigError(f"--reference {pair!r}: write it as attribute=group")
        found[name] = value
    return found


@contextmanager
def _engine(config: Settings, *, create: bool) -> Iterator[Engine]:
    """The record. Where rows come from a file it may be new."""
    from guard.cli import inbox
    from guard.store.engine import current, open_engine, require_current, upgrade

    engine = open_engine(config.store_url, create=create)
    try:
        if create and engine.dialect.name == "sqlite" and current(engine) is None:
            upgrade(engine)
        require_current(engine)
        inbox.number(config, engine)
        yield engine
    finally:
        engine.dispose()


def _traffic(
    engine: Engine, attributes: tuple[str, ...], columns: Columns, span: tuple[str | None, str], period: str
) -> tuple[Cells, Source]:
    from guard.cli.show import progress_bar
    from guard.fairness import traffic
    from guard.fairness.rows import Columns

    if columns != Columns():
        raise ConfigError("--label, --predicted, --time and --skip name columns of a file: give --data FILE")
    with progress_bar("Reading requests") as bar:
        more = {"progress": bar} if bar else {}
        return traffic.read(engine, attributes, since=span[0], until=span[1], period=period, **more)


def _command(
    groups: str,
    data: Path | None,
    columns: Columns,
    span: tuple[str | None, str],
    period: str,
    options: Options,
) -> str:
    """What makes the same report again; the store is left out, since its URL may hold a password."""
    parts = ["guard", "fairness", "report", "--groups", groups]
    since, until = span
    chosen = {"--since": since, "--until": until} if data is None else {"--data": data.name}
    chosen |= {"--label": columns.label, "--predicted": columns.predicted, "--time": columns.time}
    chosen |= {"--skip": ",".join(columns.skip), "--period": period, "--max-gap": f"{options.max_gap:g}"}
    for name, value in chosen.items():
        parts += [name, value] if value else []
    for name, value in options.reference.items():
        parts += ["--reference", f"{name}={value}"]
    return shlex.join([*parts, "--seed", str(options.seed), "--out", "report.html"])


def _write(
    made: Report, config: Settings, engine: Engine, out: Path | None, json_file: Path | None, pdf_file: Path | None
) -> list[Path]:
    """Everything is made before anything is recorded, and recorded before anything is written."""
    from guard.fairness import issue, page, printed
    from guard.fairness.report import to_json
    from guard.keys import KeyRing
    from guard.provenance.inspector import SIDECAR

    files = {json_file: to_json(made)} if json_file else {}
    if out is not None:
        files[out] = html = page.render(made)
        if pdf_file is not None:
            files[pdf_file] = printed.pdf(html)
        named = {path.name: data for path, data in files.items()}
        issued = issue.issue(made, html, open_log(engine, config), KeyRing(config.keys), named)
        files[out.with_name(out.name + SIDECAR)] = issued.sidecar()
    for path, data in files.items():
        try:
            path.write_bytes(data)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return list(files)
