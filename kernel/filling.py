"""Rows into a table, the quickest way for their number.

Enters: a table, its columns with their types, rows. Leaves: nothing; the rows are in the table when the transaction commits. Many go by COPY; few go by one INSERT,
which takes one way to Postgres instead of three, and in a pipeline shares it with others. COPY does not go through a pipeline, so there everything is an INSERT.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from psycopg.pq import PipelineStatus

from kernel.db import Conn

_MANY: Final = 200  # rows; below it one statement beats a COPY


async def fill(conn: Conn, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows, each in the order of ``columns`` (name -> type of Postgres; no arrays)."""
    written = list(rows)
    names = ", ".join(columns)
    if not written:
        return
    if len(written) < _MANY or conn.pgconn.pipeline_status != PipelineStatus.OFF:
        wanted = ", ".join(f"%b::{kind}[]" for kind in columns.values())
        await conn.execute(
            f"INSERT INTO {table} ({names}) SELECT * FROM unnest({wanted})",
            [list(column) for column in zip(*written, strict=True)],
        )
        return
    async with conn.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(list(columns.values()))
        for row in written:
            await copy.write_row(row)
