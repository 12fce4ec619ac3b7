"""What a server does at its start for one that died: what should have followed a commit, and only advises, is done again.

Enters: an open house. Leaves: a hot store that says nothing which events have overtaken. A process that is killed between the commit of an event and the deletion of
her hot profile leaves that profile standing until it is too old by itself, `hot_seconds` later; so the profiles of all who had events in that time are dropped, and
made anew when they are asked for. Consent needs no such care: decisions carry the version they rest on, and a page compares it at every answer.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orchestration.wiring import House

_PART: Final = 5_000  # records


async def catch_up(house: "House") -> int:
    """Drop them; how many records had events."""
    now = house.kernel.clock.now()
    since = now - timedelta(seconds=house.settings.profiles.hot_seconds)
    async with house.kernel.db.reading() as conn:
        records = await house.events.records_since(conn, since, now)
    for start in range(0, len(records), _PART):
        async with house.kernel.db.transaction() as conn:
            await house.profiles.records_changed(conn, records[start : start + _PART])
    return len(records)
