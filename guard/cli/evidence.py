"""`guard audit`, continued: what leaves the house, so that others can hold the record to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from guard import settings
from guard.audit.checkpoint import Checkpoint
from guard.audit.cosign import cosignatures
from guard.audit.draft import Draft
from guard.audit.export import export
from guard.audit.log import Log
from guard.audit.merkle import EMPTY_ROOT
from guard.audit.publish import Publisher, Stamper
from guard.audit.read import Reader
from guard.audit.receipt import read_receipt, to_json, to_tlog_proof, verify_receipt
from guard.audit.rotation import KIND, add_keys, alone, log_signer, newest_keys, retire, unrecorded
from guard.audit.timestamp import Authority, stamps
from guard.audit.tree import parse_checkpoint
from guard.audit.witness import Witness, open_witness
from guard.cli.audit import (
    AnchorsFile,
    Key,
    Number,
    WitnessKeys,
    _has_key,
    _opened,
    _read_text,
    _require_entry,
    _vkeys,
    read_anchors,
)
from guard.cli.options import HomeOption, JsonOption, StoreOption
from guard.cli.show import harmless, print_json, progress_bar
from guard.digest import JSON
from guard.errors import ConfigError, EvidenceError
from guard.keys import KeyRing
from guard.store.engine import reading


def register(app: typer.Typer) -> None:
    """Add the commands to `guard audit`."""
    app.command("proof")(proof)
    app.command("verify-receipt")(verify_receipt_command)
    app.command("export")(export_command)
    app.command("witness")(witness_command)
    app.command("rotate-key")(rotate_key)


def proof(entry: Number, store: StoreOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Print the proof of one entry as a C2SP tlog-proof, or with --json as a receipt that names the key as well.

    `verify-receipt` checks either without the database.
    """
    with _opened(store, home) as (config, engine):
        reader = Reader(engine)
        found, receipt = _require_entry(reader, entry), reader.receipt(entry)
    if receipt is None or not found.intact:
        raise EvidenceError(f"entry {entry} was changed or is not covered by a checkpoint: run  guard audit verify")
    if as_json:
        print_json(to_json(receipt, leaf=found.leaf, vkey=_vkeys(config, None) if _has_key(config) else None))
    else:
        typer.echo(to_tlog_proof(receipt, found.leaf), nl=False)


def verify_receipt_command(
    file: Annotated[
        str, typer.Argument(help="A tlog-proof, a receipt in JSON, or an outcome with one; - for standard input.")
    ],
    home: HomeOption = None,
    key: Key = None,
    witness_key: WitnessKeys = None,
    tsa_anchors: AnchorsFile = None,
) -> None:
    """Check a receipt offline. Exit code 0: it holds; 1: it does not."""
    receipt, leaf, own_key = read_receipt(_read_text(file))
    config = settings.load(home=home)
    trusted = _vkeys(config, key) if key or _has_key(config) else None
    if trusted is None and own_key is None:
        raise ConfigError("the receipt does not hold the log's key: give it with --key")
    signed = verify_receipt(receipt, trusted or [own_key or ""], leaf=leaf)
    times = dict(cosignatures(receipt.checkpoint, witness_key or []))
    for vkey in witness_key or []:
        if vkey not in times:
            raise EvidenceError("the receipt holds, but the given witness did not cosign it: ask for a newer proof")
    typer.echo(
        f"holds: entry {receipt.entry} of {signed.size} in the log {harmless(signed.origin)}, root {receipt.root}"
    )
    for vkey, seconds in times.items():
        typer.echo(f"cosigned by {harmless(vkey.split('+')[0])} {_utc(datetime.fromtimestamp(seconds, UTC))}")
    anchors = read_anchors(config, tsa_anchors)
    stamped = dict(stamps(receipt.checkpoint, anchors)) if anchors else {}
    if tsa_anchors and not stamped:
        raise EvidenceError("the receipt holds, but there is no time stamp under it: ask for a newer proof")
    for name, moment in stamped.items():
        typer.echo(f"stamped by {harmless(name)} {_utc(moment)}")
    if trusted is None:
        typer.echo(
            "note: checked with the key inside the receipt; compare it with the log's own, or give --key", err=True
        )


def export_command(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    store: StoreOption = None,
    home: HomeOption = None,
    key: Key = None,
) -> None:
    """Write the whole record as C2SP tlog-tiles, which foreign tools check, with sealed content beside it."""
    with _opened(store, home) as (config, engine), progress_bar("exporting") as progress:
        written = export(engine, _vkeys(config, key), folder, progress=progress)
    typer.echo(f"exported {written.size} entries of the log {harmless(written.origin)}, root {written.root.hex()}")


def witness_command(store: StoreOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Compare the record with the witness, have its newest checkpoint cosigned and, if GUARD_TSA is set, stamped with the time.

    Exit code 1: record and witness do not fit together. Run it regularly beside a service that runs for long.
    """
    with _opened(store, home) as (config, engine):
        if config.witness_spec is None and config.authority_spec is None:
            raise ConfigError(
                "no witness is configured: set GUARD_WITNESS to a folder on another disk or account, or to the URL of a witness"
            )
        note = Reader(engine).checkpoint()
        data: dict[str, JSON] = {}
        lines = [f"record   {_said(note)}"]
        if config.witness_spec:
            witness = open_witness(config.witness_spec, *_vkeys(config, None))
            theirs = witness.latest()
            lines.append(f"witness  {_said(theirs)}{_when(theirs, witness)}")
            if not as_json:  # before the witness is asked, which may refuse
                typer.echo("\n".join(lines))
            signer = log_signer(KeyRing(config.keys), config.origin)
            note = Publisher(engine, signer, witness).publish().note
            before = parse_checkpoint(theirs).size if theirs else None
            data |= {"witness": witness.name, "vkey": witness.vkey, "before": before}
            key = f"by {harmless(witness.name)}, whose key is {harmless(witness.vkey)}"
            lines = [f"cosigned {_said(note)}{_when(note, witness)}", key]
        if config.authority_spec:
            authority = Authority(config.authority_spec)
            stamped = Stamper(engine, authority).stamp()
            moment = dict(stamps(stamped, authority.anchors))[authority.name] if stamped else None
            note = stamped or note
            data |= {"authority": authority.name, "stamped": moment.isoformat() if moment else None}
            lines.append(f"stamped  {_said(stamped)}" + (f", {_utc(moment)} by {authority.name}" if moment else ""))
    if not as_json:
        typer.echo("\n".join(lines))
        return
    checkpoint = parse_checkpoint(note) if note else Checkpoint(config.origin, 0, EMPTY_ROOT)
    print_json(data | {"size": checkpoint.size, "root": checkpoint.root.hex(), "checkpoint": note})


def _said(note: str | None) -> str:
    checkpoint = parse_checkpoint(note) if note else None
    return f"{checkpoint.size} entries, root {checkpoint.root.hex()}" if checkpoint else "nothing yet"


def _when(note: str | None, witness: Witness) -> str:
    times = [seconds for _, seconds in cosignatures(note, [witness.vkey])] if note else []
    return f", signed {_utc(datetime.fromtimestamp(times[0], UTC))}" if times else ""


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def rotate_key(
    store: StoreOption = None,
    home: HomeOption = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Destroy the older private keys: from now on the newest sign alone.")
    ] = False,
) -> None:
    """Give the log new signing keys, recorded under the old ones. Both sign until --finish; restart all writers in between.

    Where GUARD_SIGNATURES asks for a kind of signatures that the log does not have yet, only that kind is added. A key folder
    serves one log: with several databases, give each a folder of its own first.
    """
    with _opened(store, home) as (config, engine):
        _vkeys(config, None)  # rather than making a first key
        (_end_rotation if finish else _begin_rotation)(engine, config)


def _begin_rotation(engine: Engine, config: settings.Settings) -> None:
    keys = KeyRing(config.keys)
    recorded = _announced(engine)
    if not unrecorded(keys, config.origin, recorded):  # else an earlier call was interrupted: finish what it began
        add_keys(keys, config.signatures)
    new = unrecorded(keys, config.origin, recorded)
    log, size = _open_log(engine, config), Reader(engine).size()
    older = newest_keys([vkey for vkey in log.vkeys if vkey not in new])
    drafts = [Draft(KIND, None, {"role": "log", "old": older[0], "new": vkey, "from": size}) for vkey in new]
    _record(log, drafts)
    for vkey in new:
        typer.echo(f"new key {harmless(vkey)}")
    typer.echo(
        "restart every process that writes; tell a witness over HTTP; later run  guard audit rotate-key --finish"
    )


def _end_rotation(engine: Engine, config: settings.Settings) -> None:
    keys = KeyRing(config.keys)
    log = _open_log(engine, config)
    newest: list[JSON] = [*newest_keys(log.vkeys)]
    if not set(newest) & _announced(engine) or unrecorded(keys, config.origin, _announced(engine)):
        raise ConfigError("no rotation is under way in this record: run  guard audit rotate-key  first")
    with reading(engine) as connection:
        ended = alone(connection) == newest
    if not ended:
        _record(log, [Draft(KIND, None, {"role": "log", "alone": newest, "from": Reader(engine).size()})])
    if config.witness_spec:
        log.publish()  # the witness learns the new keys from a checkpoint that the old ones signed too
    names = ", ".join(harmless(str(vkey)) for vkey in newest)
    typer.echo(f"{retire(keys)} older private keys destroyed; from now on these sign alone: {names}")


def _announced(engine: Engine) -> set[object]:
    return {entry.fields.get("new") for entry in Reader(engine).latest(10_000, kind=KIND)}


def _open_log(engine: Engine, config: settings.Settings) -> Log:
    """With the keys that there are, whatever the settings ask for."""
    return Log(engine, KeyRing(config.keys), origin=config.origin, witness=config.witness_spec)


def _record(log: Log, drafts: Sequence[Draft]) -> None:
    """Last in its transaction, so that a checkpoint over exactly the change of keys is kept."""
    log.append(drafts, within=lambda _connection, _appended: None)
    log.catch_up()
