"""SQL that counts acts."""

from collections.abc import Sequence

from kernel.db import Conn


async def acts(conn: Conn, subjects: Sequence[str]) -> int:
    """How many acts there are on these identifiers and records."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM consent.acts WHERE subject = ANY(%b::text[])", (list(subjects),)
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row["n"])
