"""`guard stamp`: guard and sign what was generated elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.cli.options import (
    HomeOption,
    JsonOption,
    PolicyOption,
    PurposeOption,
    RequesterOption,
    StoreOption,
    TenantOption,
    read_bytes,
)
from guard.cli.run import save_released


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("stamp")(stamp)


def stamp(
    file: Annotated[str, typer.Argument(help="Image, sound, film, PDF or text that a model made; `-` reads stdin.")],
    model: Annotated[str, typer.Option("--model", help="Which model made it: a name for people.")],
    out: Annotated[Path, typer.Option("--out", help="Write what is released here.")],
    policy: PolicyOption = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="The prompt that it answers.")] = None,
    request_id: Annotated[str | None, typer.Option("--id", help="Idempotency key; default: a fresh one.")] = None,
    requester: RequesterOption = None,
    purpose: PurposeOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
    home: HomeOption = None,
) -> None:
    """Check a file that was generated elsewhere, put a signed credential into it, and record it.

    Exit codes as for `guard run`.
    """
    from guard.cli import show
    from guard.envelope import outcome_data
    from guard.media import content_of
    from guard.pipeline import Guard

    content = content_of(read_bytes(file))
    fields = {"id": request_id, "requester": requester, "purpose": purpose, "tenant": tenant}
    with Guard(policy, store=store, home=home) as guard:
        outcome = guard.stamp(content, model=model, prompt=prompt, **fields)
    save_released(outcome, out)
    if as_json:
        show.print_json(outcome_data(outcome))
    else:
        show.print_summary(outcome)
    raise typer.Exit(show.EXIT[outcome.state])
