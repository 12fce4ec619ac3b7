"""A world of identifiers alone, written straight into the tables: a million records by the front door would take a quarter of an hour.

Enters: an open house on fresh engines, a count. Leaves: that many people with one record and two identifiers each; the sealed words are noise,
which is all that finding somebody ever sees of them. What the tables tell of it is what they tell of any other load.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from identity.identifiers import Identifier
from identity.index import Index, made
from kernel.db import Conn
from kernel.ids import GraphVersion, PersonId, RecordId, new_id
from orchestration.service.bench.seeding import SOURCE
from orchestration.wiring import House

_CHUNK: Final = 50_000  # people a transaction

Names = Callable[[int], tuple[Identifier, ...]]


async def fill(house: House, count: int, names: Names, told: Callable[[str], None]) -> Mapping[int, PersonId]:
    """By number, who each is."""
    who: dict[int, PersonId] = {}
    for start in range(0, count, _CHUNK):
        numbers = range(start, min(start + _CHUNK, count))
        async with house.kernel.db.transaction() as conn:
            who |= await _chunk(house, conn, numbers, names)
        told(f"{numbers.stop} records")
    await house.identity.analyse()
    return who


async def _chunk(house: House, conn: Conn, numbers: Sequence[int], names: Names) -> dict[int, PersonId]:
    now = house.kernel.clock.now()
    version = await house.identity.graph_version(conn)
    records = {number: new_id("rec") for number in numbers}
    people = {number: new_id("per") for number in numbers}
    held = [(number, new_id("idn"), _index(house, one)) for number in numbers for one in names(number)]
    await copied(
        conn, "records", "record_id, source, row_index, content, version, current, key_id, body, observed_at, recorded_at, purpose, basis, also_for",
        "text text bytea bytea int4 bool text bytea timestamptz timestamptz text text text[]",
        ((r, SOURCE, f"bench {n}".encode(), b"", 1, True, new_id("key"), os.urandom(64), now, now, "service", "contract", []) for n, r in records.items()),
    )  # fmt: skip
    await copied(
        conn, "identifiers", "identifier_id, kind, index, index_even, key_id, value, created_at", "text text bytea bytea text bytea timestamptz",
        ((i, x.kind, x.under(even=False), x.under(even=True), new_id("key"), os.urandom(32), now) for _, i, x in held),
    )  # fmt: skip
    await copied(
        conn, "record_identifiers", "record_id, identifier_id", "text text", ((records[n], i) for n, i, _ in held)
    )
    await copied(
        conn, "people", "person_id, created_at, changed_in", "text timestamptz int8", ((p, now, version) for p in people.values())
    )  # fmt: skip
    await copied(
        conn, "members", "record_id, person_id, valid_from", "text text int8", _members(records, people, version)
    )
    return people


def _members(
    records: Mapping[int, RecordId], people: Mapping[int, PersonId], version: GraphVersion
) -> Iterator[tuple[object, ...]]:
    return ((records[number], people[number], version) for number in records)


def _index(house: House, identifier: Identifier) -> Index:
    return made(identifier.kind, house.kernel.vault.named_indexes(identifier.kind, identifier.value))


async def copied(conn: Conn, table: str, columns: str, types: str, rows: Iterator[tuple[object, ...]]) -> None:
    """Write rows into a table of identity."""
    async with (
        conn.cursor() as cursor,
        cursor.copy(f"COPY identity.{table} ({columns}) FROM STDIN (FORMAT BINARY)".encode()) as copy,
    ):
        copy.set_types(types.split())
        for row in rows:
            await copy.write_row(row)
