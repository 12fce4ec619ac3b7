"""Taking people out of the files of features.

Enters: every id by which a person was ever known. Leaves: the files without their rows, and the number of rows that went.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from kernel.db import Conn
from kernel.ids import PersonId
from profiles import store


async def without(conn: Conn, folder: Path, people: Sequence[PersonId], at: datetime) -> int:
    """Take them out of every table of features, and out of files that nobody noted."""
    taken = 0
    for table in await store.tables(conn):
        left = await asyncio.to_thread(store.without, folder / table.file, people)
        if left is not None:
            rows, digest, remaining = left
            taken += rows
            await store.changed(conn, table.file, digest, remaining, at)
    # A file whose note was never committed is nobody's table, but her rows are in it all the same.
    noted = {table.file for table in await store.tables(conn)}
    for file in await asyncio.to_thread(lambda: sorted(folder.glob("*.parquet"))):
        if file.name not in noted and (left := await asyncio.to_thread(store.without, file, people)) is not None:
            taken += left[0]
    return taken
