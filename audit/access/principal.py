"""Scopes and principals. Pure. Nothing implies anything: a principal may do what its scopes name, and no more."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a credential may be used for."""

    COLLECT = "collect"  # send events and records of one source, resolve people
    DECIDE = "decide"  # ask for decisions and read them
    SEND = "send"  # ask for sends
    OFFICER = "officer"  # people, consents, subject requests
    AUDITOR = "auditor"  # entries, proofs, lineage; never personal words
    OPERATE = "operate"  # run, import, publish, keys and staff
    BROWSER = "browser"  # public, bound to a web origin: for its visitor's own anonymousId only


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts. `source` is the one source a collecting key may speak for, `origin` the web origin of a browser key."""

    actor: str
    scopes: frozenset[Scope]
    source: str | None = None
    origin: str | None = None

    def may(self, scopes: Collection[str]) -> bool:
        """Whether it holds any of `scopes`."""
        return not self.scopes.isdisjoint(scopes)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is listed: never its secret."""

    api_key_id: str
    hint: str
    name: str
    scopes: frozenset[Scope]
    source: str | None
    origin: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def alive(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made, with the secret that is shown once and stored nowhere."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class Staff:
    """A staff actor."""

    staff_id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A staff actor's stay in the console. `since` is the login, however often the token changed since; `expires_at` the token's end."""

    principal: Principal
    name: str
    since: datetime
    expires_at: datetime
