"""All SQL of askings. Every function runs in the caller's transaction and is durable when that commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from audit.access.asking import KEPT, Asked, KeyReused
from kernel.db import Conn

_SWEPT: Final = 20  # rows past their time that go with one claim: the table stays as large as a month


async def find(conn: Conn, one: Asked) -> str | None:
    """What the first asking made; None when this is the first.

    Raises:
        KeyReused: the key came before with other content.
    """
    got = await conn.execute("SELECT print, answer FROM audit.asked WHERE key = %s", (one.key,))
    row = await got.fetchone()
    if row is None:
        return None
    if bytes(row["print"]) != one.print:
        raise KeyReused("expected the same content under the same Idempotency-Key, got other content")
    return str(row["answer"])


async def claim(conn: Conn, wishes: Sequence[tuple[Asked, str]], at: datetime) -> set[str]:
    """Keep (asking, answer) pairs; the answers that are kept. One that is not was asked by somebody else first: `find` it.

    Waits for a transaction that is keeping the same key. Keys are taken in one order, so two groups never wait for each other; a transaction
    claims before it locks anything else.
    """
    if not wishes:
        return set()
    await conn.execute(
        "DELETE FROM audit.asked WHERE key IN (SELECT key FROM audit.asked WHERE at < %s ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED)",
        (at - KEPT, _SWEPT * len(wishes)),
    )
    got = await conn.execute(
        "INSERT INTO audit.asked (key, print, answer, at) SELECT key, print, answer, %s "
        "FROM unnest(%s::bytea[], %s::bytea[], %s::text[]) WITH ORDINALITY AS w(key, print, answer, n) ORDER BY key, n "
        "ON CONFLICT (key) DO NOTHING RETURNING answer",
        (at, [one.key for one, _ in wishes], [one.print for one, _ in wishes], [answer for _, answer in wishes]),
    )
    return {str(row["answer"]) for row in await got.fetchall()}


async def lock(conn: Conn, one: Asked) -> None:
    """Until the transaction ends nobody else asks the same: for acts whose answer is known only once they are done."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(one.key[:8], "big", signed=True),))


async def release(conn: Conn, keys: Sequence[bytes]) -> None:
    """Give back what this transaction claimed for something that it does not do after all."""
    if keys:
        await conn.execute("DELETE FROM audit.asked WHERE key = ANY(%s)", (list(keys),))
