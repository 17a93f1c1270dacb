"""Errors as the service tells them: JSON, without a word of what was sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from guard.errors import GuardError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import JSONResponse

logger = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818  (what happened to the request; nothing failed)
    """A request that is not served; `code` is for programs, `retry` seconds to wait."""

    def __init__(self, status: int, code: str, message: str, *, retry: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.retry = status, code, retry


def answer(status: int, code: str, message: str, retry: int | None = None) -> JSONResponse:
    """An error as JSON."""
    from starlette.responses import JSONResponse

    headers = {"retry-after": str(retry)} if retry is not None else None
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def refused(_request: Request, error: Exception) -> JSONResponse:
    """What was refused, with the reason."""
    assert isinstance(error, Refused)  # noqa: S101  (Starlette looks handlers up by type)
    return answer(error.status, error.code, str(error), error.retry)


async def http_error(_request: Request, error: Exception) -> JSONResponse:
    """Wrong paths and methods."""
    status = getattr(error, "status_code", 500)
    return answer(status, "not_found" if status == 404 else "not_allowed", "there is nothing here: see the README")


async def failed(_request: Request, error: Exception) -> JSONResponse:
    """What went wrong here is logged by its kind, and nobody else's business."""
    if isinstance(error, GuardError):
        logger.error("a request failed: %s", error)
    else:
        logger.error("a request failed: %s", type(error).__name__)
    return answer(500, "failed", "the service failed: its log says why")
