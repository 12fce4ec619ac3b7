"""Packages behind links: sealed under a code, kept for some days, opened by whoever has link and code (consent.D8).

What enters: a bundle. What leaves: ``HandedOut`` (a link and a code, shown once: the code is kept nowhere), and later the bundle for link and code together. After ten wrong
codes, after its days and after an erasure the package is gone.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent.lifecycle import Request
from consent.rights import parcels_store as rows
from kernel import parcel
from kernel.db import Conn
from kernel.ids import new_id
from kernel.kernel import Kernel

SCOPE: Final = "package"
MOST_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class HandedOut:
    """What the officer passes on: the link by one way, the code by another. ``parcel`` is the sealed file itself."""

    link: str
    code: str
    expires_at: datetime
    parcel: bytes
    id: str


@dataclass(frozen=True, slots=True)
class Opened:
    """``bundle`` when the code was right; ``left`` tries otherwise, and neither when there is no such package (any more)."""

    bundle: bytes | None = None
    left: int | None = None
    request: str = ""


class Parcels:
    """Stands at ``Rights.parcels``."""

    def __init__(self, kernel: Kernel, audit: Audit, days: int) -> None:
        self._kernel = kernel
        self._audit = audit
        self._days = days

    async def keep(self, conn: Conn, request: Request, bundle: bytes) -> HandedOut:
        """Seal a bundle and keep it; an earlier one of the same request goes."""
        name, code = new_id("pkg"), parcel.new_code()
        sealed = await asyncio.to_thread(parcel.seal, bundle, code, name)
        now = self._kernel.clock.now()
        until = now + timedelta(days=self._days)
        digest = f"sha256:{hashlib.sha256(bundle).hexdigest()}"
        await rows.insert(conn, name, request.id, request.person, sealed, digest, now, until)
        token = self._kernel.tokens.issue(SCOPE, name, timedelta(days=self._days))
        base = self._kernel.settings.base_url.rstrip("/")
        return HandedOut(f"{base}/packages/{token}", code, until, sealed, name)

    async def open(self, token: str, code: str) -> Opened:
        """What the link's package holds, for its code. A wrong code is counted, the tenth destroys the package."""
        said = self._kernel.tokens.read(token, SCOPE)
        if said is None:
            return Opened()
        async with self._kernel.db.transaction() as conn:
            held = await rows.take(conn, said.subject)
            if held is None or held.expires_at <= self._kernel.clock.now():
                return Opened()
            try:
                bundle = await asyncio.to_thread(parcel.unseal, held.parcel, code, held.id)
            except parcel.ParcelClosed:
                left = MOST_TRIES - held.tries - 1
                await (rows.tried(conn, held.id, held.tries + 1) if left > 0 else rows.drop(conn, held.id))
                return Opened(left=left)
            await rows.fetched(conn, held.id, self._kernel.clock.now())
            refs = {"request": held.request, "person": held.person}
            entry = NewEntry(Tag.PACKAGE_FETCHED, refs, {"package": held.id}, actor="person")
            await self._audit.append(conn, [entry])
        return Opened(bundle, request=held.request)

    async def stands(self, token: str) -> bool:
        """Whether the link leads to a package."""
        said = self._kernel.tokens.read(token, SCOPE)
        if said is None:
            return False
        async with self._kernel.db.transaction() as conn:
            held = await rows.take(conn, said.subject)
        return held is not None and held.expires_at > self._kernel.clock.now()

    async def tidy(self) -> int:
        """Remove those whose days are over; how many."""
        async with self._kernel.db.transaction() as conn:
            return await rows.drop_expired(conn, self._kernel.clock.now())
