"""The web's ledger: what stands on people's pages, kept in the decision's commit, and told to whoever watches.

Enters: standings of decisions, people whose consent or identity moved. Leaves: what stands, and the changes of a person in the order of
their commits. Postgres is the truth; the hot store keeps a copy at ``decisions:{person}:{placement}`` that advises (DESIGN 5.1, 5.11), and a
watcher of this process is woken after the commit, those of other processes look twice a second.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, cast

from channels.web import store
from channels.web.standing import Change, Elsewhere, Standing, What, pack, unpack
from identity.service import Identity
from kernel.cache import CacheUnavailable
from kernel.db import Conn, Piece, after_commit
from kernel.ids import DecisionId, PersonId
from kernel.kernel import Kernel

KEPT: Final = 200  # changes of a person that are kept; who comes back from before them starts anew
_SECOND: Final = timedelta(seconds=1)


class Pages:
    """One per process and event loop."""

    def __init__(self, kernel: Kernel, identity: Identity) -> None:
        self._kernel = kernel
        self._identity = identity
        self.on_change: list[Callable[[Iterable[PersonId]], None]] = []

    # in a commit

    async def stand(self, conn: Conn, wishes: Sequence[tuple[Standing, DecisionId | None]]) -> list[bool]:
        """Let each stand in the caller's transaction, if what it replaces still stands there; one answer each, in order.

        A False has written nothing: another request of the same visitor was first.
        """
        if not wishes:
            return []
        order = sorted(range(len(wishes)), key=lambda place: (wishes[place][0].person, wishes[place][0].placement))
        answers = [False] * len(wishes)
        for place in order:
            answers[place] = await store.put(conn, *wishes[place])
        kept = [wishes[place][0] for place in order if answers[place]]
        await store.open_pages(conn, {one.person for one in kept})
        await self._tell(
            conn,
            [
                {"person": one.person, "what": What.DECISION, "placement": one.placement, "channel": "web",
                 "decision_id": one.decision_id}
                for one in kept
            ],
        )  # fmt: skip
        return answers

    async def elsewhere(self, conn: Conn, decisions: Sequence[Elsewhere]) -> None:
        """Another channel carries something to these people: their pages may want to know."""
        await self._tell(
            conn,
            [
                {"person": one.person, "what": What.DECISION, "placement": one.placement, "channel": one.channel,
                 "decision_id": one.decision_id}
                for one in decisions
            ],
        )  # fmt: skip

    @staticmethod
    def watching(people: Iterable[PersonId]) -> Piece:
        """A query of those of these people who have pages, as part of a statement."""
        return store.watching(people)

    async def touched(self, conn: Conn, people: Iterable[PersonId]) -> None:
        """Consent or identity of these people moved (registered with consent by wiring): what they see must be asked for again.

        Who was merged into somebody else has no pages any more.
        """
        held = list(await store.seqs(conn, sorted(set(people))))
        if not held:
            return
        live = await self._identity.current(conn, held)
        gone = [person for person in held if live.get(person) != person]
        if gone:
            await store.forget(conn, gone)
            after_commit(conn, partial(self._wake, gone))
        await self._tell(conn, [{"person": one, "what": What.PERMISSIONS} for one in held if one not in gone])

    async def _tell(self, conn: Conn, changes: Sequence[Mapping[str, Any]]) -> None:
        if changes:
            await store.change(conn, changes, self._kernel.clock.now(), KEPT)
            after_commit(conn, partial(self._wake, [one["person"] for one in changes]))

    async def _wake(self, people: Iterable[PersonId]) -> None:
        for told in self.on_change:
            told(people)

    # reading

    async def standing(self, person: PersonId, placements: Sequence[str]) -> dict[str, Standing]:
        """What stands at these placements, from the hot store where it is warm, from Postgres where it is not."""
        found: dict[str, Standing] = {}
        try:
            words = await self._kernel.cache.get_many([_key(person, name) for name in placements])
        except CacheUnavailable:
            words = [None] * len(placements)
        for name, one in zip(placements, words, strict=True):
            if one is not None and (held := unpack(one)) is not None:
                found[name] = held
        if cold := [name for name in placements if name not in found]:
            async with self._kernel.db.reading() as conn:
                stored = await store.of_person(conn, person, cold)
            await self.remember(stored.values())
            found |= stored
        return found

    async def true_standing(self, person: PersonId, placements: Sequence[str]) -> dict[str, Standing]:
        """The same, past the hot store."""
        async with self._kernel.db.reading() as conn:
            return await store.of_person(conn, person, placements)

    async def renew(self, standing: Standing) -> None:
        """Its ground was looked at and bears it: the same decision, on newer versions."""
        async with self._kernel.db.transaction() as conn:
            await store.renew(conn, standing)
        await self.remember([standing])

    async def remember(self, standings: Iterable[Standing]) -> None:
        """Keep copies in the hot store until they expire, each placement named in the set ``decisions:{person}``."""
        now = self._kernel.clock.now()
        for one in standings:
            left = one.expires_at - now
            if left < _SECOND:
                continue
            key, index, words = _key(one.person, one.placement), _index(one.person), pack(one)

            async def write(redis: Any, *, key: str = key, index: str = index, name: str = one.placement,
                            words: bytes = words, left: timedelta = left) -> None:  # fmt: skip
                async with redis.pipeline(transaction=False) as pipe:
                    pipe.sadd(index, name)
                    pipe.expire(index, left, gt=True)
                    pipe.expire(index, left, nx=True)
                    pipe.set(key, words, px=left)
                    await pipe.execute()

            try:
                await self._kernel.cache.run(cast("Callable[[Any], Awaitable[None]]", write))
            except CacheUnavailable:
                return

    async def seqs(self, people: Sequence[PersonId]) -> dict[PersonId, int]:
        """The newest change of each; who never had a page is absent."""
        if not people:
            return {}
        async with self._kernel.db.reading() as conn:
            return await store.seqs(conn, people)

    async def changes(self, person: PersonId, after: int) -> list[Change] | None:
        """Every change after a number, in order; None when they are not all kept any more, or the number never was."""
        async with self._kernel.db.reading() as conn:
            newest = (await store.seqs(conn, [person])).get(person, 0)
            found = await store.changes(conn, person, after)
        # A change may have come between the two reads; it is among the found ones then.
        newest = max([newest, *(one.seq for one in found)])
        if after > newest or [one.seq for one in found] != list(range(after + 1, newest + 1)):
            return None
        return found

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Remove what stands for a person and what is told of it; the number of standings."""
        gone = await store.forget(conn, [person])
        after_commit(conn, partial(self._wake, [person]))
        return gone


def _key(person: PersonId, placement: str) -> str:
    return f"decisions:{person}:{placement}"


def _index(person: PersonId) -> str:
    return f"decisions:{person}"
