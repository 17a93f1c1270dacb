"""Between the flow and the record: outcomes are written, and read back from their entries."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Unpack

from sqlalchemy import Connection

from guard import review
from guard.audit.draft import Draft, timestamp, utcnow
from guard.audit.log import Appended, Log
from guard.audit.read import Entry, Reader
from guard.digest import JSON
from guard.entries import as_text, draft_of, request_data, sealed_request, state_of
from guard.envelope import decision_from, result_from
from guard.errors import AlreadyRecorded, CallerError, ConfigError, IdempotencyConflict, RecordError
from guard.flow import Deed, Left
from guard.keys import KeyRing
from guard.options import LogOptions
from guard.policy.decide import severity
from guard.store.engine import current, open_engine, require_current, upgrade
from guard.types import (
    Ack,
    Action,
    Content,
    Generator,
    Layer,
    Outcome,
    Policy,
    Receipt,
    Request,
    Stamp,
    State,
    Text,
    new_id,
)

OUTCOMES = ("continuation", "generation", "check")


class Ledger:
    """The record of one Guard."""

    def __init__(
        self,
        url: str,
        keys: KeyRing,
        policy: Policy,
        effective: Mapping[str, JSON],
        *,
        clock: Callable[[], datetime] = utcnow,
        deployment: Mapping[str, JSON] = {},
        **options: Unpack[LogOptions],
    ) -> None:
        waits = [action.label for action, ack in policy.acks.items() if ack is Ack.WITNESSED]
        if waits and options.get("witness") is None:
            waiting = ", ".join(waits)
            raise ConfigError(
                f"the policy lets {waiting} wait for a witness, and there is none: set GUARD_WITNESS to a folder elsewhere,"
                " or to a witness's URL"
            )
        self.engine = open_engine(url)
        if self.engine.dialect.name == "sqlite" and current(self.engine) is None:
            upgrade(self.engine)  # the embedded default needs no set-up step
        require_current(self.engine)
        self.log = Log(self.engine, keys, clock=clock, **options)
        self.log.compare()  # a record that went back is said at once, not at the first request
        self.log.settle()
        self.reader = Reader(self.engine, self.log.vault)
        self._policy = policy
        self._deployment = dict(deployment)
        self._record_policy(effective)

    def close(self) -> None:
        """Number what was recorded, show it to the witness, where there is one, and let go of the database."""
        try:
            self.log.settle()
            self.log.catch_up()
        finally:
            self.engine.dispose()

    def record(self, deeds: Sequence[Deed]) -> list[Outcome]:
        """Append one entry for each deed, in one transaction with the cases that they open; then the outcomes exist.

        Raises RecordError when the record cannot be written: nothing is released then.
        """
        cases = [new_id() if state_of(deed) is State.HELD else None for deed in deeds]
        opened = [self._case_fields(deed, case) for deed, case in zip(deeds, cases, strict=True)]
        drafts = [
            draft_of(deed, {**fields, "deployment": self._deployment}, self._subject(deed.request))
            for deed, fields in zip(deeds, opened, strict=True)
        ]

        def open_cases(connection: Connection, appended: Sequence[Appended]) -> None:
            for deed, fields, entry in zip(deeds, opened, appended, strict=True):
                if fields["case"]:
                    review.open_case(
                        connection,
                        case_id=fields["case"],
                        seq=entry.seq,
                        request_id=deed.request.id,
                        stage=deed.stage.value,
                        kind=(deed.output or deed.request.prompt).kind,
                        severity=fields["severity"],
                        opened_at=entry.occurred_at,
                        deadline=fields["deadline"],
                    )

        try:
            acks = [self._ack(deed.verdict.decision.action) for deed in deeds]
            ack = max(acks, key=tuple(Ack).index, default=Ack.SEQUENCED)
            appended = self.log.append(drafts, within=open_cases if any(cases) else None, ack=ack)
        except AlreadyRecorded:
            # Another caller with the same request id was faster: its outcome stands, ours was never released. It is ours to
            # hand out only where the request was the same.
            for deed in deeds:
                if (entry := self._newest(deed.request.id)) is not None and deed.kind != "check":
                    self._require_same(entry, deed.request)
            return [self.collect(deed.request.id) for deed in deeds]
        return [_outcome(deed, case, entry) for deed, case, entry in zip(deeds, cases, appended, strict=True)]

    def open_stream(self, request: Request, generator: Generator) -> int:
        """Append that pieces of an answer begin to leave, and return the entry's number: what ends the stream says so in an
        entry of its own, so where that is missing, it broke off.

        Raises CallerError where a stream was opened under this request id before.
        """
        try:
            [appended] = self.log.append([self._bare("opening", request, generator)])
        except AlreadyRecorded:
            raise CallerError(
                f"a stream with request id {request.id} is under way, or broke off; use a fresh id"
            ) from None
        return appended.seq

    def record_failure(
        self, request: Request, generator: Generator, error: Exception, left: Left | None = None
    ) -> None:
        """Append that the model failed, with the kind of error and never its text, which may quote the prompt."""
        more: dict[str, JSON] = {"stream": left.data} if left else {}
        draft = self._bare("failure", request, generator, error=type(error).__name__, **more)
        bodies = {**draft.bodies, "left": Text(left.text)} if left and left.text else draft.bodies
        self.log.append([replace(draft, bodies=bodies)])

    def _bare(self, kind: str, request: Request, generator: Generator, **more: JSON) -> Draft:
        """An entry about a call without an outcome."""
        fields: dict[str, JSON] = {
            "deployment": self._deployment,
            "request": request_data(request),
            "generator": {"model": generator.name},
            "policy": self._policy_ref(),
            **more,
        }
        bodies: dict[str, Content] = {"prompt": request.prompt, "request": sealed_request(request)}
        if request.image:
            bodies["image"] = request.image
        return Draft(kind, request.id, fields, bodies, self._subject(request))

    def _subject(self, request: Request) -> str | None:
        return self.log.vault.pseudonym(request.requester) if request.requester else None

    def earlier(self, request: Request) -> Outcome | int | None:
        """See `guard.flow.Services`."""
        entry = self._newest(request.id)
        if entry is None:
            return None
        self._require_same(entry, request)
        standing = review.standing(entry, self.reader.history(request.id))
        if standing is not None and standing.state == "resumed":
            return entry.seq
        return self._outcome_from(entry)

    def collect(self, request_id: str) -> Outcome:
        """An outcome as it stands now, rulings included."""
        entry = self._newest(request_id)
        if entry is None:
            raise CallerError(
                "there is no outcome under this request id; was it recorded in another database, or pruned?"
            )
        return self._outcome_from(entry)

    def _newest(self, request_id: str) -> Entry | None:
        self.log.settle(request_id)  # it may be durable and have no number yet
        found = [entry for entry in self.reader.history(request_id) if entry.kind in OUTCOMES]
        return max(found, key=lambda entry: entry.seq) if found else None

    def _require_same(self, entry: Entry, request: Request) -> None:
        if entry.kind == "check":
            raise IdempotencyConflict(f"request id {request.id} belongs to a check; use a fresh id")
        recorded = [self.reader.body(entry.seq, role) for role in ("prompt", "request")]  # which names the image
        given = [request.prompt, sealed_request(request)]
        if any(old is not None and old != new for old, new in zip(recorded, given, strict=True)):
            raise IdempotencyConflict(
                f"request id {request.id} was used before for another prompt or other parameters; use a fresh id"
            )

    def _outcome_from(self, entry: Entry) -> Outcome:
        fields = entry.fields
        state, proved = State(fields["state"]), entry.seq
        ruling = review.ruling(self.engine, str(entry.request_id), of=entry.seq) if state is State.HELD else None
        if ruling is not None:
            if not ruling.approved:
                state = State.BLOCKED
            elif fields["stage"] != "input" or entry.kind == "check":
                state = State.RELEASED
            proved = ruling.seq
        content = self.reader.body(entry.seq, "release") if state is State.RELEASED else None
        decision = decision_from({**fields["decision"], "policy": fields["policy"]})
        return Outcome(
            request_id=str(entry.request_id),
            state=state,
            decision=decision,
            results=tuple(result_from(result) for result in self.details(entry)["results"]),
            content=content,
            proof=self._receipt(proved, decision.action),
            stamp=self._stamp_from(entry, content) if content else None,
            case=fields["case"],
            replayed=True,
        )

    def _ack(self, action: Action) -> Ack:
        return self._policy.acks.get(action, Ack.SEQUENCED)

    def _receipt(self, seq: int, action: Action) -> Receipt:
        """What was recorded while the witness could not be reached still waits for it."""
        if self._ack(action) is Ack.WITNESSED:
            return self.log.witnessed(seq)
        receipt = self.reader.receipt(seq)
        if receipt is None:
            raise RecordError(f"entry {seq} is not in the tree: run  guard audit verify")
        return receipt

    def details(self, entry: Entry) -> Mapping[str, Any]:
        """The results and redactions of an outcome, from the entry or, where they were too long for it, from its body."""
        sealed = self.reader.body(entry.seq, "details") if entry.fields.get("shortened") else None
        return json.loads(sealed.text) if isinstance(sealed, Text) else entry.fields

    def _stamp_from(self, entry: Entry, content: Content) -> Stamp | None:
        data = entry.fields["stamp"]
        if data is None:
            return None
        manifest = self.reader.body(entry.seq, "manifest")
        layers = tuple(Layer(**layer) for layer in data["layers"])
        return Stamp(content.digest, layers, manifest.text if isinstance(manifest, Text) else None)

    def _case_fields(self, deed: Deed, case: str | None) -> dict[str, Any]:
        if case is None:
            return {"case": None, "severity": None, "deadline": None}
        due = datetime.fromisoformat(self.log.now()) + timedelta(seconds=self._policy.review_within)
        level = severity(self._policy, deed.verdict.context, deed.verdict.results)
        return {"case": case, "severity": level, "deadline": timestamp(due)}

    def _policy_ref(self) -> dict[str, JSON]:
        return {"name": self._policy.name, "version": self._policy.version, "digest": self._policy.digest}

    def _record_policy(self, effective: Mapping[str, JSON]) -> None:
        """Keep the text of each policy that decides, once, so that any decision can be replayed from the record."""
        digest = self._policy.digest  # stands in the indexed column, so that finding it again costs one look-up
        if not any(entry.kind == "policy" for entry in self.reader.history(digest)):
            self.log.append([Draft("policy", digest, {"policy": self._policy_ref()}, {"policy": as_text(effective)})])


def _outcome(deed: Deed, case: str | None, entry: Appended) -> Outcome:
    state = state_of(deed)
    released = state is State.RELEASED
    return Outcome(
        request_id=deed.request.id,
        state=state,
        decision=deed.verdict.decision,
        results=deed.verdict.results,
        content=deed.release if released else None,
        proof=entry.prove if entry.number is None else entry.receipt,
        stamp=deed.stamp if released else None,
        case=case,
    )
