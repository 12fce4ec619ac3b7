"""One POST to a push service: connected to an address that was just judged, never redirected, over before its time.

Enters: a `Place`, headers, a body, seconds. Leaves: status and headers, or `Nothing` (no byte of the message left) or `Unknown` (some may
have). A name is resolved once a send and the connection goes to that very address, while TLS is checked for the name, so that a
resolver that answers differently the second time changes nothing. Follows spec channels.A13, A26.
"""

import asyncio
import secrets
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from channels.push.origins import ForbiddenAddress, Place, resolve

_HOSTS: Final = 64  # clients kept; there are a dozen push services
_TRIES: Final = 2  # addresses of one host that are tried: one of each family


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Nothing:
    """No byte of the message left: `reason`. `final`: and none ever will, until the settings change."""

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message may have arrived; no answer did."""

    reason: str


class Way(Protocol):
    """How a push leaves."""

    async def post(
        self, place: Place, headers: Mapping[str, str], body: bytes, *, seconds: float
    ) -> Reply | Nothing | Unknown:
        """Post once."""
        ...

    async def close(self) -> None:
        """End what is kept open."""
        ...


class Nowhere:
    """The way of a rehearsal: answers as a push service does, and reaches none."""

    async def post(
        self, place: Place, headers: Mapping[str, str], body: bytes, *, seconds: float
    ) -> Reply | Nothing | Unknown:
        """Taken, under a name of its own."""
        del headers, body, seconds
        return Reply(201, {"location": f"{place.origin}/rehearsed/{secrets.token_hex(16)}"})

    async def close(self) -> None:
        """Nothing is open."""


class Outward:
    """Posts. Connections are kept per host for a few seconds; `close` ends them."""

    def __init__(self) -> None:
        self._tls = ssl.create_default_context()
        self._clients: OrderedDict[tuple[str, int], httpx.AsyncClient] = OrderedDict()

    async def post(
        self, place: Place, headers: Mapping[str, str], body: bytes, *, seconds: float
    ) -> Reply | Nothing | Unknown:
        """Post once. At most `seconds`: a third for finding and connecting, the rest for the answer."""
        try:
            async with asyncio.timeout(seconds / 3):
                addresses = await resolve(place)
        except ForbiddenAddress:
            return Nothing("forbidden_address", final=True)
        except OSError:  # also a resolver that takes too long: TimeoutError is one
            return Nothing("unknown_host")
        patience = httpx.Timeout(seconds / 3, connect=seconds / 3 / _TRIES, pool=seconds / 6)
        reason = "unreachable"
        for address in addresses[:_TRIES]:
            try:
                return await self._send(place, address, headers, body, patience)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was written: another address may answer
            except httpx.PoolTimeout:
                return Nothing("busy")
            except (httpx.UnsupportedProtocol, httpx.LocalProtocolError):
                return Nothing("bad_address", final=True)
            except httpx.TimeoutException:
                return Unknown("timeout")
            except httpx.TransportError:
                return Unknown("connection_lost")
        return Nothing(reason)

    async def _send(
        self, place: Place, address: str, headers: Mapping[str, str], body: bytes, patience: httpx.Timeout
    ) -> Reply:
        client = await self._client(place)
        request = client.build_request(
            "POST",
            place.url.copy_with(host=address),
            content=body,
            headers={**headers, "Host": place.url.netloc.decode("ascii")},
            timeout=patience,
            extensions={"sni_hostname": place.host},
        )
        answer = await client.send(request, stream=True, follow_redirects=False)  # its words are never read
        await answer.aclose()
        return Reply(answer.status_code, answer.headers)

    async def _client(self, place: Place) -> httpx.AsyncClient:
        """One per host: a connection made for one name must never serve another that shares its address."""
        key = (place.host, place.port)
        if key not in self._clients:
            limits = httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=5.0)
            self._clients[key] = httpx.AsyncClient(verify=self._tls, limits=limits, trust_env=False)
            if len(self._clients) > _HOSTS:
                await self._clients.popitem(last=False)[1].aclose()
        self._clients.move_to_end(key)
        return self._clients[key]

    async def close(self) -> None:
        """End what is kept open."""
        while self._clients:
            await self._clients.popitem()[1].aclose()
