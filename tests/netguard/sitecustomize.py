"""Refuses and notes every connection that leaves this machine; loaded by each Python process that the tests start.

The hook sees what Python opens. Libraries with sockets of their own are watched elsewhere: the browser by its request
log, the C2PA library by settings that forbid fetching.
"""

from __future__ import annotations

import ipaddress
import os
import sys

LOG = "GUARD_TEST_NETWORK_LOG"
LOCAL_NAMES = {"", "localhost", "ip6-localhost"}


def is_local(host: object) -> bool:
    """Whether a host is this machine."""
    if host is None:
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name.lower() in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # Unix sockets have a path instead
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not is_local(host):
        with open(os.environ[LOG], "a", encoding="utf-8") as log:
            log.write(f"{event} {host!r} by {' '.join(sys.argv[:3])}\n")
        raise PermissionError(f"tests stay on this machine: {event} to {host!r} was refused")


if os.environ.get(LOG):
    sys.addaudithook(watch)
