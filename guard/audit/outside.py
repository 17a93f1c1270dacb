"""Services that vouch for the record over HTTP: one host that the user named, without proxies, redirects or long answers."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from guard.errors import ConfigError, RecordError

SECONDS = 10.0
_LONGEST = 1 << 16  # bytes of an answer


class Service:
    """What a setting names; `who` and `failure` are for the error when it cannot be reached."""

    def __init__(
        self, url: str, who: str, setting: str, failure: type[RecordError], *, timeout: float = SECONDS
    ) -> None:
        self.parts = urlsplit(url)
        if (
            self.parts.scheme not in ("http", "https")
            or not self.parts.hostname
            or self.parts.query
            or self.parts.fragment
            or self.parts.username
        ):
            raise ConfigError(f"{setting} must be a plain URL such as https://{setting[6:].lower()}.example/path")
        self._who, self._setting, self._failure, self._timeout = who, setting, failure, timeout

    def ask(self, method: str, path: str, body: bytes, media_type: str | None = None) -> tuple[int, bytes]:
        """The status and the body of the answer to a request for the URL, or for a `path` below it."""
        host, port = self.parts.hostname or "", self.parts.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=self._timeout, context=ssl.create_default_context())
            if self.parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=self._timeout)
        )
        try:
            headers = {"Content-Type": media_type} if media_type else {}
            target = self.parts.path.rstrip("/") + path if path else self.parts.path or "/"
            connection.request(method, target, body or None, headers)
            response = connection.getresponse()
            return response.status, response.read(_LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(
                f"{self._who} at {host} cannot be reached ({type(error).__name__}): check the network and {self._setting}"
            ) from error
        finally:
            connection.close()
