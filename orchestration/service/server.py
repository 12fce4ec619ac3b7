"""uvicorn over an open house: one process, loopback by default, workers beside the routes, a graceful end.

The socket is bound here, before anything runs: an address in use is an error with a remedy, and port 0 tells which port it got.
"""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import uvicorn
from fastapi import APIRouter

from kernel.errors import Conflict, InvalidInput
from kernel.ids import PersonId
from kernel.log import get_logger
from orchestration.service.app import create_app
from orchestration.service.catching_up import accident, catch_up, rehearse, warm, warming
from orchestration.service.workers import working

if TYPE_CHECKING:
    from orchestration.wiring import House

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
log = get_logger("server")
_TURN_SECONDS = 0.0005
_COLLECT = (
    10_000,
    50,
    50,
)  # values made and not gone since the last round: a round is a millisecond or two, every few hundred requests
GRACE = 20  # seconds for running requests at the end


class OpenBind(InvalidInput):
    """An address that others reach, without TLS."""

    code = "bind_needs_tls"
    remedy = (
        "Set CANDOR_KERNEL__TLS_CERTIFICATE and CANDOR_KERNEL__TLS_KEY, or bind 127.0.0.1 and put a TLS proxy in front."
    )


class AddressInUse(Conflict):
    """The address or port cannot be had."""

    code = "address_in_use"
    remedy = "Stop what listens there, or name another port with CANDOR_PORT (0 takes a free one)."


async def serve(
    house: "House", *, stop: asyncio.Event | None = None, told: Callable[[str], None] = lambda _: None,
    apart: bool = False, more: Sequence[APIRouter] = (),
) -> None:  # fmt: skip
    """Serve until `stop` is set or the process is asked to end; requests under way are finished first.

    `told` hears the address once connections are taken. `apart`: see `workers.working`. `more`: routes of this process only.

    Raises:
        OpenBind: an address that others reach, without TLS.
        AddressInUse: somebody listens there already, or the address is not of this machine.
    """
    settings = house.kernel.settings
    if settings.bind not in LOOPBACK and not (settings.tls_certificate and settings.tls_key):
        raise OpenBind(f"expected TLS for the address {settings.bind}, got none")
    listening = _bound(settings.bind, settings.port)
    usual = gc.get_threshold()
    app = create_app(house, more)
    left = await _warm(house, await catch_up(house))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    server = uvicorn.Server(config)
    scheme = "https" if settings.tls_certificate else "http"
    told(f"{scheme}://{settings.bind}:{listening.getsockname()[1]}")
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True
        house.channels.streams.drain()  # streams last as long as their page; nothing waits for them

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, end)
    async with working(house, apart=apart), warming(house, left):
        watch = asyncio.create_task(_watch(stop, end)) if stop else None
        try:
            await server._serve([listening])  # noqa: SLF001 - serve() would replace our signal handlers
        finally:
            listening.close()
            if watch:
                watch.cancel()
            gc.set_threshold(*usual)
            gc.unfreeze()  # what `_warm` froze goes in the ordinary way when the process ends


async def _warm(house: "House", people: Sequence[PersonId]) -> list[PersonId]:
    """Load what the first requests would wait for: the catalogue and the models that rule, with the libraries that they need, and what is decided on of these people; who is left."""
    left: list[PersonId] = []
    try:
        shelved = await house.decisions.shelf.current()
        for place in shelved.catalogue.placements:
            await house.learning.active(place.name)
        left = await warm(house, people, seconds=house.settings.profiles.warm_seconds)
        if people:
            await rehearse(house, people[0])
    except Exception as fault:  # noqa: BLE001  # broad: warming only advises
        log.warning("starts_cold", **accident(fault))
    # What is there now stays, the routes among it: the collector need not walk it again at every full round, which would hold a request for tens of milliseconds.
    gc.collect()
    gc.freeze()
    # Values of a request go when the last name of them goes. At Python's own 700 a busy server would look for cycles at every decision, and find none.
    gc.set_threshold(*_COLLECT)
    # Threads sign checkpoints and write files beside the loop; at Python's five milliseconds a turn two of them are a slow answer.
    sys.setswitchinterval(_TURN_SECONDS)
    return left


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # not kept waiting by connections just closed
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as fault:
        listening.close()
        raise AddressInUse(f"expected to listen on {host} port {port}, got: {fault.strerror}") from fault
    return listening


async def _watch(stop: asyncio.Event, end: Callable[[], None]) -> None:
    await stop.wait()
    end()
