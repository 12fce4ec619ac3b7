"""Every id by which a person was ever known, and whose are now the records that stood under one.

Enters: live people, or an id and when something was said of it. Leaves: ids. A merge retires an id and a split makes a new one, while what other rooms noted under the old one stays:
whoever erases or exports asks here, so that no row is left under a name that nobody goes by any more.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from identity import names_store as store
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId


@dataclass(frozen=True, slots=True)
class Names:
    """``alone``: her own id first, then retired ones under which no record of anybody else stood. ``shared``: retired ones under which records stood that are hers
    and others that are somebody else's by now: what is noted there is told to neither, and goes with the first who is erased.
    """

    alone: tuple[PersonId, ...]
    shared: tuple[PersonId, ...] = ()

    @property
    def every(self) -> list[PersonId]:
        """All of them."""
        return [*self.alone, *self.shared]


async def names(conn: Conn, people: Sequence[PersonId]) -> Mapping[PersonId, Names]:
    """Of each live person. An id that leads to her by redirect, but whose records are all somebody else's by now, is not hers."""
    owners: dict[PersonId, dict[PersonId, set[PersonId]]] = {person: {} for person in people}
    for person, id_, owner in await store.stood_under(conn, people) if people else ():
        owners[person].setdefault(id_, set()).update([owner] if owner is not None else [])
    found: dict[PersonId, Names] = {}
    for person, ids in owners.items():
        hers = [id_ for id_, held in sorted(ids.items()) if held <= {person}]
        shared = [id_ for id_, held in sorted(ids.items()) if person in held and held > {person}]
        found[person] = Names((person, *hers), tuple(shared))
    return found


async def alone(conn: Conn, person: PersonId) -> list[PersonId]:
    """Ids of hers under which nobody else's record stood, her own first: whatever is done under them is done to her only."""
    return list((await names(conn, [person]))[person].alone)


async def owners(conn: Conn, person: PersonId, since: GraphVersion | None, at: datetime) -> set[PersonId]:
    """Who has now, or had last if they are gone, the records that stood under an id at a moment: more than one where people were taken for one and are not any more.

    ``since``: the graph version in which the person had last changed then; None: at that very moment. Ids that were retired since are followed.
    """
    return await store.owners(conn, person, since, at)


async def hers_only(
    conn: Conn, person: PersonId, noted: Collection[tuple[PersonId, datetime]]
) -> set[tuple[PersonId, datetime]]:
    """What was noted under an id at a moment and can be nobody else's: what was made while she and another were taken for one is about both."""
    if not noted:
        return set()
    last = max(at for _, at in noted)
    sure = {id_ for id_ in {one for one, _ in noted} if await owners(conn, id_, GraphVersion(0), last) <= {person}}
    return {(id_, at) for id_, at in noted if id_ in sure or await owners(conn, id_, None, at) <= {person}}
