"""Addresses of external engines: beyond this machine only TLS with a verified peer is accepted.

What enters: a URL from the settings. What leaves: nothing, or ``InsecureAddress``. URLs hold passwords, so a message names
the host and the parameter, never the URL.
"""

import ipaddress
from urllib.parse import parse_qs, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from kernel.errors import InvalidInput


class InsecureAddress(InvalidInput):
    """An external engine would be spoken to without TLS or without checking who answers."""

    code = "insecure_address"


class BadAddress(InvalidInput):
    """An engine's address cannot be read."""

    code = "bad_address"
    remedy = "Write it as postgresql://user@host:5432/database or rediss://host:6379/0."


def is_local(host: str) -> bool:
    """Whether ``host`` is this machine: a socket folder, ``localhost`` or a loopback address."""
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_postgres(url: str) -> None:
    """Refuse a Postgres address that leaves this machine without ``sslmode=verify-full``."""
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        msg = "expected a Postgres address, got one that libpq cannot read"
        raise BadAddress(msg) from None
    mode = str(parts.get("sslmode") or "prefer")
    hosts = f"{parts.get('host') or ''}".split(",") + f"{parts.get('hostaddr') or ''}".split(",")
    for host in hosts:
        if not is_local(host) and mode != "verify-full":
            msg = f"expected sslmode=verify-full for the Postgres host '{host}', got sslmode={mode}"
            raise InsecureAddress(
                msg, remedy="Add ?sslmode=verify-full&sslrootcert=/path/ca.pem (or sslrootcert=system) to the address."
            )


def check_redis(url: str) -> None:
    """Refuse a Redis address that leaves this machine without ``rediss://`` and a checked certificate."""
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        msg = f"expected redis://, rediss:// or unix://, got '{parts.scheme}://'"
        raise BadAddress(msg)
    host = parts.hostname or ""
    if parts.scheme == "unix" or is_local(host):
        return
    if parts.scheme != "rediss":
        msg = f"expected rediss:// for the cache host '{host}', got {parts.scheme}://"
        raise InsecureAddress(msg, remedy="Switch TLS on at the server and write the address as rediss://…")
    for name, good in (("ssl_cert_reqs", {"required"}), ("ssl_check_hostname", {"true", "1", "yes"})):
        given = parse_qs(parts.query).get(name, [])
        if any(value.lower() not in good for value in given):
            msg = f"expected {name} to stay on for the cache host '{host}', got it switched off"
            raise InsecureAddress(msg, remedy=f"Remove {name} from the address; give ssl_ca_certs for a private CA.")
