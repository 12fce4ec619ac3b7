"""The keys database: wrapped keys in two spaces, which of them is current, what waits for its physical removal.

What enters: key ids and wrapped forms. What leaves: rows. Two advisory locks order the rare acts against the frequent ones: who makes keys
shares ``_PLACES`` with others and excludes a change of the current space or a retirement; who destroys keys shares ``_ROWS`` and excludes a batch
that moves or rewraps rows, which would otherwise slip from under the deletion.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kernel.db import Conn, Database
from kernel.ids import KeyId

_PLACES: Final = 0x6B657973_01
_ROWS: Final = 0x6B657973_02
_REMOVAL: Final = 0x6B657973_03
_COPY: Final = "COPY keys.subject_keys (key_id, wrapped, kek_id, space) FROM STDIN"
SPACES: Final = (0, 1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What was destroyed and may still be found on the disk."""

    keys: int
    seconds: float | None
    """How long the oldest has waited."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A physical removal that ended."""

    ended_at: datetime
    keys: int
    moved: int
    log: str


async def place(conn: Conn, kek: str) -> int | None:
    """The space that new keys go to, until this transaction ends; None when `kek` was retired meanwhile."""
    await conn.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_PLACES,))
    row = await _row(
        conn,
        "SELECT current, EXISTS (SELECT FROM keys.retired_keks WHERE kek_id = %s) AS retired FROM keys.spaces",
        (kek,),
    )
    return None if row["retired"] else int(row["current"])


async def add(conn: Conn, keys: Sequence[tuple[KeyId, bytes]], kek: str, space: int) -> None:
    """Store wrapped keys."""
    async with conn.cursor() as cursor, cursor.copy(_COPY) as copy:
        for key_id, wrapped in keys:
            await copy.write_row((key_id, wrapped, kek, space))


async def wrapped(conn: Conn, ids: Sequence[KeyId]) -> list[tuple[KeyId, str, bytes]]:
    """(key id, key-encryption key, wrapped form) of those that live."""
    found = await conn.execute("SELECT key_id, kek_id, wrapped FROM keys.subject_keys WHERE key_id = ANY(%s)", (ids,))
    return [(KeyId(row["key_id"]), str(row["kek_id"]), bytes(row["wrapped"])) for row in await found.fetchall()]


async def all_wrapped(conn: Conn) -> dict[KeyId, bytes]:
    """Every living wrapped form; for those who look for the ones that are gone."""
    found = await conn.execute("SELECT key_id, wrapped FROM keys.subject_keys")
    return {KeyId(row["key_id"]): bytes(row["wrapped"]) for row in await found.fetchall()}


async def destroy(conn: Conn, ids: Sequence[KeyId]) -> int:
    """Delete wrapped keys and note that their bytes have to go; how many there were."""
    await conn.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_ROWS,))
    gone = (await conn.execute("DELETE FROM keys.subject_keys WHERE key_id = ANY(%s)", (ids,))).rowcount
    if gone:
        await conn.execute("INSERT INTO keys.destroyed (keys) VALUES (%s)", (gone,))
    return gone


async def destructions(conn: Conn) -> int:
    """How often keys were destroyed, ever: where it has not moved, none is gone."""
    return int((await _row(conn, "SELECT n FROM keys.destructions"))["n"])


async def wrapped_otherwise(conn: Conn, kek: str, limit: int) -> list[tuple[KeyId, str, bytes]]:
    """Up to `limit` keys that another key-encryption key wrapped; nobody moves or destroys one until this transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_ROWS,))
    found = await conn.execute(
        "SELECT key_id, kek_id, wrapped FROM keys.subject_keys WHERE kek_id <> %s LIMIT %s", (kek, limit)
    )
    return [(KeyId(row["key_id"]), str(row["kek_id"]), bytes(row["wrapped"])) for row in await found.fetchall()]


async def rewrap(conn: Conn, keys: Sequence[tuple[KeyId, bytes]], kek: str) -> None:
    """Put new wrapped forms in the place of the old ones."""
    await conn.execute(
        "UPDATE keys.subject_keys k SET wrapped = n.wrapped, kek_id = %s "
        "FROM unnest(%s::text[], %s::bytea[]) AS n (key_id, wrapped) WHERE k.key_id = n.key_id",
        (kek, [key_id for key_id, _ in keys], [closed for _, closed in keys]),
    )


async def under(conn: Conn) -> dict[str, int]:
    """Living keys by the key-encryption key that wrapped them."""
    found = await conn.execute("SELECT kek_id, count(*) AS n FROM keys.subject_keys GROUP BY kek_id ORDER BY kek_id")
    return {str(row["kek_id"]): int(row["n"]) for row in await found.fetchall()}


async def retire_kek(conn: Conn, kek: str) -> int:
    """Let nobody wrap under this one any more; the keys that are still under it (not zero: roll back)."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_PLACES,))
    await conn.execute("INSERT INTO keys.retired_keks (kek_id) VALUES (%s) ON CONFLICT DO NOTHING", (kek,))
    return int((await _row(conn, "SELECT count(*) AS n FROM keys.subject_keys WHERE kek_id = %s", (kek,)))["n"])


@asynccontextmanager
async def removing(db: Database) -> AsyncIterator[bool]:
    """Whether this is the only removal while the block runs."""
    async with db.reading() as conn:
        held = bool((await _row(conn, "SELECT pg_try_advisory_lock(%s) AS held", (_REMOVAL,)))["held"])
        try:
            yield held
        finally:
            if held:
                await conn.execute("SELECT pg_advisory_unlock(%s)", (_REMOVAL,))


async def current_space(conn: Conn) -> int:
    """Where new keys go now."""
    return int((await _row(conn, "SELECT current FROM keys.spaces"))["current"])


async def littered(conn: Conn, space: int) -> bool:
    """Whether the file of a space holds anything, living or dead."""
    return bool((await _row(conn, "SELECT pg_relation_size(%s::regclass) > 0 AS any", (_table(space),)))["any"])


async def change_space(conn: Conn, space: int) -> None:
    """New keys go to `space` from now on; what was destroyed so far belongs to the removal that begins."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_PLACES,))
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_ROWS,))
    await conn.execute("UPDATE keys.spaces SET current = %s", (space,))
    await conn.execute("UPDATE keys.destroyed SET removal = true")


async def move(conn: Conn, space: int, limit: int) -> int:
    """Move up to `limit` living keys out of a space into the other; how many."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_ROWS,))
    done = await conn.execute(
        "UPDATE keys.subject_keys SET space = %s WHERE space = %s"
        " AND key_id IN (SELECT key_id FROM keys.subject_keys WHERE space = %s LIMIT %s)",
        (1 - space, space, space, limit),
    )
    return done.rowcount


async def truncate(conn: Conn, space: int) -> bool:
    """Throw an empty space away, dead rows and all; False when a living key is in it."""
    await conn.execute(f"LOCK TABLE {_table(space)} IN ACCESS EXCLUSIVE MODE")
    if (await _row(conn, f"SELECT EXISTS (SELECT FROM {_table(space)}) AS used"))["used"]:
        return False
    await conn.execute(f"TRUNCATE {_table(space)}")
    return True


async def size(conn: Conn, space: int) -> int:
    """Living keys in a space."""
    return int((await _row(conn, f"SELECT count(*) AS n FROM {_table(space)}"))["n"])


async def waiting(conn: Conn) -> Waiting:
    """What was destroyed and not yet removed, and for how long."""
    row = await _row(
        conn,
        "SELECT coalesce(sum(keys), 0) AS keys, extract(epoch FROM clock_timestamp() - min(at)) AS waited FROM keys.destroyed",
    )
    return Waiting(int(row["keys"]), None if row["waited"] is None else float(row["waited"]))


async def fresh(conn: Conn) -> bool:
    """Whether something was destroyed that no removal has begun with."""
    return bool((await _row(conn, "SELECT EXISTS (SELECT FROM keys.destroyed WHERE NOT removal) AS any"))["any"])


async def removed(conn: Conn, at: datetime, moved: int, log: str) -> int:
    """Note the end of a removal; the number of keys whose bytes went."""
    row = await _row(
        conn,
        "WITH gone AS (DELETE FROM keys.destroyed WHERE removal RETURNING keys) SELECT coalesce(sum(keys), 0) AS n FROM gone",
    )
    await conn.execute("INSERT INTO keys.removals VALUES (%s, %s, %s, %s)", (at, row["n"], moved, log))
    return int(row["n"])


async def last_removal(conn: Conn) -> Removal | None:
    """The newest removal that ended."""
    found = await (await conn.execute("SELECT * FROM keys.removals ORDER BY ended_at DESC LIMIT 1")).fetchone()
    return None if found is None else Removal(found["ended_at"], int(found["keys"]), int(found["moved"]), found["log"])


async def may_turn_the_log(conn: Conn) -> bool:
    """Whether our role may begin a new segment of the write-ahead log, see the segments and force a checkpoint."""
    row = await _row(
        conn,
        "SELECT pg_has_role(current_user, 'pg_checkpoint', 'USAGE')"
        " AND has_function_privilege('pg_switch_wal()', 'EXECUTE')"
        " AND has_function_privilege('pg_ls_waldir()', 'EXECUTE') AS may",
    )
    return bool(row["may"])


async def turn_the_log(conn: Conn) -> str:
    """Begin a new segment of the write-ahead log; its name."""
    # A switch does nothing at the very beginning of a segment, so something is written first.
    await conn.execute("SELECT pg_logical_emit_message(false, 'candor', '')")
    await conn.execute("SELECT pg_switch_wal()")
    row = await _row(conn, "SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS name")
    return str(row["name"])


async def checkpoint(conn: Conn) -> None:
    """Write everything to the tables' files, drop what the log no longer needs. Takes as long as the disk does."""
    await conn.execute("SET LOCAL statement_timeout = 0")
    await conn.execute("CHECKPOINT")


async def reuses_segments(conn: Conn) -> bool:
    """Whether old segments are taken up again under new names, old bytes and all."""
    return bool((await _row(conn, "SELECT current_setting('wal_recycle')::boolean AS it"))["it"])


async def segments(conn: Conn) -> list[str]:
    """Names of the log's segments, oldest first; those after the current one were made, or taken up again, for later."""
    found = await conn.execute("SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' ORDER BY substr(name, 9)")
    return [str(row["name"]) for row in await found.fetchall()]


def _table(space: int) -> str:
    return f"keys.subject_keys_{SPACES[space]}"


async def _row(conn: Conn, query: str, values: tuple[object, ...] = ()) -> dict[str, Any]:
    found = await (await conn.execute(query, values)).fetchone()
    assert found is not None, "a query without FROM, or of a table with one row"
    return found
