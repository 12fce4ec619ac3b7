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
        source, values = told(columns, written)
        await conn.execute(f"INSERT INTO {table} ({names}) SELECT * FROM {source}", values)
        return
    async with conn.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(list(columns.values()))
        for row in written:
            await copy.write_row(row)


def told(columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """Rows as a table ``w`` of a FROM clause, and its values in order. A lone row goes without arrays, which cost more than what is in them."""
    if len(rows) == 1:
        wanted = ", ".join(f"%b::{kind}" for kind in columns.values())
        return f"(VALUES ({wanted})) AS w({', '.join(columns)})", list(rows[0])
    wanted = ", ".join(f"%b::{kind}[]" for kind in columns.values())
    return f"unnest({wanted}) AS w({', '.join(columns)})", [list(column) for column in zip(*rows, strict=True)]
