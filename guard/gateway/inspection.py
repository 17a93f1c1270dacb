"""Routes about provenance: `/inspect`, and the query part of the C2PA Soft Binding Resolution API 2.4.

Answers are those of `Inspection.public`: classes and proofs, never distances or likelihoods.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guard.audit.names import manifest_name, mark_name
from guard.digest import JSON
from guard.errors import EvidenceError
from guard.gateway.errors import Refused
from guard.gateway.limits import Limits, Rates, Turns, client_of, read
from guard.provenance import jumbf
from guard.provenance.inspect import released
from guard.provenance.inspector import Inspector
from guard.provenance.verdict import Verdict
from guard.types import Image

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

MARK_SIZE = 6  # bytes
_MOST = 10  # matches
_LONGEST = 1 << 16  # bytes of a JSON body
_ID_LONGEST = 200


class Provenance:
    """The routes over one inspector. `algorithm` is the C2PA name of the image marks."""

    def __init__(self, inspector: Inspector, limits: Limits, *, algorithm: str) -> None:
        self._inspector, self._limits, self._algorithm = inspector, limits, algorithm
        self._rates, self._turns = Rates(limits), Turns(limits)

    def routes(self) -> list[Route]:
        """For the application."""
        from starlette.routing import Route

        return [
            Route("/inspect", self._limited(self.inspect), methods=["POST"]),
            Route("/matches/byBinding", self._limited(self.by_binding), methods=["GET", "POST"]),
            Route("/matches/byContent", self._limited(self.by_content), methods=["POST"]),
            Route("/manifests/{manifest_id}", self._limited(self.manifest), methods=["GET"]),
            Route("/services/supportedAlgorithms", self._limited(self.algorithms), methods=["GET"]),
        ]

    def _limited(self, route: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def limited(request: Request) -> Response:
            self._rates.take(client_of(request.scope))
            answered: Response = await route(request)
            return answered

        return limited

    async def _work(self, work: Callable[[], Any]) -> Any:
        async with self._turns.turn():
            return await asyncio.to_thread(work)

    # --- the routes ----------------------------------------------------------------------------------------------------

    async def inspect(self, request: Request) -> Response:
        """A file as the body; or, as `application/json`, `{"text": …, "manifest": …}`, the latter optional."""
        data, sidecar = await read(request, self._limits), None
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
            fields = _object(data)
            text, sidecar = fields.get("text"), fields.get("manifest")
            if not isinstance(text, str) or not isinstance(sidecar, str | None):
                raise Refused(400, "malformed", 'as JSON send {"text": "…", "manifest": "…"}; any file goes as it is')
            data = text.encode("utf-8", "surrogatepass")
        search = _choice(request.query_params.get("search"))
        found = await self._work(
            lambda: self._inspector.inspect(data, sidecar=sidecar, search=search, released_only=True)
        )
        return _json(found.public())

    async def by_binding(self, request: Request) -> Response:
        """Manifests whose content carries a watermark, by its value (base64)."""
        if request.method == "POST":
            limits = Limits(body=_LONGEST, seconds=self._limits.seconds)
            fields = _object(await read(request, limits))
        else:
            fields = dict(request.query_params)
        value = fields.get("value")
        if fields.get("alg") != self._algorithm or not isinstance(value, str):
            raise Refused(
                400, "unsupported", "name a supported algorithm and its value: see /services/supportedAlgorithms"
            )
        try:
            mark = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise Refused(400, "malformed", "the value is not base64") from None
        if len(mark) != MARK_SIZE:
            raise Refused(400, "malformed", f"a value of this algorithm has {MARK_SIZE} bytes")
        return await self._matches(request, lambda: self._manifests(mark_name(mark.hex())))

    async def by_content(self, request: Request) -> Response:
        """Manifests of what a file shows: by its mark or its fingerprint."""
        data = await read(request, self._limits)

        def found() -> list[str]:
            seen = self._inspector.inspect(data, released_only=True)
            if seen.entry is None or seen.verdict in (Verdict.CONTRADICTED, Verdict.NO_EVIDENCE):
                return []
            return self._manifests(None, seen.entry.seq)

        return await self._matches(request, found)

    async def manifest(self, request: Request) -> Response:
        """The manifest store of a released image, from the record."""
        from starlette.responses import Response

        name = request.path_params["manifest_id"]
        store = await self._work(lambda: self._store(name)) if len(name) <= _ID_LONGEST else None
        if store is None:
            raise Refused(404, "not_found", "no such manifest is kept here; it may have been erased")
        return Response(store, media_type="application/c2pa")

    async def algorithms(self, _request: Request) -> Response:
        """What `/matches/byBinding` takes. Fingerprints are looked for by content only."""
        return _json({"watermarks": [{"alg": self._algorithm}], "fingerprints": []})

    # --- what the record holds -------------------------------------------------------------------------------------------

    async def _matches(self, request: Request, find: Callable[[], list[str]]) -> Response:
        most = request.query_params.get("maxResults", str(_MOST))
        if not (most.isascii() and most.isdigit() and int(most[:9]) > 0):
            raise Refused(400, "malformed", "maxResults is a number from 1 on")
        found = await self._work(find)
        matches: list[JSON] = [{"manifestId": label} for label in found[: min(int(most[:9]), _MOST)]]
        return _json({"matches": matches})

    def _manifests(self, name: str | None, seq: int | None = None) -> list[str]:
        """The labels of the manifests of released entries, by a name or a number."""
        reader = self._inspector.reader
        if reader is None:
            return []
        entries = reader.named(name) if name is not None else [entry for entry in [reader.entry(seq or 0)] if entry]
        prefix = manifest_name("")
        return [
            each.removeprefix(prefix)
            for entry in entries
            if released(reader, entry)
            for each in entry.names
            if each.startswith(prefix)
        ]

    def _store(self, label: str) -> bytes | None:
        reader = self._inspector.reader
        for entry in reader.named(manifest_name(label)) if reader is not None else ():
            try:
                body = reader.body(entry.seq, "release") if reader is not None and released(reader, entry) else None
            except EvidenceError:
                continue
            if isinstance(body, Image) and (found := jumbf.store(body.data)) is not None:
                return found
        return None


def _json(value: JSON) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(value, headers={"cache-control": "no-store"})


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "malformed", "the body is not a JSON object")
    return found


def _choice(value: str | None) -> bool | None:
    choices = {None: None, "true": True, "false": False}
    if value not in choices:
        raise Refused(400, "malformed", "search is true or false")
    return choices[value]
