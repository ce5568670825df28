"""Where the gateway listens, and how it ends: requests in flight are finished, or cancelled after a while."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from coterie.config import Config
from coterie.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

DRAIN_S = 30
"""Requests in flight may take so long to finish once the server is told to stop."""


def check_address(host: str, config: Config) -> None:
    """Raises `ConfigError` for an address that others can reach, where no key is configured."""
    if not config.gateway.keys and not is_loopback(host):
        raise ConfigError(
            f"without keys only this machine may ask, so {host!r} is not served: listen on 127.0.0.1, or make a key "
            "with 'coterie keys create' and put it under gateway.keys"
        )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(config: Config, host: str, port: int, drain_s: int = DRAIN_S) -> None:
    """Serve until told to stop (SIGINT, SIGTERM). Raises `ConfigError`, `MissingExtra`; an address that is taken
    ends the process."""
    check_address(host, config)
    try:
        import uvicorn

        from coterie.gateway.app import application
    except ImportError as error:
        raise MissingExtra("'coterie serve'", "gateway", error.name or "uvicorn") from error
    uvicorn.Server(settings(application(config), host, port, drain_s)).run()


def settings(app: ASGIApp, host: str, port: int, drain_s: int = DRAIN_S) -> uvicorn.Config:
    """How uvicorn serves `app`: its own log and headers would say more than they should, and take time."""
    import uvicorn

    from coterie.gateway.protocol import BoundedProtocol

    return uvicorn.Config(
        app,
        host,
        port,
        http=BoundedProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        backlog=2048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=drain_s,
    )
