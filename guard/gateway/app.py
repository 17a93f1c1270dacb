"""The application, put together: which routes there are, what stands around all of them, and how errors look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guard.errors import MissingExtra
from guard.gateway.errors import Refused, failed, http_error, refused
from guard.version import VERSION

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute


def make_app(routes: Sequence[BaseRoute], *, hosts: Sequence[str] = ("*",)) -> Starlette:
    """The ASGI application. `hosts` are the names under which it may be asked: a page in a browser can point others at it."""
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.routing import Route
    except ImportError as error:
        raise MissingExtra("The service", "gateway") from error

    return Starlette(
        routes=[Route("/healthz", _health, methods=["GET"]), *routes],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers={Refused: refused, HTTPException: http_error, Exception: failed},
    )


async def _health(_request: Request) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse({"status": "ok", "version": VERSION})
