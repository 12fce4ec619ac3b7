"""Taking people out of the files of features.

Enters: every id by which a person was ever known, and ids under which her records stood for a while. Leaves: the files without their rows, and the number of rows that went.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from identity.names import owners
from kernel.db import Conn
from kernel.ids import PersonId
from profiles import store


async def without(
    conn: Conn, folder: Path, person: PersonId, names: Sequence[PersonId], ever: Sequence[PersonId], at: datetime
) -> int:
    """Take her out of every table of features, and out of files that nobody noted. A row under an id of ``ever``, which lives on with somebody else, goes where her records
    stood under it when the table was made: it counts both.
    """
    taken = 0
    others = [one for one in ever if one not in names]
    made = await store.made(conn)
    for table in await store.tables(conn):
        moments = {table.at, made.get(table.file, table.at)}
        shared = [one for one in others for moment in moments if person in await owners(conn, one, None, moment)]
        left = await asyncio.to_thread(store.without, folder / table.file, [*names, *shared])
        if left is not None:
            rows, digest, remaining = left
            taken += rows
            await store.changed(conn, table.file, digest, remaining, at)
    # A file whose note was never committed is nobody's table, but her rows are in it all the same.
    noted = {table.file for table in await store.tables(conn)}
    for file in await asyncio.to_thread(lambda: sorted(folder.glob("*.parquet"))):
        if (
            file.name not in noted
            and (left := await asyncio.to_thread(store.without, file, [*names, *others])) is not None
        ):
            taken += left[0]
    return taken
