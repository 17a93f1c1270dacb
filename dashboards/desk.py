"""What every page needs: the record, the clock, the reader's time zone. Pages ask guard through this, and never query."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from sqlalchemy import Engine

from guard import review, settings
from guard.audit import access
from guard.audit.checkpoint import Checkpoint
from guard.audit.draft import timestamp
from guard.audit.log import Log
from guard.audit.read import Entry, Reader
from guard.audit.receipt import to_json, verify_receipt
from guard.audit.rotation import first_keys
from guard.audit.timestamp import Anchors
from guard.audit.vault import Vault
from guard.audit.verify import Report, verify
from guard.audit.vouched import Known
from guard.audit.witness import witness_vkeys
from guard.errors import EvidenceError, GuardError, NotMigrated, OperationError
from guard.keys import KeyRing
from guard.policy import load as policies
from guard.provenance.certs import configured_anchors
from guard.provenance.inspector import Inspector
from guard.settings import Settings
from guard.store.engine import open_engine, require_current
from guard.types import Policy, Receipt, Text


@dataclass(frozen=True, slots=True)
class Verified:
    """A verification of the whole record, and when it was made."""

    at: str
    report: Report


@dataclass(frozen=True, slots=True)
class Desk:
    """One opened record."""

    engine: Engine
    log: Log
    reader: Reader
    settings: Settings

    verified: list[Verified]  # the verifications of this process, newest last


@st.cache_resource(show_spinner=False)
def _open(store: str, home: str) -> Desk:
    chosen = settings.load(store=store, home=home)
    keys = KeyRing(chosen.keys)
    engine = open_engine(chosen.store_url)
    log = Log(engine, keys, **chosen.log_options)
    with contextlib.suppress(OperationError):
        log.settle()  # what cannot be numbered now is not shown yet; the pages say what is wrong
    return Desk(engine, log, Reader(engine, Vault(keys)), chosen, [])


def open_desk() -> Desk:
    """The record that the settings name."""
    chosen = settings.load()
    return _open(chosen.store_url, str(chosen.home))


@st.cache_resource(show_spinner=False)
def _inspector(_record: Desk, store: str, home: str) -> Inspector:  # noqa: ARG001  (what the cache goes by)
    chosen, keys = _record.settings, KeyRing(_record.settings.keys)
    anchors = configured_anchors(chosen.c2pa_chain)
    return Inspector(keys, _record.reader, vault=_record.log.vault, anchors=anchors, vkeys=_record.log.vkeys)


def inspector() -> Inspector:
    """What inspects files on behalf of this record; its index is kept between uploads."""
    record = open_desk()
    return _inspector(record, record.settings.store_url, str(record.settings.home))


def require_record() -> None:
    """Stop with advice when the record cannot be used."""
    try:
        require_current(open_desk().engine)
    except NotMigrated as error:
        st.title("Almost there", anchor=False)
        st.warning("The database has no tables for this version yet.", icon=":material/database:")
        st.text(str(error))
        st.text("Then reload this page:")
        st.code("guard db upgrade", language=None)
        st.stop()
    except GuardError as error:
        st.title("The record cannot be opened", anchor=False)
        st.error("Nothing can be shown until this is solved.", icon=":material/error:")
        st.text(str(error))
        st.stop()


@st.cache_resource(show_spinner=False, max_entries=50)
def _policy(_record: Desk, store: str, digest: str) -> Policy | None:
    entry = next((it for it in _record.reader.history(digest) if it.kind == "policy"), None)
    body = _record.reader.body(entry.seq, "policy") if entry and store else None
    if not isinstance(body, Text):
        return None
    found = policies.from_document(json.loads(body.text))
    return found if found.digest == digest else None


def policy(fields: Mapping[str, Any]) -> Policy | None:
    """The very policy that decided, from the record; None when it is not there or cannot be read."""
    digest = (fields.get("policy") or {}).get("digest")
    record = open_desk()
    try:
        return _policy(record, record.settings.store_url, str(digest)) if digest else None
    except (GuardError, ValueError):
        return None


def details(entry: Entry) -> Mapping[str, Any]:
    """An entry's fields with every result, also where they are sealed beside it, and with who asked."""
    try:
        sealed = open_desk().reader.body(entry.seq, "details") if entry.fields.get("shortened") else None
        return review.full(named(entry).fields, sealed)
    except (EvidenceError, ValueError):
        return entry.fields


def named(entry: Entry) -> Entry:
    """The entry with its request as it was sealed, requester included; as it stands where that was erased."""
    if "request" not in (entry.fields.get("bodies") or {}):
        return entry
    try:
        sealed = open_desk().reader.body(entry.seq, "request")
        request = json.loads(sealed.text) if isinstance(sealed, Text) else None
    except (EvidenceError, ValueError):
        return entry
    return replace(entry, fields={**entry.fields, "request": request}) if isinstance(request, dict) else entry


def note_access(entry: Entry, roles: Sequence[str], *, who: str, why: str) -> None:
    """Put on record that somebody reads sealed content, before it is shown; without that entry nothing is."""
    has = [role for role in roles if role in (entry.fields.get("bodies") or {})]
    try:
        access.note(open_desk().log, entry, has, who=who or "unnamed reader (local mode)", why=why)
    except GuardError as error:
        st.error("Content is only shown once it is on record who reads it.", icon=":material/error:")
        st.text(str(error))
        st.stop()


def now() -> str:
    """The time, as the record writes it."""
    return timestamp(datetime.now(UTC))


def zone() -> tzinfo:
    """The reader's time zone."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def today() -> str:
    """The start of the reader's day, as the record writes times."""
    start = datetime.now(zone()).replace(hour=0, minute=0, second=0, microsecond=0)
    return timestamp(start.astimezone(UTC))


def go(path: str, **params: str) -> None:
    """Open another page, in place."""
    st.switch_page(path, query_params=params)


def names(values: Sequence[str], most: int = 100) -> str:
    """Names in a row, for cells and lists; what is more than `most` is counted."""
    rest = len(values) - most
    return ", ".join(values[:most]) + (f" +{rest}" if rest > 0 else "")


def last_verified() -> Verified | None:
    """The newest verification since the dashboard started."""
    done = open_desk().verified
    return done[-1] if done else None


def verify_record() -> Verified:
    """Verify the whole record, against the checkpoint of the last good verification where there is one."""
    record = open_desk()
    kept = next((it.report.checkpoint for it in reversed(record.verified) if it.report.checkpoint), None)
    chosen = record.settings
    anchors = Anchors.read(chosen.tsa_anchors) if chosen.tsa_anchors else None
    known = Known(witness_vkeys(chosen.witness_spec), anchors)
    done = Verified(now(), verify(record.engine, first_keys(record.log.vkeys), against=kept, known=known))
    record.verified.append(done)
    return done


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found on checking that an entry is in the record. `problem` is empty when everything fits."""

    receipt: Receipt | None
    checkpoint: Checkpoint | None
    problem: str = ""


def prove(entry: Entry) -> Proof:
    """Check an entry's inclusion proof and the signature over it, here and now."""
    record = open_desk()
    try:
        receipt = record.reader.receipt(entry.seq)
        if receipt is None:
            return Proof(None, None, "the record has no checkpoint that covers this entry")
        checkpoint = verify_receipt(receipt, record.log.vkey, leaf=entry.leaf)
    except EvidenceError as error:
        return Proof(None, None, str(error))
    if not entry.intact:
        return Proof(receipt, checkpoint, "the search columns of this entry differ from what was signed")
    return Proof(receipt, checkpoint)


def receipt_file(entry: Entry, receipt: Receipt) -> str:
    """A receipt that can be checked offline; it holds the entry and the log's public key, and no content."""
    return json.dumps(to_json(receipt, leaf=entry.leaf, vkey=open_desk().log.vkeys), indent=2)


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for in the record; empty parts match everything."""

    text: str = ""
    kind: str | None = None
    state: str | None = None
    rule: str = ""


def search(wanted: Search, *, limit: int, before: int | None = None, reach: int = 5_000) -> list[Entry]:
    """Entries, newest first. Rules are not indexed: looking for one reads up to `reach` entries."""
    reader = open_desk().reader
    asked = {"kind": wanted.kind, "state": wanted.state, "text": wanted.text or None}
    if not wanted.rule:
        return reader.latest(limit, before=before, **asked)
    found: list[Entry] = []
    for _ in range(-(-reach // 500)):
        page = reader.latest(500, before=before, **asked)
        found += [it for it in page if wanted.rule in ((it.fields.get("decision") or {}).get("rules") or ())]
        if len(found) >= limit or len(page) < 500:
            break
        before = page[-1].seq
    return found[:limit]
