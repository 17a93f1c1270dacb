"""Asking a service over HTTP within a budget of time and tries. What fails is an error that quotes neither texts nor keys."""

from __future__ import annotations

import os
import time
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from guard.errors import ConfigError, MissingExtra, OperationError

LARGEST = 1 << 22  # bytes of an answer
AGAIN = frozenset({408, 429, 500, 502, 503, 504})  # answers that may be others in a moment
FIRST_WAIT = 0.1  # seconds, doubled each time


class Endpoint(BaseModel, extra="forbid", frozen=True):
    """Where the service is, and how long it may take."""

    base_url: str = Field(description="up to and with /v1, such as https://moderation.example/v1")
    api_key_env: str | None = Field(
        None, description="name of the environment variable that holds the key; none: no key"
    )
    request_timeout: float = Field(
        4.0, gt=0, description="seconds for one request with its retries; keep it below the checker's own timeout"
    )
    retries: int = Field(2, ge=0, le=10, description="how often a request that failed is repeated")

    @field_validator("base_url")
    @classmethod
    def _plain(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "holds a user name, a password or a query: policies are recorded; give a key by api_key_env"
            )
        return value.rstrip("/")


class Client:
    """Posts JSON to an endpoint."""

    def __init__(self, params: Endpoint) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingExtra("asking an endpoint", "endpoints") from error
        self._params = params
        self._host = urlsplit(params.base_url).hostname
        headers = {}
        if params.api_key_env:
            key = os.environ.get(params.api_key_env, "").strip()
            if not key:
                raise ConfigError(f"the environment variable {params.api_key_env} (api_key_env) is not set")
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.Client(headers=headers, follow_redirects=False)

    def post(self, path: str, body: Any) -> Any:
        """The JSON that the service answers with. Raises OperationError when there is none in time."""
        import httpx

        end = time.monotonic() + self._params.request_timeout
        wait, why = FIRST_WAIT, ""
        for attempt in range(self._params.retries + 1):
            if attempt:
                if time.monotonic() + wait >= end:
                    break
                time.sleep(wait)
            wait = FIRST_WAIT * 2 ** (attempt + 1)
            try:
                status, headers, data = self._once(path, body, end)
            except httpx.TimeoutException:
                why = "did not answer in time"
            except httpx.HTTPError as error:
                why = f"cannot be asked ({type(error).__name__})"
            else:
                if status == httpx.codes.OK:
                    return self._parsed(data)
                why = f"answered {status}"
                if status not in AGAIN:
                    break
                wait = max(wait, _seconds(headers.get("Retry-After")))
        raise OperationError(f"the endpoint at {self._host} {why}{_hint(why)}")

    def _once(self, path: str, body: Any, end: float) -> tuple[int, Any, bytes]:
        import httpx

        left = max(end - time.monotonic(), 0.001)
        data = bytearray()
        with self._client.stream("POST", self._params.base_url + path, json=body, timeout=left) as answer:
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > LARGEST:
                    raise OperationError(f"the endpoint at {self._host} answers with more than {LARGEST} bytes")
                if time.monotonic() > end:  # httpx counts from piece to piece
                    raise httpx.ReadTimeout("too slow")
        return answer.status_code, answer.headers, bytes(data)

    def _parsed(self, data: bytes) -> Any:
        import json

        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise OperationError(f"the endpoint at {self._host} answers with something that is no JSON") from None

    def nonsense(self, what: str) -> OperationError:
        """The error for an answer that is JSON and yet no answer."""
        return OperationError(f"the endpoint at {self._host} answered nonsense: {what}")


def _seconds(header: str | None) -> float:
    """Of Retry-After; dates are not read, the doubled wait serves."""
    return float(header) if header and header.strip().isdecimal() else 0.0


def _hint(why: str) -> str:
    for status, hint in (("401", "check the key"), ("403", "check the key"), ("404", "check base_url and model")):
        if why.endswith(status):
            return f": {hint}"
    return ""
