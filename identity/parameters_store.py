"""All SQL on what linkage runs left behind: parameters, and how many rows bear a value, by keyed hash.

Contract: as in ``store.py``. Values' hashes of a run that neither lives nor waits go with the next one; those of somebody who is erased go when nobody
else bears them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import orjson

from kernel.canonical import Json
from kernel.db import Conn

Key = tuple[str, bytes]  # field, keyed hash of the value


async def keep(conn: Conn, digest: str, told: Mapping[str, Json], bearers: Mapping[Key, int], at: datetime) -> None:
    """Keep a run's parameters; the same ones again are the same."""
    found = await conn.execute(
        "INSERT INTO identity.parameters (digest, told, made_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING RETURNING 1",
        (digest, orjson.dumps(told).decode(), at),
    )
    if await found.fetchone() is None:
        await conn.execute("DELETE FROM identity.bearers WHERE parameters = %b", (digest,))
    async with (
        conn.cursor() as cursor,
        cursor.copy("COPY identity.bearers (parameters, field, value, rows) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["text", "text", "bytea", "int4"])
        for (field, value), rows in bearers.items():
            await copy.write_row((digest, field, value, rows))


async def read(conn: Conn, digest: str) -> Mapping[str, Json] | None:
    """Parameters by their digest."""
    cursor = await conn.execute("SELECT told FROM identity.parameters WHERE digest = %b", (digest,))
    row = await cursor.fetchone()
    return None if row is None else row["told"]


async def bearers(conn: Conn, digest: str, wanted: Iterable[Key]) -> dict[Key, int]:
    """How many rows of the run bear these values; those that one row bore, or none, are absent."""
    asked = list(wanted)
    cursor = await conn.execute(
        "SELECT b.field, b.value, b.rows FROM unnest(%b::text[], %b::bytea[]) AS w(field, value)"
        " JOIN identity.bearers b ON b.parameters = %b AND b.field = w.field AND b.value = w.value",
        ([field for field, _ in asked], [value for _, value in asked], digest),
    )
    return {(r["field"], bytes(r["value"])): r["rows"] async for r in cursor}


async def leave_out(conn: Conn, digest: str, borne: Mapping[Key, int]) -> int:
    """Somebody is erased who bore these values in so many rows: forget those that nobody or one row else bears."""
    asked = sorted(borne)
    columns = ([field for field, _ in asked], [value for _, value in asked], [borne[key] for key in asked])
    cursor = await conn.execute(
        "UPDATE identity.bearers b SET gone = b.gone + w.gone FROM unnest(%b::text[], %b::bytea[], %b::int[])"
        " AS w(field, value, gone) WHERE b.parameters = %b AND b.field = w.field AND b.value = w.value AND b.rows > 0",
        (*columns, digest),
    )
    cursor = await conn.execute(
        "DELETE FROM identity.bearers b USING unnest(%b::text[], %b::bytea[]) AS w(field, value)"
        " WHERE b.parameters = %b AND b.field = w.field AND b.value = w.value AND b.rows > 0 AND b.rows - b.gone < 2",
        (*columns[:2], digest),
    )
    await conn.execute(  # that several use it is known no longer than how many do
        "DELETE FROM identity.bearers b USING unnest(%b::text[], %b::bytea[]) AS w(field, value)"
        " WHERE b.parameters = %b AND b.field = '@' || w.field AND b.value = w.value AND NOT EXISTS (SELECT FROM identity.bearers o"
        "  WHERE o.parameters = b.parameters AND o.field = w.field AND o.value = w.value)",
        (*columns[:2], digest),
    )
    return cursor.rowcount


async def forget_others(conn: Conn, kept: Sequence[str]) -> None:
    """Hashes of other runs' values go; their parameters stay, for weights of then are explained by them."""
    await conn.execute("DELETE FROM identity.bearers WHERE parameters <> ALL(%b)", (list(kept),))
