"""`guard demo`: everything once, on this machine, with models made on the spot."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import HomeOption
from guard.types import Stage, Text

if TYPE_CHECKING:
    from rich.console import Console

    from guard.demo.run import Demo
    from guard.settings import Settings

LONGEST = 200  # characters of generated text in a row of the table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    home: HomeOption = None,
    images: Annotated[Path | None, typer.Option("--images", help="Folder for released pictures.")] = None,
) -> None:
    """Train two small models, generate under two policies, record everything and verify the record.

    Needs no download and no key. The record of the demonstration is its own: look at it with `guard dashboard --demo`.
    """
    from guard import settings
    from guard.cli import show

    base = settings.load(home=home)
    place = demo_settings(base)
    out = show.console()
    from guard.demo.run import run
    from guard.models import device_name

    out.print(f"genguard demonstration · device {device_name()} · record {place.home / 'guard.db'}", style="bold")
    done = run(place, cache=base.cache, images=images or place.home / "images", progress=_bars())
    _print_table(out, done)
    _print_end(out, done, place)
    raise typer.Exit(0 if done.report is not None and done.report.ok else 1)


def demo_settings(base: Settings) -> Settings:
    """Where the demonstration keeps its record: apart from everybody's own."""
    from guard import settings

    home = base.home / "demo"
    return settings.load(home=home, store=f"sqlite:///{home / 'guard.db'}")


def _print_table(out: Console, done: Demo) -> None:
    from rich.table import Table
    from rich.text import Text as RichText

    from guard.cli import show

    table = Table(
        "receipt", "kind", "action", "what was made (flagged parts highlighted)", "rules", box=None, pad_edge=False
    )
    table.header_style = "bold"
    table.columns[3].ratio, table.columns[4].ratio = 5, 2
    table.expand = True
    for row in done.rows:
        decision = row.outcome.decision
        if isinstance(row.shown, Text):
            seen = show.marked(row.shown.text, row.spans, LONGEST)
            if row.stage is Stage.INPUT or (row.asked and not row.spans):
                seen = RichText("(prompt) ", style="dim").append_text(show.marked(row.prompt, row.asked, LONGEST))
        else:
            seen = show.marked(row.prompt, row.asked, LONGEST).append(f"  → {row.file.name}" if row.file else "")
        table.add_row(
            f"{row.outcome.receipt.entry:>2} {row.outcome.receipt.leaf_hash[:8]}",
            row.shown.kind,
            RichText(decision.action.label, style=show.action_style(decision.action.label)),
            seen,
            ", ".join(decision.rules),
        )
    out.print()
    out.print(table)


def _print_end(out: Console, done: Demo, place: Settings) -> None:
    from collections import Counter

    from rich.table import Table

    counts = Counter(row.outcome.state.value for row in done.rows)
    last = done.rows[-1].outcome.receipt
    out.print()
    out.print(
        f"{len(done.rows)} generations: " + ", ".join(f"{count} {state}" for state, count in counts.most_common())
    )
    out.print(
        f"A receipt names the entry and its hash; the last proves entry {last.entry} of {last.size} under the root"
        f" {last.root[:16]}… with {len(last.proof)} hashes."
    )
    report = done.report
    if report is not None and report.ok:
        out.print(
            f"record verified: {report.size} entries, root {report.root[:16]}…, nothing changed or missing",
            style="green",
        )
    elif report is not None:
        out.print(f"the record does NOT hold: {report.problems[0]}", style="bold red")
    out.print()
    seconds = Table("seconds", "stage", box=None, header_style="bold", pad_edge=False)
    seconds.columns[0].justify = "right"
    for stage, spent in done.seconds.items():
        seconds.add_row(f"{spent:.1f}", stage)
    seconds.add_row(f"{sum(done.seconds.values()):.1f}", "together", style="bold")
    out.print(seconds)
    out.print()
    out.print("Next: `make dashboard` (guard dashboard --demo) opens the review queue with the cases that were held.")
    out.print(f"      guard audit verify --home {place.home}     checks the record again, independently of the writer.")
    out.print(
        f"      guard inspect {place.home / 'images'}/FILE.png --home {place.home}     reads a picture's credential."
    )


def _bars() -> Callable[..., contextlib.AbstractContextManager[Sequence[Callable[[int, int, str], None]]]]:
    """Progress bars on stderr, one a title; where nobody watches, a line at the start and at the end."""

    @contextlib.contextmanager
    def bars(*titles: str) -> Iterator[Sequence[Callable[[int, int, str], None]]]:
        if not sys.stderr.isatty():
            sys.stderr.write(f"{', '.join(titles)} …\n")
            yield [lambda done, total, note: None for _ in titles]  # noqa: ARG005
            return
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        from guard.cli import show

        columns = (TextColumn("{task.description:<28}"), BarColumn(40), TextColumn("{task.percentage:>3.0f} %"))
        with Progress(
            *columns, TimeElapsedColumn(), TextColumn("{task.fields[note]}"), console=show.console(stderr=True)
        ) as shown:

            def reporter(task: TaskID) -> Callable[[int, int, str], None]:
                return lambda done, total, note: shown.update(task, completed=done, total=total, note=note)

            tasks = [shown.add_task(title, total=None, note="") for title in titles]
            yield [reporter(task) for task in tasks]
            for task in tasks:
                shown.update(task, total=1, completed=1, note="")

    return bars
