"""All SQL of `candor bench settle`: who owns what, how many versions there are. Reads only."""

from datetime import UTC, datetime
from typing import Final

from kernel.ids import RecordId
from orchestration.wiring import House

SEEN: Final = datetime(2026, 1, 1, tzinfo=UTC)


async def owners(house: House) -> dict[RecordId, str]:
    """The person of each record."""
    async with house.kernel.db.reading() as conn:
        cursor = await conn.execute("SELECT record_id, person_id FROM identity.members")
        return {r["record_id"]: r["person_id"] async for r in cursor}


async def versions(house: House) -> int:
    """The newest version of the graph."""
    async with house.kernel.db.reading() as conn:
        return int(await house.identity.graph_version(conn))
