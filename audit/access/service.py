"""The door of access: make, revoke and check keys; add, remove and log in staff.

Enters: a secret, or a name and a password. Leaves: a `Principal` or None ("no" is a value; why is not told). Making and
ending credentials is remembered in the log in the same commit. A key found valid is trusted for a few seconds in this
process; one revoked here ends at once, one revoked elsewhere within those seconds.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from audit.access import secrets, store
from audit.access.principal import ApiKey, NewApiKey, Principal, Scope, Session, Staff
from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from kernel.canonical import Json
from kernel.errors import Conflict, InvalidInput, NotFound
from kernel.ids import new_id
from kernel.kernel import Kernel
from kernel.together import Together

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")  # a handle, never an address: it stands in clear
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::\d{1,5})?|https?://\[[0-9a-f:]+\](?::\d{1,5})?")
_CACHED: Final = 10_000  # keys remembered at most
_TOUCH: Final = timedelta(minutes=1)  # last use is noted this coarsely: it is for finding idle keys
_MIN_PASSWORD: Final = 12
_MAX_PASSWORD: Final = 1024  # a longer one only makes argon2 work
_TRIES: Final = 5  # wrong passwords before waiting
_WAIT: Final = timedelta(seconds=30)  # doubled by every further wrong one
_MOST_WAITING: Final = 7  # doublings: about an hour
_OVERLAP: Final = timedelta(minutes=1)  # an old session token still works so long: requests of one page overlap
_STAFF_SCOPES: Final = frozenset({Scope.OFFICER, Scope.AUDITOR, Scope.OPERATE, Scope.DECIDE, Scope.SEND})


class Access:
    """Keys, staff and sessions. One per process and event loop."""

    def __init__(self, kernel: Kernel, audit: Audit) -> None:
        self._kernel = kernel
        self._audit = audit
        self._trusted: OrderedDict[bytes, tuple[float, ApiKey]] = OrderedDict()
        self._asking: Together[bytes, ApiKey] = Together(self._keys_of)  # requests that come at once ask once
        self._ended = 0  # credentials that this process ended: what was looked up before is not trusted after
        self._hasher = PasswordHasher()
        self._nobody = _nobody()

    async def authenticate(self, secret: str) -> Principal | None:
        """Who holds this secret (an API key or a session token); None when nobody does, or no longer."""
        kind = secrets.kind_of(secret)
        if kind is None:
            return None
        hashed, now = secrets.hash_of(secret), self._kernel.clock.now()
        if kind == "ss":
            session = await self._session(hashed, now)
            return None if session is None else session.principal
        cached = self._trusted.get(hashed)
        if cached is not None and time.monotonic() < cached[0]:
            found: ApiKey | None = cached[1]
        else:
            until, ended = time.monotonic() + self._audit.settings.access_cache_seconds, self._ended
            found = await self._asking.ask(hashed)
            if found is not None and found.alive(now) and ended == self._ended:
                self._trusted.pop(hashed, None)
                self._trusted[hashed] = (until, found)
                if len(self._trusted) > _CACHED:
                    self._trusted.popitem(last=False)
        if found is None or not found.alive(now):
            return None
        return Principal(found.api_key_id, found.scopes, found.source, found.origin)

    async def create_key(
        self,
        scopes: Collection[Scope],
        *,
        actor: str,
        name: str = "",
        source: str | None = None,
        origin: str | None = None,
        expires_at: datetime | None = None,
    ) -> NewApiKey:
        """Make a key; its secret is in the answer and nowhere else.

        Raises:
            InvalidInput: no scope; a browser key without a web origin or with further scopes; an expiry that has passed.
        """
        held, now = frozenset(map(Scope, scopes)), self._kernel.clock.now()
        if not held:
            raise InvalidInput("expected at least one scope, got none")
        if (Scope.BROWSER in held) != (origin is not None) or (Scope.BROWSER in held and len(held) > 1):
            raise InvalidInput("expected a web origin with the scope browser alone, and with no other scope")
        if origin is not None and not _ORIGIN.fullmatch(origin):
            raise InvalidInput("expected an origin like https://shop.example, got something else")
        if expires_at is not None and expires_at <= now:
            raise InvalidInput("expected an expiry in the future, got one that has passed")
        secret = secrets.new_secret("bk" if origin is not None else "sk")
        made = ApiKey(
            api_key_id=new_id("api"), hint=secrets.hint_of(secret), name=name, scopes=held, source=source, origin=origin,
            created_by=actor, created_at=now, expires_at=expires_at, revoked_at=None, last_used_at=None,
        )  # fmt: skip
        async with self._kernel.db.transaction() as conn:
            await store.add_key(conn, made, secrets.hash_of(secret))
            await self._audit.append(
                conn, [NewEntry(Tag.KEY_CREATED, {"api_key": made.api_key_id}, _facts(made), actor=actor)]
            )
        return NewApiKey(made, secret)

    async def rotate_key(self, api_key_id: str, *, actor: str, overlap: timedelta = timedelta(days=1)) -> NewApiKey:
        """A new key with the same rights; the old one ends after `overlap`, so that both work meanwhile."""
        async with self._kernel.db.reading() as conn:
            old = await store.key(conn, api_key_id)
        if old is None or not old.alive(self._kernel.clock.now()):
            raise NotFound("expected a live key of this id, got none")
        made = await self.create_key(old.scopes, actor=actor, name=old.name, source=old.source, origin=old.origin)
        async with self._kernel.db.transaction() as conn:
            await store.expire_key(conn, api_key_id, self._kernel.clock.now() + overlap)
        self._forget(api_key_id)
        return made

    async def revoke_key(self, api_key_id: str, *, actor: str) -> None:
        """End a key now; `NotFound` when there is none to end."""
        async with self._kernel.db.transaction() as conn:
            if not await store.revoke_key(conn, api_key_id, self._kernel.clock.now()):
                raise NotFound("expected a key of this id that is not revoked yet, got none")
            await self._audit.append(conn, [NewEntry(Tag.KEY_REVOKED, {"api_key": api_key_id}, {}, actor=actor)])
        self._forget(api_key_id)

    async def keys(self) -> list[ApiKey]:
        """Every key, oldest first, ended ones too."""
        async with self._kernel.db.reading() as conn:
            return await store.keys(conn)

    async def add_staff(self, name: str, password: str, scopes: Collection[Scope], *, actor: str) -> Staff:
        """Add a staff actor under a handle.

        Raises:
            InvalidInput: a handle of other characters, a password under 12 characters, a scope that only keys carry.
            Conflict: the handle is taken.
        """
        held = frozenset(map(Scope, scopes))
        if not _NAME.fullmatch(name):
            raise InvalidInput("expected a handle of 2 to 63 lower-case letters, digits, '.', '_' or '-'")
        if not _MIN_PASSWORD <= len(password) <= _MAX_PASSWORD:
            raise InvalidInput(
                f"expected a password of {_MIN_PASSWORD} to {_MAX_PASSWORD} characters, got {len(password)}"
            )
        if not held or not held <= _STAFF_SCOPES:
            raise InvalidInput(f"expected scopes among {', '.join(sorted(_STAFF_SCOPES))}")
        hashed = await asyncio.to_thread(self._hasher.hash, password)
        added = Staff(new_id("stf"), name, held, self._kernel.clock.now(), None)
        async with self._kernel.db.transaction() as conn:
            if not await store.add_staff(conn, added, hashed):
                raise Conflict("expected a free handle, got one that is taken", remedy="Choose another handle.")
            facts: dict[str, Json] = {"scopes": sorted(held)}
            await self._audit.append(conn, [NewEntry(Tag.STAFF_ADDED, {"staff": added.staff_id}, facts, actor=actor)])
        return added

    async def remove_staff(self, staff_id: str, *, actor: str) -> None:
        """Remove a staff actor and end its sessions; `NotFound`."""
        async with self._kernel.db.transaction() as conn:
            if not await store.remove_staff(conn, staff_id, self._kernel.clock.now()):
                raise NotFound("expected a staff actor of this id, got none")
            await self._audit.append(conn, [NewEntry(Tag.STAFF_REMOVED, {"staff": staff_id}, {}, actor=actor)])

    async def staff(self) -> list[Staff]:
        """Every staff actor, oldest first, removed ones too."""
        async with self._kernel.db.reading() as conn:
            return await store.staff(conn)

    async def check_login(self, name: str, password: str) -> Principal | None:
        """Who logs in; None for a wrong pair, a removed actor, or while waiting after too many wrong passwords."""
        now = self._kernel.clock.now()
        async with self._kernel.db.transaction() as conn:
            found = await store.login(conn, name)
            right = await asyncio.to_thread(self._matches, found.password_hash if found else self._nobody, password)
            if found is None or found.staff.removed_at is not None:
                entry = NewEntry(Tag.STAFF_LOGIN_REFUSED, {}, {"reason": "unknown"})
                principal = None
            elif found.locked_until is not None and now < found.locked_until:
                entry = self._refused(found.staff, "waiting")
                principal = None
            elif not right:
                failures = found.failures + 1
                wait = _WAIT * 2 ** min(failures - _TRIES, _MOST_WAITING) if failures >= _TRIES else None
                await store.note_login(conn, found.staff.staff_id, failures, None if wait is None else now + wait)
                entry = self._refused(found.staff, "password")
                principal = None
            else:
                await store.note_login(conn, found.staff.staff_id, 0, None)
                entry = NewEntry(Tag.STAFF_LOGIN, {"staff": found.staff.staff_id}, {}, actor=found.staff.staff_id)
                principal = Principal(found.staff.staff_id, found.staff.scopes)
            await self._audit.append(conn, [entry])
        return principal

    async def open_session(self, staff: Principal) -> str:
        """A session token for someone who just logged in; it works until it was idle too long, ran out or is closed."""
        now = self._kernel.clock.now()
        return await self._open(staff.actor, since=now, now=now)

    async def session(self, token: str) -> Session | None:
        """Whose session a token is of; None when it is none, or no longer."""
        if secrets.kind_of(token) != "ss":
            return None
        return await self._session(secrets.hash_of(token), self._kernel.clock.now())

    async def renew_session(self, token: str) -> str | None:
        """A fresh token in place of a living one, for as long as the session itself may last; the old one ends in a minute.

        None when the token does not live, or another request has renewed it.
        """
        hashed, now = secrets.hash_of(token), self._kernel.clock.now()
        found = await self._session(hashed, now)
        if found is None:
            return None
        async with self._kernel.db.transaction() as conn:
            if not await store.shorten_session(conn, hashed, now + _OVERLAP):
                return None
        return await self._open(found.principal.actor, since=found.since, now=now)

    async def close_session(self, token: str) -> None:
        """End a session, whatever tokens it had."""
        async with self._kernel.db.transaction() as conn:
            await store.end_session(conn, secrets.hash_of(token), self._kernel.clock.now())

    async def _open(self, staff_id: str, *, since: datetime, now: datetime) -> str:
        token, settings = secrets.new_secret("ss"), self._audit.settings
        last = since + timedelta(hours=settings.session_hours)
        expires_at = min(last, now + timedelta(minutes=settings.session_idle_minutes))
        async with self._kernel.db.transaction() as conn:
            await store.add_session(conn, secrets.hash_of(token), staff_id, since, expires_at)
        return token

    async def _session(self, hashed: bytes, now: datetime) -> Session | None:
        async with self._kernel.db.reading() as conn:
            found = await store.session(conn, hashed)
        if found is None or now >= found[2]:
            return None
        staff, since, expires_at = found
        return Session(Principal(staff.staff_id, staff.scopes), staff.name, since, expires_at)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False

    @staticmethod
    def _refused(staff: Staff, reason: str) -> NewEntry:
        return NewEntry(Tag.STAFF_LOGIN_REFUSED, {"staff": staff.staff_id}, {"reason": reason})

    async def _keys_of(self, hashes: Sequence[bytes]) -> dict[bytes, ApiKey]:
        """The keys with these secrets, ended ones too; that they were used is noted."""
        now = self._kernel.clock.now()
        async with self._kernel.db.reading() as conn:
            found = await store.keys_by_hash(conn, hashes)
        idle = [
            one.api_key_id
            for one in found.values()
            if one.alive(now) and (one.last_used_at is None or now - one.last_used_at > _TOUCH)
        ]
        if idle:
            async with self._kernel.db.transaction() as conn:
                await store.touch_keys(conn, idle, now)
        return found

    def _forget(self, api_key_id: str) -> None:
        self._ended += 1
        self._trusted = OrderedDict((h, held) for h, held in self._trusted.items() if held[1].api_key_id != api_key_id)


def _facts(key: ApiKey) -> dict[str, Json]:
    expires = None if key.expires_at is None else key.expires_at.isoformat()
    return {"scopes": sorted(key.scopes), "source": key.source, "origin": key.origin, "expires_at": expires}


@cache
def _nobody() -> str:
    """What the password of a name that nobody has is compared with, so that it takes as long to refuse; made once in a process."""
    return PasswordHasher().hash("a name nobody has takes as long to refuse")
