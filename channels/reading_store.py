"""Lists of deliveries for people who look: newest first, a page at a time, never with content.

Takes the caller's connection and changes nothing. Ids sort by time of making, so a page begins below an id.
"""

from collections.abc import Sequence

from channels.deliveries import Delivery
from channels.ledger import State
from channels.store import COLUMNS, delivery_of
from kernel.db import Conn
from kernel.ids import PersonId


async def listed(
    conn: Conn,
    *,
    state: State | None,
    channel: str | None,
    people: Sequence[PersonId] | None,
    before: str | None,
    limit: int,
) -> list[Delivery]:
    """Deliveries below the id ``before`` that fit."""
    got = await conn.execute(
        f"SELECT {COLUMNS} FROM channels.deliveries WHERE (%(state)s::text IS NULL OR state = %(state)s)"
        " AND (%(channel)s::text IS NULL OR channel = %(channel)s)"
        " AND (%(people)s::text[] IS NULL OR person = ANY(%(people)s))"
        " AND (%(before)s::text IS NULL OR delivery_id < %(before)s) ORDER BY delivery_id DESC LIMIT %(limit)s",
        {
            "state": state,
            "channel": channel,
            "people": None if people is None else list(people),
            "before": before,
            "limit": limit,
        },
    )
    return [delivery_of(one) for one in await got.fetchall()]
