"""Which push services may be written to, and at which network addresses. An endpoint is a stranger's input (spec channels.A26).

Enters: an endpoint. Leaves: a `Place`, or None; for a host, the addresses that may be connected to. A host is judged by its name and, at
every send, by every address that it resolves to: one that is not public refuses them all, so that no name leads into our own network.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpx

_NAT64: Final = IPv6Network("64:ff9b::/96")  # an IPv4 address in its last 32 bits (RFC 6052)
_PORTS: Final = {"https": 443, "http": 80}


class ForbiddenAddress(Exception):
    """The host leads to an address that is not public."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint lies. `origin` is what a token is signed for; `private`: an address of our own network is expected."""

    url: httpx.URL
    origin: str
    host: str
    port: int
    private: bool


class Origins:
    """The push services of the settings."""

    def __init__(self, public: Sequence[str], private: Sequence[str]) -> None:
        self._public = [one.rstrip("/").lower() for one in public]
        self._private = frozenset(one.rstrip("/").lower() for one in private)

    def place(self, endpoint: str) -> Place | None:
        """Where it lies; None when it is not to be written to."""
        try:
            url = httpx.URL(endpoint)
        except httpx.InvalidURL:
            return None
        if url.scheme not in _PORTS or not url.host or url.userinfo or url.fragment:
            return None
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}".lower()
        port = url.port or _PORTS[url.scheme]
        if origin in self._private and (url.scheme == "https" or _loopback(url.host)):
            return Place(url, origin, url.host, port, private=True)
        if url.scheme == "https" and any(_fits(origin, one) for one in self._public):
            return Place(url, origin, url.host, port, private=False)
        return None


async def resolve(place: Place) -> list[str]:
    """The addresses of the host, in the resolver's order.

    Raises:
        ForbiddenAddress: one of them is not public. OSError: there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]).partition("%")[0] for info in found))
    if not place.private and not all(public(ip_address(one)) for one in addresses):
        raise ForbiddenAddress
    return addresses


def public(ip: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the public internet, whatever it is wrapped in."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return public(ip.ipv4_mapped)
        if ip.sixtofour is not None:
            return public(ip.sixtofour)
        if ip in _NAT64:
            return public(IPv4Address(int(ip) & 0xFFFF_FFFF))
        if ip.teredo is not None:
            return False
    return ip.is_global and not ip.is_multicast


def _fits(origin: str, allowed: str) -> bool:
    scheme, _, host = allowed.partition("://*.")
    if not host:
        return origin == allowed
    return origin.startswith(f"{scheme}://") and origin.endswith(f".{host}")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
