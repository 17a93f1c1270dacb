"""`guard calibrate`: fit the toxicity checker to your own labelled sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.cli.options import JsonOption, read_bytes
from guard.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("calibrate")(calibrate)


def calibrate(
    sample: Annotated[
        str, typer.Argument(help="CSV (text,labels) or JSONL ({text, labels}) in UTF-8; `-` reads stdin.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write; a policy names it as params: {calibration: …}.")],
    rate: Annotated[
        list[float] | None, typer.Option("--rate", help="False-positive rate to state thresholds for; may be repeated.")
    ] = None,
    tiers: Annotated[
        str, typer.Option("--tiers", help="What the policy will say: tier0, or cascade (needs the extra `toxicity`).")
    ] = "tier0",
    as_json: JsonOption = False,
) -> None:
    """Fit thresholds and a small head for each category to a labelled sample.

    A category needs at least ten rows that have it and ten that do not. Labels are names of categories, apart by `;` in CSV,
    a list in JSONL, and none where nothing is wrong.
    """
    from guard.checkers.toxicity import TIERS, load
    from guard.cli import show
    from guard.digest import sha256
    from guard.training.calibrate import fitted, read

    rates = rate or [0.01, 0.05]
    if not all(0 < value < 1 for value in rates):
        raise ConfigError("--rate: use shares between 0 and 1, such as 0.01")
    if tiers not in TIERS:
        raise ConfigError(f"--tiers: use {' or '.join(TIERS)}")
    data = read_bytes(sample)
    model = load(tiers)
    document = fitted(model, read(data, sample, model.names), sha256(data).hex(), rates)
    written = document.data()
    try:
        out.write_bytes(written)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from error
    if as_json:
        show.print_json({"file": str(out), "digest": sha256(written).hex(), **document.model_dump(exclude_none=True)})
        return
    for name, found in sorted(document.categories.items()):
        stated = (
            ", ".join(f"{key} from {value:.2f}" for key, value in found.thresholds.items()) or "too few harmless rows"
        )
        print(
            f"{name}: {found.positive} of {found.rows} rows; AUROC {found.auroc:.3f} as shipped, {found.auroc_fitted:.3f} "
            f"fitted (cross-validated); false-positive rates: {stated}"
        )
    left = sorted(set(model.names) - set(document.categories))
    if left:
        print(f"as shipped, for want of labels: {', '.join(left)}")
    named = f"calibration: {out}" if tiers == "tier0" else f"tiers: {tiers}, calibration: {out}"
    print(f"wrote {out}; name it in a policy: toxicity: {{params: {{{named}}}}}")
