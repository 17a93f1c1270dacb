"""`guard inspect`: what can be said about where a file comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.options import HomeOption, JsonOption, StoreOption, read_bytes
from guard.errors import ConfigError

if TYPE_CHECKING:
    from guard.audit.read import Reader
    from guard.keys import KeyRing
    from guard.provenance.inspect import Inspection, Mark
    from guard.settings import Settings

SIDECAR = ".stamp.json"
_FOR_MACHINES = {"format", "length", "text_sha256"}
SURE = 1e-4  # how likely unmarked text may at most be to look this marked
_STYLES = {
    "trusted": "bold green",
    "recovered": "bold green",
    "valid": "bold yellow",
    "probable": "bold yellow",
    "contradicted": "bold red",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("inspect")(inspect)


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Any file; `-` reads stdin.")],
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help=f"What was stamped beside a text; default: FILE{SIDECAR}.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The model (a folder) whose watermark to look for.")
    ] = None,
    anchors: Annotated[
        list[Path] | None, typer.Option("--trust", help="PEM file of certificate authorities to trust; repeatable.")
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
    home: HomeOption = None,
) -> None:
    """Say what a file carries and what the record knows about it. Never says that something was not made by AI.

    Exit code 0 whatever is found; 2 when the file cannot be read.
    """
    from guard import settings
    from guard.cli import show
    from guard.keys import KeyRing
    from guard.provenance import certs
    from guard.provenance import inspect as provenance

    data = read_bytes(file)
    chosen = settings.load(store=store, home=home)
    keys = KeyRing(chosen.keys)
    with _reader(chosen, keys) as reader:
        found = provenance.inspect(
            data,
            keys=keys,
            name=None if file == "-" else Path(file).name,
            reader=reader,
            sidecar=_sidecar(file, manifest),
            watermark=_detector(model, keys) if model else None,
            stampers=[certs.read_anchors(chosen.tsa_anchors)] if chosen.tsa_anchors else [],
            anchors=[*certs.configured_anchors(chosen.c2pa_chain), *map(certs.read_anchors, anchors or [])],
        )
    if as_json:
        show.print_json(found.data())
    else:
        _print(found)


def _sidecar(file: str, manifest: Path | None) -> str | None:
    path = manifest
    if path is None:
        beside = Path(file + SIDECAR)
        path = beside if file != "-" and beside.is_file() else None
    if path is None:
        return None
    try:
        return read_bytes(str(path)).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: hand over the stamp or manifest as it was written") from error


@contextmanager
def _reader(chosen: Settings, keys: KeyRing) -> Iterator[Reader | None]:
    """The record, where there is one: looking must not create it."""
    from guard.audit.read import Reader
    from guard.audit.vault import Vault
    from guard.cli import inbox
    from guard.store.engine import open_engine, require_current

    if chosen.store is None and not (chosen.home / "guard.db").exists():
        yield None
        return
    engine = open_engine(chosen.store_url, create=False)
    try:
        require_current(engine)
        inbox.number(chosen, engine)
        yield Reader(engine, Vault(keys))
    finally:
        engine.dispose()


def _detector(path: str, keys: KeyRing) -> Callable[[str], Mark]:
    from guard.generators.text import detect_watermark
    from guard.models import load_text
    from guard.provenance.inspect import Mark
    from guard.provenance.watermark import TEXT_KEY, key_ring

    model = load_text(path)
    ring = key_ring(keys, TEXT_KEY)

    def detect(content: str) -> Mark:
        found = detect_watermark(content, model, ring)
        details: dict[str, Any] = {"p_value": found.p_value, "tokens": found.tokens, "key_id": found.key_id}
        return Mark(found.p_value < SURE, found.algorithm, {"algorithm": found.algorithm, **details})

    return detect


def _print(found: Inspection) -> None:
    from rich.text import Text

    from guard.cli import show

    out = show.console()
    verdict = found.verdict.value
    head = f"{show.harmless(found.name or 'stdin')} ({found.media_type or 'unknown format'})"
    out.print(Text.assemble((head, "bold"), ": ", (verdict.replace("_", " "), _STYLES.get(verdict, "bold"))))
    out.print(f"  {found.summary}")
    for each in found.evidence:
        out.print()
        out.print(Text.assemble((f"  {each.layer:<11}", "bold"), each.status.replace("_", " ")))
        out.print(f"    {show.harmless(each.message)}")
        for line in _lines(each.details):
            out.print(f"    {line}", style="dim")


def _lines(details: Any, prefix: str = "") -> Iterator[str]:
    """Details for people: one `name: value` a line, nothing empty, nothing that a stranger wrote as it is."""
    from guard.cli.show import harmless

    pairs = details.items() if isinstance(details, dict) else enumerate(details, 1)
    for name, value in pairs:
        path = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, dict | list):
            yield from _lines(value, f"{path} · ")
        elif isinstance(value, bool):
            yield f"{harmless(path)}: {'yes' if value else 'no'}"
        elif value not in (None, "") and name not in _FOR_MACHINES:
            text = " ".join(harmless(str(value)).split())
            yield f"{harmless(path)}: {text[:200]}{'…' if len(text) > 200 else ''}"
