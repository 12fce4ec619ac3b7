"""uvicorn over an open house: one process, loopback by default, workers beside the routes, a graceful end."""

import asyncio
import signal
from typing import TYPE_CHECKING

import uvicorn

from kernel.errors import InvalidInput
from orchestration.service.app import create_app
from orchestration.service.workers import working

if TYPE_CHECKING:
    from orchestration.wiring import House

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
GRACE = 20  # seconds for running requests at the end


class OpenBind(InvalidInput):
    """An address that others reach, without TLS."""

    code = "bind_needs_tls"
    remedy = (
        "Set CANDOR_KERNEL__TLS_CERTIFICATE and CANDOR_KERNEL__TLS_KEY, or bind 127.0.0.1 and put a TLS proxy in front."
    )


async def serve(house: "House", *, stop: asyncio.Event | None = None) -> None:
    """Serve until `stop` is set or the process is asked to end; requests under way are finished first."""
    settings = house.kernel.settings
    if settings.bind not in LOOPBACK and not (settings.tls_certificate and settings.tls_key):
        raise OpenBind(f"expected TLS for the address {settings.bind}, got none")
    config = uvicorn.Config(
        create_app(house),
        host=settings.bind,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, setattr, server, "should_exit", True)
    async with working(house):
        watch = asyncio.create_task(_watch(server, stop)) if stop else None
        try:
            await server._serve()  # noqa: SLF001 - serve() would replace our signal handlers
        finally:
            if watch:
                watch.cancel()


async def _watch(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True
