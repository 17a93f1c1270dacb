"""What keeps one client from taking the service from the others: how often, how much, how long, how many at once."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from guard.gateway.errors import Refused


@dataclass(frozen=True, slots=True)
class Limits:
    """Of requests: so many a minute for each client, `burst` of them at once; bytes of a body; seconds for it to arrive;
    how many are worked on at a time, and how many may wait."""

    per_minute: float = 60.0
    burst: int = 20
    body: int = 32 << 20
    seconds: float = 30.0
    threads: int = 2
    waiting: int = 16


class Rates:
    """A token bucket for each client; those not seen for longest are forgotten first."""

    MOST = 10_000  # clients

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._rate, self._clock = float(limits.burst), limits.per_minute / 60, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count a request. Raises Refused where the client must wait."""
        now = self._clock()
        tokens, since = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - allowed, now)
        if len(self._buckets) > self.MOST:
            self._buckets.popitem(last=False)
        if not allowed:
            raise Refused(429, "too_many_requests", "ask again later", retry=int((1 - tokens) / self._rate) + 1)


def client_of(scope: Any) -> str:
    """Who asks: an address; of IPv6 its network, since one holder has all of it."""
    host = str((scope.get("client") or ("unknown",))[0])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


class Turns:
    """A few at a time; who finds too many waiting is told to come back."""

    def __init__(self, limits: Limits) -> None:
        self._free, self._most = asyncio.Semaphore(limits.threads), limits.waiting
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn. Raises Refused at once where too many do."""
        if self._waiting >= self._most:
            raise Refused(503, "busy", "too many requests at this moment: ask again later", retry=2)
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()


async def read(request: Any, limits: Limits) -> bytes:
    """The body of a request. Raises Refused where it is empty, too large or too slow."""
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced[:18]) > limits.body:
        raise _too_large(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    raise _too_large(limits)
                parts.append(part)
    except TimeoutError:
        raise Refused(408, "too_slow", f"the body did not arrive within {limits.seconds:g} seconds") from None
    if not size:
        raise Refused(400, "empty", "send the file as the body of the request")
    return b"".join(parts)


def _too_large(limits: Limits) -> Refused:
    return Refused(413, "too_large", f"a file may have {limits.body} bytes here")
