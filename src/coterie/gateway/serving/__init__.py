"""Where the gateway listens, and how it ends: requests in flight are finished, or cancelled after a while."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coterie.config import Config
from coterie.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

Load = Callable[[], Config]
"""Reads the configuration anew. Raises `CoterieError` for one that cannot be served."""

BACKLOG = 2048
"""Connections that the system completes before anybody accepts them."""

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


@dataclass(frozen=True)
class Serving:
    """Where and how a configuration is served."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    """Processes that share the port."""
    drain_s: int = DRAIN_S
    notice_s: int = 0
    """Told to stop, it still serves for so long whoever comes, while `/health/ready` says that it will end."""

    def check(self, config: Config) -> None:
        """Raises `ConfigError` for a configuration that cannot be served so."""
        check_address(self.host, config)
        check_workers(self.workers, config)


def serve(config: Config, how: Serving, load: Callable[[], Config] | None = None) -> None:
    """Serve until told to stop (SIGINT, SIGTERM); on SIGHUP, what `load` then gives.

    Raises `ConfigError`, also for an address that cannot be had, and `MissingExtra`.
    """
    how.check(config)
    sockets = listening(how.host, how.port)

    def again() -> Config:
        made = load() if load is not None else config
        how.check(made)
        return made

    if how.workers == 1:
        _serve(config, how, again, sockets)
    else:
        _serve_together(config, how, again, sockets)


def _serve(config: Config, how: Serving, load: Load, sockets: list[socket.socket], parent: int | None = None) -> None:
    """In this process."""
    _check_installed()
    from coterie.gateway.app import application
    from coterie.gateway.desk import Desk
    from coterie.gateway.serving.server import Server
    from coterie.gateway.watching import collector, logs

    with logs.started():
        desk = Desk(config)
        app = application(config, desk)
        server = Server(settings(app, how.host, how.port, how.drain_s), desk, how.drain_s, how.notice_s, load)
        server.parent = parent
        collector.settle()
        server.run(sockets)


def _serve_together(config: Config, how: Serving, load: Load, sockets: list[socket.socket]) -> None:
    """In several processes, whose parent this one is."""
    from coterie.gateway.serving.workers import Workers, metrics_folder

    with metrics_folder():
        _check_installed()
        from coterie.gateway.desk import Desk
        from coterie.gateway.watching import collector
        from coterie.gateway.watching.logs import JsonLines

        Desk(config)  # raises what no worker could serve
        collector.settle()  # what no worker's collector looks at stays in memory that all workers share
        plain = logging.StreamHandler()  # lines on a thread of their own would be lost in a fork
        plain.setFormatter(JsonLines())
        logging.getLogger().addHandler(plain)

        def again() -> Config:
            made = load()
            Desk(made)  # what cannot be served is refused here, once, and not by each worker
            return made

        def work(given: Config, parent: int) -> None:
            logging.getLogger().removeHandler(plain)
            _serve(given, how, load, sockets, parent)

        try:
            Workers(how.workers, work, config, again, sockets, how.drain_s + how.notice_s).run()
        finally:
            logging.getLogger().removeHandler(plain)


def _check_installed() -> None:
    """Afterwards the server is loaded, once for all workers. Raises `MissingExtra`."""
    try:
        import coterie.gateway.app
        import coterie.gateway.serving.server  # noqa: F401
    except ImportError as error:
        raise MissingExtra("'coterie serve'", "gateway", error.name or "uvicorn") from error


def check_workers(workers: int, config: Config) -> None:
    """Raises `ConfigError` for workers that could not hold to what the configuration says."""
    if workers < 1:
        raise ConfigError(f"there must be at least 1 worker, not {workers!r}")
    if workers > 1 and not hasattr(os, "fork"):
        raise ConfigError("several workers need a system that can fork processes; start one, or several gateways")
    bounds = ("max_usd", "max_tokens", "max_calls", "requests_per_minute")
    bounded = [key.id for key in config.gateway.keys if any(getattr(key, bound) is not None for bound in bounds)]
    if workers > 1 and bounded and config.store is None:
        raise ConfigError(
            f"each of {workers} workers would grant the whole budget of {', '.join(bounded)}: "
            "name a store, where they count together, or serve with 1 worker"
        )


def listening(host: str, port: int) -> list[socket.socket]:
    """Sockets that wait for connections at every address of `host`. Raises `ConfigError` where none can be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host!r}: {error.strerror or error}") from None
    sockets: list[socket.socket] = []
    failed: OSError | None = None
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
        try:
            sockets.append(_bound(family, (address[0], port or _port_of(sockets), *address[2:])))
        except OSError as error:
            failed = error
    if not sockets or (failed is not None and failed.errno == errno.EADDRINUSE):
        for made in sockets:
            made.close()
        why = failed.strerror if failed is not None else "it has no address"
        raise ConfigError(f"cannot listen on {host!r}, port {port}: {why}")
    return sockets


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _port_of(sockets: Sequence[socket.socket]) -> int:
    """The port that the system chose for the first of them; 0 for the first itself."""
    return int(sockets[0].getsockname()[1]) if sockets else 0


def settings(app: ASGIApp, host: str, port: int, drain_s: int = DRAIN_S) -> uvicorn.Config:
    """How uvicorn serves `app`: its own log and headers would say more than they should, and take time."""
    import uvicorn

    from coterie.gateway.serving.protocol import BoundedProtocol

    return uvicorn.Config(
        app,
        host,
        port,
        http=BoundedProtocol,
        log_config=None,  # its records go where all go
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=drain_s,
    )
