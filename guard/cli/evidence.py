"""`guard audit`, continued: what leaves the house, so that others can hold the record to it."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from guard.audit.checkpoint import Checkpoint, NoteSigner, split_note
from guard.audit.cosign import cosignatures
from guard.audit.publish import Publisher
from guard.audit.read import Reader
from guard.audit.tree import parse_checkpoint
from guard.audit.witness import Witness, open_witness
from guard.cli.audit import _opened, _vkey
from guard.cli.options import HomeOption, JsonOption, StoreOption
from guard.cli.show import harmless, print_json
from guard.errors import ConfigError
from guard.keys import KeyRing


def register(app: typer.Typer) -> None:
    """Add the commands to `guard audit`."""
    app.command("witness")(witness_command)


def witness_command(store: StoreOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Compare the record with the witness and have its newest checkpoint cosigned. Exit code 1: they do not fit together."""
    with _opened(store, home) as (config, engine):
        if config.witness_spec is None:
            raise ConfigError(
                "no witness is configured: set GUARD_WITNESS to a folder on another disk or account, or to the URL of a witness"
            )
        witness = open_witness(config.witness_spec, _vkey(config, None))
        ours, theirs = Reader(engine).checkpoint(), witness.latest()
        if not as_json:
            typer.echo(f"record   {_said(parse_checkpoint(ours) if ours else None)}")
            typer.echo(f"witness  {_said(parse_checkpoint(theirs) if theirs else None)}{_when(theirs, witness)}")
        signer = NoteSigner(config.origin, KeyRing(config.keys).signing_key("log"))
        published = Publisher(engine, signer, witness).publish()
    signed = Checkpoint.parse(split_note(published.note)[0])
    if as_json:
        data = {
            "witness": witness.name,
            "vkey": witness.vkey,
            "before": parse_checkpoint(theirs).size if theirs else None,
        }
        print_json(data | {"size": signed.size, "root": signed.root.hex(), "checkpoint": published.note})
        return
    typer.echo(f"cosigned {_said(signed)}{_when(published.note, witness)}")
    typer.echo(f"by {harmless(witness.name)}, whose key is {harmless(witness.vkey)}")


def _said(checkpoint: Checkpoint | None) -> str:
    return f"{checkpoint.size} entries, root {checkpoint.root.hex()}" if checkpoint else "nothing yet"


def _when(note: str | None, witness: Witness) -> str:
    times = [seconds for _, seconds in cosignatures(note, [witness.vkey])] if note else []
    return f", signed {datetime.fromtimestamp(times[0], UTC):%Y-%m-%d %H:%M:%S} UTC" if times else ""
