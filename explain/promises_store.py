"""SQL on levers that are shown and controls that were pressed. Contract: as in ``store.py``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from explain.belonging import HERS, Whose
from kernel.db import Conn
from kernel.ids import DecisionId, KeyId, PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A control that was pressed. `promised`: the choice that its lever led to, None where no lever was shown; `flipped`: that lever, pulled again at
    that moment. `followed_at`: when the decision was made that it was held against.
    """

    decision_id: DecisionId
    kind: str
    subject: str
    person: PersonId | None
    key_id: KeyId | None
    placement: str
    at: datetime
    was: str
    was_channel: str | None
    promised: str | None
    promised_channel: str | None
    flipped: bool | None
    followed_at: datetime | None = None


_COLUMNS = "decision_id, kind, subject, person, key_id, placement, at, was, was_channel, promised, promised_channel, flipped, followed_at"


async def insert_tallies(conn: Conn, rows: Sequence[tuple[DecisionId, int]]) -> None:
    """How many levers these explanations show; one that is kept already stays."""
    if rows:
        await conn.execute(
            "INSERT INTO explain.lever_tallies (decision_id, levers) SELECT * FROM unnest(%s::text[], %s::int[])"
            " ON CONFLICT DO NOTHING",
            ([one for one, _ in rows], [n for _, n in rows]),
        )


async def insert_use(conn: Conn, use: Use) -> bool:
    """Keep that a control was pressed; False when it was pressed before."""
    got = await conn.execute(
        f"INSERT INTO explain.uses ({_COLUMNS}) VALUES (%(decision_id)s, %(kind)s, %(subject)s, %(person)s, %(key_id)s, %(placement)s, %(at)s,"
        " %(was)s, %(was_channel)s, %(promised)s, %(promised_channel)s, %(flipped)s, %(followed_at)s)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        asdict(use),
    )
    return await got.fetchone() is not None


async def has_use(conn: Conn, decision_id: DecisionId, kind: str, subject: str) -> bool:
    """Whether a control was pressed."""
    got = await conn.execute(
        "SELECT FROM explain.uses WHERE (decision_id, kind, subject) = (%s, %s, %s)", (decision_id, kind, subject)
    )
    return await got.fetchone() is not None


async def waiting(conn: Conn, people: Sequence[PersonId]) -> list[Use]:
    """Uses of these people whose lever was promised to change something."""
    got = await conn.execute(
        f"SELECT {_COLUMNS} FROM explain.uses WHERE person = ANY(%s) AND promised IS NOT NULL ORDER BY at",
        (list(people),),
    )
    return [Use(**row) for row in await got.fetchall()]


async def follow(conn: Conn, use: Use, by: DecisionId, at: datetime, *, changed: bool) -> None:
    """The decision that followed a use, and whether it is what was promised."""
    await conn.execute(
        "UPDATE explain.uses SET followed_by = %s, followed_at = %s, changed = %s WHERE (decision_id, kind, subject) = (%s, %s, %s)",
        (by, at, changed, use.decision_id, use.kind, use.subject),
    )


async def unchecked(conn: Conn, limit: int) -> list[DecisionId]:
    """The newest explanations whose levers were not pulled again."""
    got = await conn.execute(
        "SELECT decision_id FROM explain.lever_tallies WHERE replayed = 0 ORDER BY decision_id DESC LIMIT %s", (limit,)
    )
    return [DecisionId(row["decision_id"]) for row in await got.fetchall()]


async def replayed(conn: Conn, decision_id: DecisionId, pulled: int, flipped: int) -> None:
    """All levers of an explanation were pulled again."""
    await conn.execute(
        "UPDATE explain.lever_tallies SET replayed = %s, flipped = %s WHERE decision_id = %s",
        (pulled, flipped, decision_id),
    )


async def counts(conn: Conn) -> dict[str, int]:
    """The figures of `Honesty`."""
    got = await conn.execute(
        "SELECT * FROM (SELECT coalesce(sum(levers), 0)::bigint AS shown, coalesce(sum(replayed), 0)::bigint AS replayed,"
        " coalesce(sum(flipped), 0)::bigint AS flipped FROM (SELECT levers, replayed, flipped FROM explain.lever_tallies"
        "  UNION ALL SELECT levers, replayed, flipped FROM explain.lever_sums) AS every) AS levers,"
        " (SELECT count(*) AS used, count(followed_by) AS followed, count(*) FILTER (WHERE changed) AS changed,"
        " count(flipped) AS tried, count(*) FILTER (WHERE flipped) AS worked FROM explain.uses WHERE promised IS NOT NULL) AS uses"
    )
    row = dict(await got.fetchone() or {})
    tried, worked = row.pop("tried", 0), row.pop("worked", 0)
    return {**row, "replayed": row.get("replayed", 0) + tried, "flipped": row.get("flipped", 0) + worked}


async def of_person(conn: Conn, whose: Whose) -> list[tuple[DecisionId, str, str, datetime, PersonId | None]]:
    """(decision, kind, subject, when, under which id) of what she pressed; of older presses only the word was kept."""
    got = await conn.execute(
        f"SELECT decision_id, kind, subject, at, person FROM explain.uses WHERE {HERS} UNION"
        f" SELECT decision_id, kind, '', at, person FROM explain.feedback AS f WHERE {HERS}"
        " AND NOT EXISTS (SELECT FROM explain.uses AS u WHERE (u.decision_id, u.kind) = (f.decision_id, f.kind)) ORDER BY at, kind",
        whose.slots(),
    )
    return [(row["decision_id"], row["kind"], row["subject"], row["at"], row["person"]) for row in await got.fetchall()]


async def forget(conn: Conn, whose: Whose) -> int:
    """Drop what she pressed."""
    got = await conn.execute(f"DELETE FROM explain.uses WHERE {HERS}", whose.slots())
    return got.rowcount
