"""An act of staff as somebody words it: people by id or contact, records by id. For the command line, HTTP and the console alike.

Enters: a wish. Leaves: what became of it, or what would.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from identity.errors import WishIncomplete
from identity.impact import Preview
from identity.judgements import Act, Reason
from identity.regrouping import Acted, By
from kernel.db import Conn
from kernel.ids import PersonId, RecordId, is_id

if TYPE_CHECKING:
    from identity.service import Identity


@dataclass(frozen=True, slots=True)
class Wish:
    """merge: two people · unmerge: one, live or retired · split: one and records of hers · pin: one and a record of anybody."""

    act: Act
    people: tuple[str, ...]
    records: tuple[RecordId, ...] = ()
    reason: Reason = Reason.LOOKED


async def fulfil(identity: "Identity", conn: Conn, wish: Wish, actor: str) -> Acted:
    """Do it, in the caller's transaction.

    Raises:
        WishIncomplete: too few or too many people or records for the act. PersonNotFound, AmbiguousContact, RecordNotFound: as they say.
    """
    people, records = wish.people, wish.records
    by, judging = By(actor, wish.reason), identity.judging
    if wish.act is Act.MERGE and len(people) == 2 and not records:
        one, other = [await identity.lookup(conn, name) for name in people]
        return await judging.merge(conn, one, other, by)
    if wish.act is Act.UNMERGE and len(people) == 1 and not records:
        named = people[0] if is_id(people[0], "per") else await identity.lookup(conn, people[0])
        return await judging.unmerge(conn, PersonId(named), by)
    if wish.act is Act.SPLIT and len(people) == 1 and records:
        return await judging.split(conn, await identity.lookup(conn, people[0]), records, by)
    if wish.act is Act.PIN and len(people) == 1 and len(records) == 1:
        return await judging.pin(conn, records[0], await identity.lookup(conn, people[0]), by)
    raise WishIncomplete(
        "expected two people to merge, one to unmerge, one with records to split, one with a record to pin;"
        f" got {wish.act.value} with {len(people)} people and {len(records)} records"
    )


async def foresee(identity: "Identity", conn: Conn, wish: Wish, actor: str) -> Preview:
    """What it would touch; ``conn`` is in a transaction that may write, and nothing is written."""
    return await identity.judging.impact.preview(conn, partial(fulfil, identity, conn, wish, actor))
