"""Source records past their time: a row goes when nothing was heard of it, whoever heard nothing at all of a person erases her.

What enters: a term. What leaves: counts. A row is in use while its person was heard of under the purposes of the rule: by an event, by a consent act, by a newer
record of any source. Who has other records keeps them; who would be left without any is erased like on request, through the same doors, with
her line in the erasure ledger.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from consent import retention_store as rows
from consent.lifecycle import Right, State
from consent.requests import Rights
from consent.service import Consent
from identity.people import OldRow
from identity.service import Identity
from kernel.db import Conn
from kernel.holders import Term
from kernel.ids import PersonId, RecordId
from kernel.kernel import Kernel

ACTOR: Final = "system:retention"
Log = Callable[[Conn, int], Awaitable[None]]
_PAGE: Final = 2_000


class RecordUser(Protocol):
    """A room above that keeps things of a record."""

    async def heard(
        self, conn: Conn, people: Sequence[PersonId], purposes: Sequence[str], since: datetime
    ) -> set[PersonId]:
        """Those of whom something came in since, under one of these purposes."""
        ...

    async def drop(self, conn: Conn, records: Sequence[RecordId]) -> int:
        """Remove what is kept of these records; how much."""
        ...


class Aging:
    """Counts and removes rows of sources."""

    def __init__(self, kernel: Kernel, identity: Identity, consent: Consent, rights: Rights) -> None:
        self._kernel = kernel
        self._identity = identity
        self._consent = consent
        self._rights = rights
        self.users: list[RecordUser] = []

    async def overdue(self, conn: Conn, term: Term) -> int:
        """How many rows the term names."""
        found, after = 0, ""
        while page := await self._identity.aging.old_rows(conn, term.before, term.purposes, after=after, limit=_PAGE):
            found += len(await self._unused(conn, page, term))
            after = page[-1].newest
        return found

    async def let_go(self, term: Term, log: Log) -> int:
        """Remove them page by page, each page in transactions of its own; ``log`` writes the part down in its transaction. The number of rows."""
        gone, after = 0, ""
        while True:
            async with self._kernel.db.reading() as conn:
                page = await self._identity.aging.old_rows(conn, term.before, term.purposes, after=after, limit=_PAGE)
                if not page:
                    return gone
                old = await self._unused(conn, page, term)
                members = await self._identity.members(conn, sorted({row.person for row in old}))
            after = page[-1].newest
            theirs: dict[PersonId, list[OldRow]] = defaultdict(list)
            for row in old:
                theirs[row.person].append(row)
            part: list[OldRow] = []
            for person, found in theirs.items():
                left = set(members[person].records) - {record for row in found for record in row.records}
                if left:
                    part.extend(found)
                else:
                    await self._erase(person, len(found), log)
            await self._drop(part, log)
            gone += len(old)

    async def _drop(self, part: Sequence[OldRow], log: Log) -> None:
        """Rows of people who keep others."""
        if not part:
            return
        records = [record for row in part for record in row.records]
        async with self._kernel.db.transaction() as conn:
            for user in self.users:
                await user.drop(conn, records)
            await self._consent.shredder.doom(conn, await self._identity.aging.drop(conn, records))
            await log(conn, len(part))

    async def _erase(self, person: PersonId, found: int, log: Log) -> None:
        """Somebody of whom nothing else is left."""
        request = await self._rights.open(Right.ERASURE, person, actor=ACTOR)
        if request.state is State.OPEN:
            await self._rights.approve(request.id, actor=f"{ACTOR}:schedule")
        await self._rights.run(request.id, actor=ACTOR)
        async with self._kernel.db.transaction() as conn:
            await log(conn, found)

    async def _unused(self, conn: Conn, page: Sequence[OldRow], term: Term) -> list[OldRow]:
        """Rows of nobody who is held back, of whom nothing was heard since."""
        asked = [row for row in page if row.person not in term.people]
        people = sorted({row.person for row in asked})
        heard = await self._identity.aging.heard(conn, people, term.purposes, term.before)
        for user in self.users:
            heard |= await user.heard(conn, people, term.purposes, term.before)
        members = await self._identity.members(conn, people)
        subjects = {str(s) for held in members.values() for s in (*held.identifiers, *held.records)}
        said = await rows.acted(conn, sorted(subjects), term.purposes, term.before)
        heard |= {person for person, held in members.items() if said & {*held.identifiers, *held.records}}
        return [row for row in asked if row.person not in heard]
