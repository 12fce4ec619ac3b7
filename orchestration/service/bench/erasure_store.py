"""What the erasure's measurement reads and asks of Postgres itself."""

from kernel import keys_store
from kernel.ids import KeyId
from orchestration.wiring import House


async def wrapped(house: House) -> dict[KeyId, bytes]:
    """Every living wrapped key, as it lies in the keys database."""
    async with house.kernel.keys_db.reading() as conn:
        return await keys_store.all_wrapped(conn)


async def settle(house: House) -> None:
    """Let Postgres write its pages to the files that are searched."""
    async with house.kernel.keys_db.transaction() as conn:
        await keys_store.checkpoint(conn)
