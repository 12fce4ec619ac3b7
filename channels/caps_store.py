"""SQL of frequency caps: who holds a place under which cap. One conditional statement takes places, in one order whoever asks.

A person's places lie in one row per cap, so that a window is counted inside a row; they go along when her id is merged into another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from channels.caps import Window
from kernel.db import Conn
from kernel.ids import DeliveryId, PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A wish for a place under one cap. `kept_from`: places before it count for nobody any more, whatever comes next."""

    person: PersonId
    delivery_id: DeliveryId
    at: datetime
    window: Window
    kept_from: datetime


async def take_places(conn: Conn, places: Sequence[Place]) -> set[tuple[DeliveryId, str]]:
    """Take one place per wish where the cap has room; each (person, key) at most once a call. Answers those that got theirs.

    Rows are locked in one order, whoever asks, so that two groups cannot wait for each other.
    """
    if not places:
        return set()
    got = await conn.execute(
        """
        WITH wish AS (
            SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::int[], %s::timestamptz[])
                     AS w(person, cap_key, holder, at, window_start, cap_limit, kept_from))
        INSERT INTO channels.caps AS cap (person, cap_key, holders, taken, window_start, cap_limit)
        SELECT person, cap_key, ARRAY[holder], ARRAY[at], window_start, cap_limit
        FROM wish ORDER BY person COLLATE "C", cap_key COLLATE "C"
        ON CONFLICT (person, cap_key) DO UPDATE SET
            holders = ARRAY(SELECT h FROM unnest(cap.holders, cap.taken) AS p(h, t), wish
                            WHERE (wish.person, wish.cap_key) = (cap.person, cap.cap_key) AND t > wish.kept_from ORDER BY t, h) || EXCLUDED.holders,
            taken = ARRAY(SELECT t FROM unnest(cap.holders, cap.taken) AS p(h, t), wish
                          WHERE (wish.person, wish.cap_key) = (cap.person, cap.cap_key) AND t > wish.kept_from ORDER BY t, h) || EXCLUDED.taken,
            window_start = EXCLUDED.window_start,
            cap_limit = EXCLUDED.cap_limit
        WHERE (SELECT count(*) FROM unnest(cap.taken) AS p(t) WHERE t > EXCLUDED.window_start) < EXCLUDED.cap_limit
        RETURNING cap.cap_key, cap.holders[cardinality(cap.holders)] AS holder
        """,
        _columns(places),
    )
    return {(DeliveryId(one["holder"]), str(one["cap_key"])) for one in await got.fetchall()}


def _columns(places: Sequence[Place]) -> tuple[list[Any], ...]:
    return (
        [one.person for one in places],
        [one.window.key for one in places],
        [one.delivery_id for one in places],
        [one.at for one in places],
        [one.window.start for one in places],
        [one.window.limit for one in places],
        [one.kept_from for one in places],
    )


async def merge_places(conn: Conn, merged: Mapping[PersonId, PersonId]) -> None:
    """Places that were taken under these ids count from now on for the person that each leads to."""
    await conn.execute(
        """
        WITH gone AS (
            DELETE FROM channels.caps AS c USING unnest(%s::text[], %s::text[]) AS m(old, person) WHERE c.person = m.old
            RETURNING m.person, c.cap_key, c.holders, c.taken, c.window_start, c.cap_limit)
        INSERT INTO channels.caps AS cap (person, cap_key, holders, taken, window_start, cap_limit)
        SELECT person, cap_key, array_agg(h ORDER BY t, h), array_agg(t ORDER BY t, h), min(window_start), min(cap_limit)
        FROM gone, unnest(holders, taken) AS p(h, t)
        GROUP BY person, cap_key ORDER BY person COLLATE "C", cap_key COLLATE "C"
        ON CONFLICT (person, cap_key) DO UPDATE SET holders = cap.holders || EXCLUDED.holders, taken = cap.taken || EXCLUDED.taken
        """,
        (list(merged), list(merged.values())),
    )


async def with_places(conn: Conn, people: Sequence[PersonId]) -> list[PersonId]:
    """Those of these people who hold places under caps."""
    got = await conn.execute("SELECT DISTINCT person FROM channels.caps WHERE person = ANY(%s)", (list(people),))
    return [PersonId(one["person"]) for one in await got.fetchall()]


async def room(conn: Conn, places: Sequence[Place]) -> list[bool]:
    """Whether each wish would find a place now; takes nothing."""
    got = await conn.execute(
        """
        SELECT wish.n, (SELECT count(*) FROM unnest(cap.taken) AS p(t) WHERE t > wish.window_start) < wish.cap_limit AS free
        FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::int[]) WITH ORDINALITY AS wish(person, cap_key, window_start, cap_limit, n)
        LEFT JOIN channels.caps AS cap ON (cap.person, cap.cap_key) = (wish.person, wish.cap_key)
        ORDER BY wish.n
        """,
        (
            [p.person for p in places],
            [p.window.key for p in places],
            [p.window.start for p in places],
            [p.window.limit for p in places],
        ),
    )
    return [bool(one["free"]) for one in await got.fetchall()]


async def held(
    conn: Conn, person: PersonId, since: datetime
) -> tuple[dict[str, list[datetime]], dict[str, list[datetime]], bool]:
    """Of a person: when the places were taken that are kept of her, by cap; when messages of late were to leave, by channel, oldest first, without
    those that never left; and whether anybody at all is suppressed. One look.
    """
    got = await conn.execute(
        "SELECT s.found, c.cap_key AS name, c.taken AS moments"
        " FROM (SELECT EXISTS (SELECT FROM channels.suppressions) AS found) s LEFT JOIN channels.caps c ON c.person = %(person)s"
        " UNION ALL SELECT NULL, channel, array_agg(deliver_after ORDER BY deliver_after) FROM channels.deliveries"
        " WHERE person = %(person)s AND deliver_after > %(since)s AND state NOT IN ('rejected', 'cancelled', 'withheld', 'dropped')"
        " GROUP BY channel",
        {"person": person, "since": since},
    )
    rows = await got.fetchall()
    caps = [one for one in rows if one["found"] is not None]
    return (
        {str(one["name"]): list(one["moments"]) for one in caps if one["name"] is not None},
        {str(one["name"]): list(one["moments"]) for one in rows if one["found"] is None},
        any(one["found"] for one in caps),
    )


async def give_back(conn: Conn, held: Sequence[tuple[PersonId, str, DeliveryId]]) -> None:
    """Free the places that these deliveries hold; one that holds none changes nothing."""
    for person, key, holder in sorted(held):
        await conn.execute(
            """
            UPDATE channels.caps AS cap SET
                holders = ARRAY(SELECT h FROM unnest(cap.holders, cap.taken) AS p(h, t) WHERE h <> %(holder)s ORDER BY t, h),
                taken = ARRAY(SELECT t FROM unnest(cap.holders, cap.taken) AS p(h, t) WHERE h <> %(holder)s ORDER BY t, h)
            WHERE person = %(person)s AND cap_key = %(key)s AND %(holder)s = ANY(cap.holders)
            """,
            {"person": person, "key": key, "holder": holder},
        )


async def forget_caps(conn: Conn, people: Sequence[PersonId]) -> None:
    """Remove the counters of these people."""
    await conn.execute("DELETE FROM channels.caps WHERE person = ANY(%s)", (list(people),))
