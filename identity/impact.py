"""What an act of staff would touch, counted before it is done (identity.I28).

Enters: an act as a coroutine. Leaves: what every room holds for the people concerned, now and afterwards. The act is really done, counted, and undone in a
savepoint, so that the figures are those of the commit and no estimate.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from identity import graph_store
from identity.regrouping import Acted
from kernel.canonical import Json
from kernel.db import Conn
from kernel.holders import ImpactCounter
from kernel.ids import PersonId


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held for one person: records, and things by name. ``person`` is None for somebody the act would make."""

    person: PersonId | None
    records: int
    things: Mapping[str, int]

    def as_json(self) -> dict[str, Json]:
        """For the command line, HTTP and the console."""
        return {"person": self.person, "records": self.records, "holds": dict(self.things)}


@dataclass(frozen=True, slots=True)
class Preview:
    """Who would hold what. ``moves``: records that would change hands."""

    acted: Acted
    moves: int
    before: tuple[Holding, ...]
    after: tuple[Holding, ...]

    def as_json(self) -> dict[str, Json]:
        """For the command line, HTTP and the console."""
        return {
            "act": self.acted.act.value,
            "refused": self.acted.refused,
            "moves": self.moves,
            "before": [one.as_json() for one in self.before],
            "after": [one.as_json() for one in self.after],
        }


class Impact:
    """Stands at ``Identity.judging.impact``. ``counters``: the rooms that hold things of people (wiring registers them)."""

    def __init__(self) -> None:
        self.counters: list[ImpactCounter] = []

    async def preview(self, conn: Conn, act: Callable[[], Awaitable[Acted]]) -> Preview:
        """The figures of an act on this connection; it leaves no trace."""
        async with conn.transaction(force_rollback=True):
            acted = await act()
            after = await self.held(conn, acted.people)
        before = await self.held(conn, acted.before)
        known = {one.person for one in before} | set(await graph_store.people_rows(conn, acted.people))
        return Preview(
            acted,
            sum(len(change.records) for change in acted.changes),
            before,
            tuple(one if one.person in known else Holding(None, one.records, one.things) for one in after),
        )

    async def held(self, conn: Conn, people: Sequence[PersonId]) -> tuple[Holding, ...]:
        """What every room holds for each of these live people, under every id she ever had."""
        retired = await graph_store.retired_into(conn, people) if people else {}
        members = await graph_store.members(conn, people) if people else {}
        found = []
        for person in sorted(people):
            names = [person, *sorted(old for old, live in retired.items() if live == person)]
            things: dict[str, int] = {}
            for counter in self.counters:
                things |= await counter.count(conn, names)
            found.append(Holding(person, len(members.get(person, ())), things))
        return tuple(found)
