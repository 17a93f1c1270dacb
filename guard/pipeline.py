"""Guard: a policy, its checkers, a record and a model, put around generation calls."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from guard import settings
from guard.audit.draft import check_request_id, utcnow
from guard.digest import JSON, canonical
from guard.errors import CallerError
from guard.flow import Deed, Flow, adrive, drive, examination, generation, needs_keys
from guard.generators.adapt import adapt
from guard.generators.function import FunctionGenerator
from guard.isolate import Workers
from guard.keys import KeyRing
from guard.ledger import Ledger
from guard.policy.load import from_document, load_model, resolve
from guard.policy.schema import document
from guard.provenance.certs import SigningService, configured_identity, identity_from_service
from guard.provenance.stamp import Stamper
from guard.provenance.watermark import UNMARKED, text_mark
from guard.redactor import Redactor, redactor, reidentify
from guard.types import (
    CheckResult,
    Content,
    Generated,
    Generator,
    Image,
    Item,
    Outcome,
    PolicyRef,
    Request,
    Stage,
    Stamp,
    Text,
    new_id,
)

REQUEST_FIELDS = frozenset({"id", "requester", "purpose", "groups", "tenant", "sources", "image"})
DEFAULT_POLICY = "default"
THREADS = 64  # that wait for event loops: as many callers share a commit


class Guard:
    """Everything that stands around a generation call. Share one between threads; close it, or use it in `with`.

    `policy` is a file, a folder, the name of a shipped policy, or plain data; `store` a database URL; `home` the folder of
    keys and cache; `c2pa_chain` and `c2pa_key` the PEM files of whoever signs credentials, `c2pa_service` a service that
    signs them with a key of its own. What is not given comes from the environment (GUARD_POLICY, GUARD_STORE, …), then
    `guard.toml`, then the defaults.
    `model` is what `generate` runs: anything that `wrap` takes.
    """

    def __init__(
        self,
        policy: str | Path | Mapping[str, Any] | None = None,
        *,
        store: str | None = None,
        home: str | Path | None = None,
        c2pa_chain: str | Path | None = None,
        c2pa_key: str | Path | None = None,
        c2pa_service: SigningService | None = None,
        model: Any = None,
        tokenizer: Any = None,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        path = None if isinstance(policy, Mapping) else policy
        self.settings = settings.load(store=store, home=home, policy=path, c2pa_chain=c2pa_chain, c2pa_key=c2pa_key)
        # Read at once: later a mistake would show only as images that are withheld.
        signer = configured_identity(*self.settings.signer) if self.settings.signer else None
        if c2pa_service is not None:
            signer = identity_from_service(c2pa_service)
        source = policy if isinstance(policy, Mapping) else resolve(self.settings.policy or DEFAULT_POLICY)
        effective = document(load_model(source))
        self.policy = from_document(effective)
        self.keys = KeyRing(self.settings.keys)
        self.ledger = Ledger(
            self.settings.store_url,
            self.keys,
            self.policy,
            effective,
            clock=clock,
            deployment=self.settings.deployment,
            **self.settings.log_options,
        )
        self._workers = Workers(self.policy.checkers, home=self.settings.home, chain=self.settings.c2pa_chain)
        self._stamper = Stamper(
            self.keys,
            self.policy.stamp,
            signer=signer,
            authority=self.settings.authority_spec,
            record=self.settings.origin,
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="guard")  # for event loops; started when needed
        self._generator = self._adapted(model, tokenizer, None) if model is not None else None

    # --- generating ------------------------------------------------------------------------------------------------

    def generate(self, request: Request | Content | str, **fields: Any) -> Outcome:
        """Run the whole flow and return what happened; a blocked or held result is data, not an exception.

        `fields` (id, requester, purpose, groups, tenant, sources, image; the rest are parameters of the model) go with a bare
        prompt. The same request id gives the same outcome, once: a second call generates nothing.
        """
        return drive(generation(self, as_request(request, fields), self._required_model()))

    async def agenerate(self, request: Request | Content | str, **fields: Any) -> Outcome:
        """`generate` for event loops; the model may be an async function."""
        return await self.drive(generation(self, as_request(request, fields), self._required_model()))

    async def drive(self, flow: Flow) -> Outcome:
        """Run a flow in an event loop, for `agenerate` and `wrap`."""
        return await adrive(flow, self._threads)

    def wrap(self, thing: Any, *, tokenizer: Any = None, name: str | None = None) -> Wrapped:
        """Put the flow around a transformers model or pipeline, a diffusers pipeline, or a sync or async function.

        What comes back is called with a prompt and returns an Outcome (async functions: awaitable). Also a decorator.
        """
        return Wrapped(self, self._adapted(thing, tokenizer, name), thing)

    def _adapted(self, thing: Any, tokenizer: Any, name: str | None) -> Generator:
        return adapt(thing, tokenizer=tokenizer, name=name, mark=text_mark(self.keys, self.policy.stamp.watermark))

    def _required_model(self) -> Generator:
        if self._generator is None:
            raise CallerError("this Guard has no model: give Guard(model=…), or wrap one with guard.wrap(…)")
        return self._generator

    def stamp(
        self, content: Content | str, *, model: str, prompt: Content | str | None = None, **fields: Any
    ) -> Outcome:
        """Guard what `model` made elsewhere as if it were made here now: it is checked, decided on, stamped and recorded.

        A text counts as a file that leaves (`stamp: exports` in the policy). `fields` as for `generate`.
        """
        made = Generated(as_content(content), {"model": model, "library": "elsewhere"}, export=True)
        request = as_request(prompt if prompt is not None else "", fields)
        return drive(generation(self, request, FunctionGenerator(lambda *_, **__: made, name=model)))

    # --- checking what was made elsewhere --------------------------------------------------------------------------

    def check(
        self,
        content: Content | str,
        *,
        stage: Stage | str = Stage.OUTPUT,
        prompt: Content | str | None = None,
        **fields: Any,
    ) -> Outcome:
        """Check and decide on content that was made elsewhere, and record it. Nothing is generated or stamped."""
        [outcome] = self.check_many([content], stage=stage, prompt=prompt, **fields)
        return outcome

    def check_many(
        self,
        contents: Sequence[Content | str],
        *,
        stage: Stage | str = Stage.OUTPUT,
        prompt: Content | str | None = None,
        ids: Sequence[str] | None = None,
        **fields: Any,
    ) -> list[Outcome]:
        """`check` for many at once: models see them as batches, and one transaction records them."""
        return self.ledger.record(self.examine(contents, stage=stage, prompt=prompt, ids=ids, **fields))

    def examine(
        self,
        contents: Sequence[Content | str],
        *,
        stage: Stage | str = Stage.OUTPUT,
        prompt: Content | str | None = None,
        ids: Sequence[str] | None = None,
        **fields: Any,
    ) -> list[Deed]:
        """Check and decide without recording: for trying a policy out. Nothing may be released on the strength of it."""
        where = Stage(stage)
        asked = as_content(prompt) if prompt is not None else None
        found = [as_content(content) for content in contents]
        names = ids or [fields.pop("id", None) or new_id() if len(found) == 1 else new_id() for _ in found]
        requests = [
            as_request(asked or content, {**fields, "id": name}) for content, name in zip(found, names, strict=True)
        ]
        items = [
            Item(content, where, prompt=asked, sources=request.sources)
            for content, request in zip(found, requests, strict=True)
        ]
        results = self.look(items)
        return [
            examination(self.policy, request, item, seen, self.redactor(request))
            for request, item, seen in zip(requests, items, results, strict=True)
        ]

    # --- afterwards ------------------------------------------------------------------------------------------------

    def collect(self, request_id: str) -> Outcome:
        """The outcome of an earlier request as it stands now: content that a reviewer approved is released here."""
        return self.ledger.collect(request_id)

    def reidentify(self, request_id: str, text: str, *, by: str, reason: str) -> str:
        """A text with the pseudonyms and encrypted values of a request turned back; who reads it, and why, is recorded."""
        return reidentify(self.ledger.log, self.keys, request_id, text, by=by, reason=reason)

    def close(self) -> None:
        """Stop the checkers and let go of the database; what event loops have begun to record is recorded first."""
        self._threads.shutdown()
        self._workers.close()
        self.ledger.close()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what the flow asks for (guard.flow.Services) --------------------------------------------------------------

    def earlier(self, request: Request) -> Outcome | int | None:
        """See `guard.flow.Services`."""
        return self.ledger.earlier(request)

    def look(self, items: Sequence[Item]) -> list[list[CheckResult]]:
        """See `guard.flow.Services`."""
        return self._workers.check(items[0].stage, items) if items else []

    def redactor(self, request: Request) -> Redactor:
        """See `guard.flow.Services`."""
        return redactor(self.keys, self.ledger.log.vault, request) if needs_keys(self.policy) else Redactor()

    def mark(self, request: Request, content: Content, generated: Generated) -> tuple[Content, Stamp]:
        """See `guard.flow.Services`."""
        layers = generated.layers
        if (
            content.kind == "text"
            and self.policy.stamp.watermark
            and not any(one.kind == "watermark" for one in layers)
        ):
            layers += (UNMARKED,)
        return self._stamper.stamp(
            content,
            request_id=request.id,
            policy=PolicyRef(self.policy.name, self.policy.version, self.policy.digest),
            generator=generated.facts,
            layers=layers,
            prompt=request.prompt,
            source=request.image,
            export=generated.export,
        )

    def record(self, deed: Deed) -> Outcome:
        """See `guard.flow.Services`."""
        [outcome] = self.ledger.record([deed])
        return outcome

    def record_failure(self, request: Request, generator: Generator, error: Exception) -> None:
        """See `guard.flow.Services`."""
        self.ledger.record_failure(request, generator, error)


class Wrapped:
    """A model with the flow around it: call it with a prompt."""

    def __init__(self, guard: Guard, generator: Generator, thing: Any) -> None:
        self._guard, self._generator = guard, generator
        self.__wrapped__ = thing
        if callable(thing) and hasattr(thing, "__name__"):
            functools.update_wrapper(self, thing)

    def __call__(self, request: Request | Content | str, **fields: Any) -> Any:
        """An Outcome, or an awaitable of one where the wrapped function is asynchronous."""
        flow = generation(self._guard, as_request(request, fields), self._generator)
        if getattr(self._generator, "is_async", False):
            later: Awaitable[Outcome] = self._guard.drive(flow)
            return later
        return drive(flow)


def as_content(content: Content | str) -> Content:
    """A string is text."""
    return Text(content) if isinstance(content, str) else content


def as_sources(sources: str | Sequence[str]) -> tuple[str, ...]:
    """One text of data, or several."""
    return (sources,) if isinstance(sources, str) else tuple(sources)


def as_request(request: Request | Content | str, fields: Mapping[str, Any]) -> Request:
    """A request from a prompt and keyword arguments; what is no field of a request is a parameter of the model."""
    if isinstance(request, Request):
        if fields:
            raise CallerError(f"{', '.join(sorted(fields))}: put these into the Request itself")
        return _recordable(request)
    params: dict[str, JSON] = {name: value for name, value in fields.items() if name not in REQUEST_FIELDS}
    made = Request(
        prompt=as_content(request),
        id=fields.get("id") or new_id(),
        params=params,
        requester=fields.get("requester"),
        purpose=fields.get("purpose"),
        groups=fields.get("groups") or {},
        tenant=fields.get("tenant"),
        sources=as_sources(fields.get("sources") or ()),
        image=fields.get("image"),
    )
    return _recordable(made)


def _recordable(request: Request) -> Request:
    """The request, if the record can hold it: better said before the model runs than after."""
    if not isinstance(request.prompt, Content):
        raise CallerError(
            f"a prompt is a str, or guard.Text, Image or other content, not {type(request.prompt).__name__}"
        )
    start: object = request.image
    if start is not None and not (isinstance(start, Image) and isinstance(request.prompt, Text)):
        raise CallerError("an image to start from is a guard.Image, beside a prompt that is text")
    if not isinstance(request.groups, Mapping):
        raise CallerError("groups must be a mapping of names to text")
    words = {f"groups[{name!r}]": group for name, group in request.groups.items()}
    optional = {"requester": request.requester, "purpose": request.purpose, "tenant": request.tenant}
    words |= {f"sources[{place}]": source for place, source in enumerate(request.sources)}
    words |= {"id": request.id, **{name: word for name, word in optional.items() if word is not None}}
    for name, word in words.items():
        if not isinstance(word, str):
            raise CallerError(f"{name} must be text")
    check_request_id(request.id)
    for name, value in request.params.items():
        try:
            canonical(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise CallerError(
                f"parameter {name!r} cannot be recorded: give text, numbers, lists or mappings"
            ) from error
    return request
