"""The one token scheme: signed, scoped, expiring. For why, preference and one-click links, and console sessions.

What enters: a scope, a subject (an id, never personal words: a token is signed, not sealed), a time to live. What leaves:
``v1.<key name>.<claims>.<mac>`` in base64url, safe in a path. HMAC-SHA256 under a key derived per scope, so a token of one
scope can never be read as another's. A bad token is None for everyone outside; the reason is for our log alone.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import orjson

from kernel.canonical import Json
from kernel.clock import Clock
from kernel.errors import InvalidInput
from kernel.keys import derive

_VERSION: Final = "v1"
_LONGEST: Final = 2048  # characters; longer ones are refused before any work is done on them


@dataclass(frozen=True, slots=True)
class Token:
    """What a valid token says."""

    scope: str
    subject: str
    issued_at: datetime
    expires_at: datetime
    claims: Mapping[str, Json]


class Fault(StrEnum):
    """Why a token was refused; for the log, never for the one who showed it."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    SCOPE = "scope"
    EXPIRED = "expired"


Keys = tuple[str, Mapping[str, bytes]]
"""Name of the key that signs, and every key by name."""


class Tokens:
    """Issues and reads tokens. ``secrets`` are the token keys by name; ``current`` names the one that signs; ``renew`` asks for both anew."""

    def __init__(
        self, clock: Clock, current: str, secrets: Mapping[str, bytes], *, renew: Callable[[], Keys] | None = None
    ) -> None:
        self._clock = clock
        self._current = current
        self._secrets = secrets
        self._renew = renew
        self._derived: dict[tuple[str, str], bytes] = {}

    def issue(self, scope: str, subject: str, ttl: timedelta, **claims: Json) -> str:
        """A token for ``subject`` that works for ``scope`` until ``ttl`` from now."""
        if ttl <= timedelta(0):
            msg = f"expected a time to live above zero, got {ttl}"
            raise InvalidInput(msg, code="token_ttl", remedy="Give a positive time to live.")
        self._look()
        now = self._clock.now()
        body = orjson.dumps(
            {"s": scope, "u": subject, "i": _stamp(now), "x": _stamp(now + ttl), "c": claims},
            option=orjson.OPT_SORT_KEYS,
        )
        signed = f"{_VERSION}.{self._current}.{_encode(body)}"
        return f"{signed}.{_encode(self._mac(self._current, scope, signed))}"

    def read(self, token: str, scope: str) -> Token | None:
        """The token if it is ours, for this scope and not expired; else None, whatever the reason."""
        found = self.inspect(token, scope)
        return found if isinstance(found, Token) else None

    def inspect(self, token: str, scope: str) -> Token | Fault:
        """As ``read``, with the reason of a refusal, for our own log."""
        if len(token) > _LONGEST or not token.isascii():
            return Fault.MALFORMED
        parts = token.split(".")
        if len(parts) != 4 or parts[0] != _VERSION:
            return Fault.MALFORMED
        name = parts[1]
        mac, body = _decode(parts[3]), _decode(parts[2])
        if mac is None or body is None:
            return Fault.MALFORMED
        self._look()
        known = name in self._secrets
        # An unknown key name costs the same work as a known one.
        expected = self._mac(name if known else self._current, scope, ".".join(parts[:3]))
        if not hmac.compare_digest(mac, expected):
            return Fault.SIGNATURE if known else Fault.UNKNOWN_KEY
        if not known:
            return Fault.UNKNOWN_KEY
        said = orjson.loads(body)  # signed by us, so of our shape
        if said["s"] != scope:
            return Fault.SCOPE
        expires = datetime.fromtimestamp(said["x"], UTC)
        if expires <= self._clock.now():
            return Fault.EXPIRED
        return Token(
            scope=scope,
            subject=said["u"],
            issued_at=datetime.fromtimestamp(said["i"], UTC),
            expires_at=expires,
            claims=said["c"],
        )

    def _look(self) -> None:
        """Another process may have rotated, or retired a key: what that signed is read no more."""
        if self._renew is not None:
            self._current, secrets = self._renew()
            if secrets is not self._secrets:
                self._secrets = secrets
                self._derived.clear()

    def _mac(self, name: str, scope: str, signed: str) -> bytes:
        secret = self._derived.get((name, scope))
        if secret is None:
            secret = self._derived[name, scope] = derive(self._secrets[name], f"token/{scope}")
        return hmac.digest(secret, signed.encode(), hashlib.sha256)


def _stamp(at: datetime) -> int:
    return int(at.timestamp())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    """Strict base64url: exactly one spelling of every byte string, so a token cannot be altered without being refused."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return raw if _encode(raw) == text else None
