"""`guard run`: one guarded generation with a local model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.options import (
    HomeOption,
    JsonOption,
    PolicyOption,
    PurposeOption,
    RequesterOption,
    SourceOption,
    StoreOption,
    TenantOption,
    parse_params,
    read_bytes,
    read_text,
)
from guard.errors import ConfigError
from guard.types import Outcome

if TYPE_CHECKING:
    from guard.provenance.watermark import TextMark


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    model: Annotated[
        str, typer.Option("--model", help="Folder of a transformers model or diffusers pipeline, or a hub id.")
    ],
    prompt: Annotated[str | None, typer.Option("--prompt", help="The prompt; `-` reads stdin.")] = None,
    policy: PolicyOption = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Commit of a hub id (40 hex digits).")] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cuda or cpu; default: the GPU where there is one.")
    ] = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="Parameter of the model, as name=value.")] = None,
    request_id: Annotated[str | None, typer.Option("--id", help="Idempotency key; default: a fresh one.")] = None,
    requester: RequesterOption = None,
    purpose: PurposeOption = None,
    tenant: TenantOption = None,
    sources: SourceOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write released content here, and the manifest of text beside it.")
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
    home: HomeOption = None,
) -> None:
    """Generate with a local model, under a policy.

    Exit codes: 0 released, 3 held for review, 4 blocked, 2 usage or configuration error.
    """
    from guard.cli import show
    from guard.envelope import outcome_data
    from guard.media import content_of
    from guard.pipeline import REQUEST_FIELDS, Guard
    from guard.provenance.watermark import text_mark

    asked = content_of(read_bytes("-")) if prompt == "-" else prompt
    if asked is None:
        raise ConfigError("give --prompt TEXT, or --prompt - to read it from stdin")
    params = parse_params(param or [])
    if taken := sorted(REQUEST_FIELDS & params.keys()):
        raise ConfigError(
            f"--param {taken[0]}: this is no parameter of a model; see --id, --requester, --purpose, --tenant and --source"
        )
    with Guard(policy, store=store, home=home) as guard:
        mark = text_mark(guard.keys, guard.policy.stamp.watermark)
        wrapped = guard.wrap(load_generator(model, revision=revision, device=device, mark=mark))
        fields = {"id": request_id, "requester": requester, "purpose": purpose, "tenant": tenant, **params}
        fields["sources"] = [read_text(source) for source in sources or ()]
        outcome = wrapped(asked, **fields)
    if out is not None:
        save_released(outcome, out)
    if as_json:
        show.print_json(outcome_data(outcome))
    else:
        show.print_summary(outcome)
        if outcome.content is not None and out is None:
            show.write_content(outcome.content)
    raise typer.Exit(show.EXIT[outcome.state])


def load_generator(model: str, *, revision: str | None, device: str | None, mark: TextMark | None) -> Any:
    """A text or image generator, as the model's own files say."""
    from guard.generators.image import ImageGenerator
    from guard.generators.text import TextGenerator
    from guard.models import load_image, load_text

    if (Path(model) / "model_index.json").is_file():
        return ImageGenerator(load_image(model, revision=revision, device=device))
    return TextGenerator(load_text(model, revision=revision, device=device), mark=mark)


def save_released(outcome: Outcome, path: Path) -> None:
    """Write what was released, and the manifest of a text beside it."""
    if outcome.content is not None:
        save(outcome.content.data, path)
        if outcome.stamp and outcome.stamp.manifest:
            save(outcome.stamp.manifest.encode(), path.with_name(path.name + ".stamp.json"))


def save(data: bytes, path: Path) -> None:
    """Write a file, or say why not."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
