"""Whom a request is about today: people are merged and split between the asking and the doing (consent.D7).

What enters: a request, the graph. What leaves: a person. Who asked by a contact is whoever has that contact now, whichever part of a split kept the id.
"""

from consent.errors import RequestState
from consent.lifecycle import Request
from identity.names import alone
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import PersonId


async def whose(identity: Identity, conn: Conn, request: Request) -> PersonId:
    """The living person of a request; the one it was opened for when nobody lives under it any more.

    Raises:
        RequestState: the contact that asked belongs to several people now, none of whom is the one it was opened for.
    """
    live = (await identity.current(conn, [request.person])).get(request.person, request.person)
    if not request.seeds:
        return live
    found = await identity.subjects(conn, list(request.seeds))
    owners = {person for one in found.values() for person in one.people}
    if not owners or live in owners:
        return live
    if len(owners) > 1:
        raise RequestState(
            f"expected one person who has the contact that asked, got {len(owners)}; refuse it and open it anew"
        )
    return owners.pop()


async def reached(identity: Identity, conn: Conn, person: PersonId) -> tuple[list[PersonId], list[str]]:
    """Every id that is hers alone, and every record of hers. An id that leads to her by redirect may be somebody else's since a split."""
    names = await alone(conn, person)
    held = (await identity.members(conn, [person])).get(person)
    return names, list(held.records) if held is not None else []
