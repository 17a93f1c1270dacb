"""Issuing a report: the record keeps it sealed and commits to the digests of its files; a signed statement lies beside it.

`guard inspect report.html` finds both: the statement by its place and name, the page by the look-up of contents in the record.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guard.audit.draft import Draft
from guard.audit.log import Log
from guard.digest import JSON, label
from guard.fairness.report import FORMAT, Report, to_json
from guard.keys import KeyRing
from guard.provenance import manifest
from guard.provenance.stamp import MANIFEST
from guard.types import Receipt, Text

KIND = "report"


@dataclass(frozen=True, slots=True)
class Issued:
    """What was recorded: the receipt of the entry, and the signed statement about the page."""

    receipt: Receipt
    statement: str

    def sidecar(self) -> bytes:
        """What is written beside the page, as `guard inspect` reads it."""
        receipt = self.receipt
        proof: dict[str, Any] = {name: getattr(receipt, name) for name in receipt.__slots__}
        return json.dumps({"manifest": self.statement, "receipt": proof}, indent=2).encode() + b"\n"


def issue(report: Report, page: bytes, log: Log, keys: KeyRing, files: Mapping[str, bytes]) -> Issued:
    """Sign a statement about the page and append an entry of kind `report` that commits to every file that is handed out."""
    content = Text(page.decode("utf-8"))
    signed = manifest.sign(_statement(report, content), keys.signing_key(MANIFEST))
    fields: dict[str, JSON] = {
        "state": "released",
        "report": {
            "format": FORMAT,
            "verdict": report.verdict,
            "verdicts": report.verdicts,
            "rows": report.rows,
            "attributes": list(report.attributes),
            "source": {"kind": report.source.kind, "digest": report.source.digest},
            "data_sha256": label(to_json(report)),
            "files": {name: label(data) for name, data in files.items()},
        },
    }
    [entry] = log.append([Draft(KIND, report.id, fields, {"release": content, "manifest": Text(signed)})])
    return Issued(entry.receipt, signed)


def _statement(report: Report, page: Text) -> dict[str, JSON]:
    """The statement's fixed fields are those of a text manifest; nothing in a report was made by a model."""
    data = manifest.normalise(page.text)
    policies: list[JSON] = [
        {"name": name, "version": version, "digest": digest} for name, version, digest in report.source.policies
    ]
    return {
        "format": manifest.FORMAT,
        "text_sha256": label(data),
        "length": len(data),
        "ai_generated": False,
        "report": {"format": FORMAT, "verdict": report.verdict, "data_sha256": label(to_json(report))},
        "source": {"kind": report.source.kind, "digest": report.source.digest},
        "policies": policies,
        "request_id": report.id,
        "created": dt.datetime.fromisoformat(report.created).astimezone(dt.UTC).isoformat(timespec="seconds"),
    }
