"""`guard dashboard`: the review desk, served on this machine only."""

from __future__ import annotations

import ipaddress
import logging
import os
import tomllib
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard import bundled, settings
from guard.cli.demo import demo_settings
from guard.cli.options import HomeOption, StoreOption
from guard.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from streamlit import App

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "frame-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class SecureHeaders:
    """Adds the headers that Streamlit does not send, to every HTTP response."""

    def __init__(self, app: Asgi) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; headers that are there already stay."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [(name, value) for name, value in self._headers if name not in present]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, with_headers)


def options(folder: Path, *, address: str, port: int, browser: bool) -> dict[str, Any]:
    """Streamlit's configuration. It is passed in full: Streamlit would look for a file beside the started program."""
    theme = tomllib.loads((folder / "theme.toml").read_text("utf-8"))
    return {
        **dict(_flat(theme)),
        "server.address": address,
        "server.port": port,
        "server.headless": not browser,
        "server.allowedHosts": ["127.0.0.1", "localhost", "::1"],  # a name that resolves here is not us
        "server.fileWatcherType": "none",
        "server.enableXsrfProtection": True,
        "server.maxUploadSize": 32,  # MB: one file to inspect
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.toolbarMode": "viewer",
        "logger.level": "warning",
    }


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def require_loopback(address: str) -> None:
    """Refuse to listen where others could connect: nobody is authenticated."""
    try:
        local = ipaddress.ip_address(address).is_loopback
    except ValueError:
        local = address == "localhost"
    if not local:
        raise ConfigError(
            f"the dashboard does not listen on {address}: it has no sign-in yet, so anybody who reaches it could rule. "
            "Leave out --address and connect through  ssh -L 8501:127.0.0.1:8501 HOST"
        )


def make_app(folder: Path) -> App:
    """The ASGI application: Streamlit behind our headers, with errors logged and not shown."""
    try:
        import streamlit
        from starlette.middleware import Middleware
    except ImportError as error:
        raise MissingExtra("The dashboard", "dashboard") from error

    def on_error(error: Exception) -> bool:
        logging.getLogger("guard.dashboard").error("a page failed: %s", type(error).__name__, exc_info=error)
        streamlit.error(
            "Something went wrong on this page. The log of the dashboard says what.", icon=":material/error:"
        )
        return True

    return streamlit.App(folder / "app.py", middleware=[Middleware(SecureHeaders)], on_script_error=on_error)


def dashboard(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    store: StoreOption = None,
    home: HomeOption = None,
    demo: Annotated[bool, typer.Option("--demo", help="Open the record that `guard demo` made.")] = False,
    address: Annotated[str, typer.Option(help="Address to listen on; only this machine is possible.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open the review queue, the audit trail, inspection and the overview in a browser."""
    require_loopback(address)
    chosen = settings.load(store=store, home=home)
    if demo:
        chosen = demo_settings(chosen)
    folder = bundled.folder("dashboards")
    app = make_app(folder)
    # The pages read the settings again in this process; the environment is where they find what was asked for here.
    os.environ["GUARD_STORE"], os.environ["GUARD_HOME"] = chosen.store_url, str(chosen.home)
    typer.echo(f"genguard's dashboard: http://{address}:{port}  (Ctrl+C ends it)", err=True)
    app.run(config=options(folder, address=address, port=port, browser=browser))


def register(app: typer.Typer) -> None:
    """Add `guard dashboard`."""
    app.command()(dashboard)
