"""What a start finds: erasures that a crash broke off, and people whom a restored dump brought back (consent.D11).

What enters: the erasure ledger, the requests. What leaves: nobody whom the ledger names. A cut-off erasure that staff must look at (a hold that was placed since, another merge) is left to
them, in the log's words: the house opens all the same, and the pipeline's check stays red until it is done.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent import requests_store as rows
from consent.errors import HeldBack, Replanned, RequestState
from consent.lifecycle import Manner, Request, Right
from consent.rights.erasing import REPLAY, Erasing
from consent.service import Consent
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId, RecordId, RequestId
from kernel.kernel import Kernel
from kernel.log import get_logger

if TYPE_CHECKING:
    from consent.requests import Rights

Drop = Callable[[Conn, Sequence[RecordId]], Awaitable[int]]
"""Removes what a room keeps of records."""
_FINISH: Final = "system:start"
_log = get_logger("consent.recovering")


class Recovering:
    """Behind ``Rights.finish`` and ``Rights.replay``; opens, approves and runs through the same door as everybody."""

    def __init__(
        self, kernel: Kernel, audit: Audit, identity: Identity, consent: Consent, rights: "Rights", erasing: Erasing
    ) -> None:
        self._kernel = kernel
        self._identity = identity
        self._audit = audit
        self._consent = consent
        self._rights = rights
        self._erasing = erasing
        self.users: list[Drop] = []

    async def finish(self) -> list[RequestId]:
        """Destroy the keys of erasures whose rows are gone; which."""
        async with self._kernel.db.reading() as conn:
            begun = await rows.broken_off(conn)
        for request in begun:
            await self._rights.run(request, actor=_FINISH)
        await self._consent.shredder.finish()
        return begun

    async def replay(self) -> list[PersonId]:
        """Erase whoever the ledger names and the database holds; those who had come back."""
        await self.finish()
        back = []
        for person, silent in (await self._erasing.came_back()).items():
            request = await self._rights.open(Right.ERASURE, person, actor=REPLAY, manner=Manner.SYSTEM, suppress=silent)  # fmt: skip
            if request.opened_by != REPLAY and request.approved_by is not None:  # cut off before its rows were gone
                await self._end(request)
                continue
            await self._again(request)
            back.append(person)
        taken = 0
        for person, strays in (await self._erasing.strays()).items():
            if strays.everything:
                await self._again(await self._rights.open(Right.ERASURE, person, actor=REPLAY, manner=Manner.SYSTEM))
                back.append(person)
            else:
                taken += await self._take(strays.records)
        if back or taken:
            facts: dict[str, Json] = {"erased_again": len(back), **({"records_again": taken} if taken else {})}
            async with self._kernel.db.transaction() as conn:
                await self._audit.append(conn, [NewEntry(Tag.SYSTEM_RESTORED, {}, facts, actor=REPLAY)])
        return back

    async def _again(self, request: Request) -> None:
        with suppress(RequestState):  # another process, which starts at the same moment, approved it
            await self._rights.approve(request.id, actor=f"{REPLAY}:approval")
        await self._rights.run(request.id, actor=REPLAY)

    async def _take(self, records: Sequence[RecordId]) -> int:
        """Records of somebody erased, out of a person who keeps others; their keys go with them."""
        async with self._kernel.db.transaction() as conn:
            for drop in self.users:
                await drop(conn, records)
            await self._consent.shredder.doom(conn, await self._identity.aging.drop(conn, records))
        return len(records)

    async def _end(self, request: Request) -> None:
        try:
            await self._rights.run(request.id, actor=_FINISH)
        except (HeldBack, Replanned) as fault:
            _log.warning("erasure_waits", code=fault.code, request=request.id)
