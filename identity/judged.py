"""What staff decided, read for those who must obey it: a linkage run, a publication, an act.

Enters: a connection and the records of a partition. Leaves: the law that binds them, their exclusive identifiers, edges that stand for judgements.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence

from identity import judgement_store
from identity.judgements import Judgement, Law, Rulings, weigh
from identity.people import Edge
from identity.settling import Claims
from identity.undoing import OWNED
from kernel.db import Conn
from kernel.ids import RecordId


async def law(
    conn: Conn, among: Collection[RecordId] | None = None, *, but: Collection[str] = (), also: Sequence[Judgement] = ()
) -> Law:
    """What holds now. ``among``: the records of the partition, where a row's older version stands in for one that came since;
    ``but``, ``also``: as if these were taken back, as if those were made.
    """
    standing = [*(one for one in await judgement_store.standing(conn) if one.id not in but), *also]
    if not standing:
        return Law()
    now = await judgement_store.current_of(conn, (r for one in standing for r in (*one.left, *one.right)))
    if among is not None:
        now = {old: new if new in among else old for old, new in now.items()}
    return weigh(standing, now)


async def claims(
    conn: Conn, groups: Mapping[RecordId, Hashable], rulings: Rulings[RecordId], kinds: Sequence[str]
) -> Claims:
    """Exclusive identifiers of every record whose group a ruling reaches."""
    reached = {groups[record] for record in rulings.members() if record in groups}
    return await exclusive(conn, [record for record, group in groups.items() if group in reached], kinds)


async def exclusive(conn: Conn, records: Collection[RecordId], kinds: Sequence[str]) -> Claims:
    """The identifiers of which nobody has two, by record; a superseded version claims nothing any more."""
    now = await judgement_store.current_of(conn, records)
    carried = await judgement_store.carried(conn, {new for old, new in now.items() if old == new})
    return {
        record: frozenset((kind, str(one)) for one, kind in held if kind in kinds) for record, held in carried.items()
    }


def ties(held: Law) -> list[Edge]:
    """Edges that stand for "these are one person", for asking how sure a person is."""
    return [Edge(a, b, OWNED) for a, b in held.ties if a != b]
