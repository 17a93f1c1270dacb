"""`guard serve`: the HTTP service."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import typer

from guard.cli.options import HomeOption, StoreOption
from guard.errors import MissingExtra

LOCAL = ("127.0.0.1", "localhost")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
    address: Annotated[
        str, typer.Option(help="Address to listen on; by default only this machine reaches it.")
    ] = LOCAL[0],
    rate: Annotated[float, typer.Option(min=1, help="Requests a minute for each client.")] = 60,
    store: StoreOption = None,
    home: HomeOption = None,
) -> None:
    """Let programs ask over HTTP where a file comes from. Nobody signs in: what it says is meant for everybody."""
    from guard import settings
    from guard.gateway.app import make_app
    from guard.gateway.inspection import Provenance
    from guard.gateway.limits import Limits
    from guard.provenance.inspector import Inspector
    from guard.provenance.watermark.image import ALGORITHM

    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra("The service", "gateway") from error
    local = _is_local(address)
    with Inspector.open(settings.load(store=store, home=home)) as inspector:
        routes = Provenance(inspector, Limits(per_minute=rate), algorithm=ALGORITHM).routes()
        app = make_app(routes, hosts=LOCAL if local else ("*",))
        typer.echo(f"genguard's service: http://{address}:{port}  (Ctrl+C ends it)", err=True)
        if not local:
            typer.echo("note: anybody who reaches this address can ask; put TLS in front of it", err=True)
        uvicorn.run(
            app, host=address, port=port, log_level="warning", access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=256, timeout_keep_alive=5,
        )  # fmt: skip


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
