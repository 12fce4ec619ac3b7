"""All SQL of learning online. Every function takes the caller's connection.

Lessons and sums change together in one transaction under `lock`; a state is added and never changed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kernel.db import Conn
from kernel.ids import DecisionId, PersonId
from orchestration.learning.lessons import WEEK, Lesson, Sums

_LESSON = "decision, placement, person, arm, at, epoch, reward, context"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """A state as kept, without its content."""

    seq: int
    placement: str
    policy: str
    digest: str
    made_at: datetime


async def lock(conn: Conn) -> bool:
    """One learner at a time; False when another process is at it."""
    got = await conn.execute("SELECT pg_try_advisory_xact_lock(hashtext('learning.online')) AS mine")
    row = await got.fetchone()
    return row is not None and bool(row["mine"])


async def wait_for_lock(conn: Conn) -> None:
    """The same for those who must be heard: waits."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('learning.online'))")


async def listens(conn: Conn) -> frozenset[str]:
    """Names of events that are heard."""
    got = await conn.execute("SELECT event FROM learning.listens")
    return frozenset(str(row["event"]) for row in await got.fetchall())


async def listen(conn: Conn, names: Collection[str]) -> None:
    """Hear these events and no others."""
    await conn.execute("DELETE FROM learning.listens WHERE event <> ALL(%s)", (sorted(names),))
    await conn.execute(
        "INSERT INTO learning.listens (event) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", (sorted(names),)
    )


async def hear(conn: Conn, subjects: Sequence[str], names: Sequence[str]) -> None:
    """Note whom something happened to, where a learner listens for what happened."""
    await conn.execute(
        "INSERT INTO learning.heard (subject) SELECT DISTINCT w.subject FROM unnest(%s::text[], %s::text[]) AS w(subject, event) "
        "JOIN learning.listens USING (event)",
        (list(subjects), list(names)),
    )


async def take(conn: Conn, limit: int) -> list[str]:
    """Take the oldest of what was heard; it is heard again when the transaction fails."""
    got = await conn.execute(
        "DELETE FROM learning.heard WHERE seq IN (SELECT seq FROM learning.heard ORDER BY seq LIMIT %s) RETURNING subject",
        (limit,),
    )
    return sorted({str(row["subject"]) for row in await got.fetchall()})


async def known(conn: Conn, decisions: Sequence[DecisionId]) -> dict[DecisionId, Lesson]:
    """Lessons of these decisions."""
    got = await conn.execute(f"SELECT {_LESSON} FROM learning.lessons WHERE decision = ANY(%s)", (list(decisions),))
    return {row["decision"]: _lesson(row) for row in await got.fetchall()}


async def voices(conn: Conn, whose: Collection[tuple[str, PersonId, int]], most: int | None = None) -> list[Lesson]:
    """Lessons of these voices (placement, person, epoch), at most so many of each: of more, none would be listened to."""
    asked = sorted(whose)
    got = await conn.execute(
        f"SELECT {_LESSON} FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS w(p, who, e) CROSS JOIN LATERAL "
        "(SELECT * FROM learning.lessons l WHERE (l.person, l.placement, l.epoch) = (w.who, w.p, w.e) LIMIT %s) one",
        ([one[0] for one in asked], [one[1] for one in asked], [one[2] for one in asked], most),
    )
    return [_lesson(row) for row in await got.fetchall()]


async def present(conn: Conn, decisions: Sequence[DecisionId]) -> set[DecisionId]:
    """Those of these decisions that have a lesson."""
    got = await conn.execute("SELECT decision FROM learning.lessons WHERE decision = ANY(%s)", (list(decisions),))
    return {row["decision"] for row in await got.fetchall()}


async def put(conn: Conn, lessons: Sequence[Lesson]) -> None:
    """Add lessons, or change the reward of those that are there."""
    await conn.cursor().executemany(
        f"INSERT INTO learning.lessons ({_LESSON}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (decision) DO UPDATE SET reward = EXCLUDED.reward",
        [
            (one.decision, one.placement, one.person, one.arm, one.at, one.epoch, one.reward, list(one.context))
            for one in lessons
        ],
    )


async def followed(conn: Conn) -> dict[str, datetime]:
    """How far the decisions of each placement were followed."""
    got = await conn.execute("SELECT placement, at FROM learning.followed")
    return {str(row["placement"]): row["at"] for row in await got.fetchall()}


async def follow(conn: Conn, placement: str, at: datetime) -> None:
    """They were followed so far."""
    await conn.execute(
        "INSERT INTO learning.followed (placement, at) VALUES (%s, %s) ON CONFLICT (placement) DO UPDATE SET at = EXCLUDED.at",
        (placement, at),
    )


async def untaught(conn: Conn, placement: str, before: datetime, limit: int) -> list[Lesson]:
    """Lessons that a learner of a library has not learned: those with a reward, and those from before a moment; oldest first."""
    got = await conn.execute(
        f"SELECT {_LESSON} FROM learning.lessons WHERE placement = %s AND taught_at IS NULL AND (reward <> 0 OR at <= %s) "
        "ORDER BY at, decision LIMIT %s",
        (placement, before, limit),
    )
    return [_lesson(row) for row in await got.fetchall()]


async def taught_voices(conn: Conn, lessons: Sequence[Lesson]) -> set[tuple[str, PersonId, int]]:
    """Person, arm and epoch of those voices among these lessons of one placement that were taught already."""
    if not lessons:
        return set()
    got = await conn.execute(
        "SELECT DISTINCT arm, person, epoch FROM learning.lessons WHERE placement = %s AND person = ANY(%s) AND taught_at IS NOT NULL",
        (lessons[0].placement, sorted({one.person for one in lessons})),
    )
    return {(row["arm"], row["person"], row["epoch"]) for row in await got.fetchall()}


async def teach(conn: Conn, decisions: Sequence[DecisionId], at: datetime) -> None:
    """These were taught."""
    await conn.execute("UPDATE learning.lessons SET taught_at = %s WHERE decision = ANY(%s)", (at, list(decisions)))


async def unteach(conn: Conn, placement: str) -> None:
    """No lesson of this placement was taught to the library that begins now."""
    await conn.execute(
        "UPDATE learning.lessons SET taught_at = NULL WHERE placement = %s AND taught_at IS NOT NULL", (placement,)
    )


async def forget_rows(conn: Conn, placement: str) -> None:
    """Take out of lessons and sums of a placement what was known of people; what arms earned stays."""
    # A lesson's row is never changed, only taken out with the lesson: it is written again without.
    await conn.execute(
        f"WITH gone AS (DELETE FROM learning.lessons WHERE placement = %s AND context <> '{{}}' RETURNING {_LESSON}, taught_at) "
        f"INSERT INTO learning.lessons ({_LESSON}, taught_at) "
        "SELECT decision, placement, person, arm, at, epoch, reward, '{}', taught_at FROM gone",
        (placement,),
    )
    await conn.execute(
        "UPDATE learning.tallies SET gram = '{}', moment = '{}' WHERE placement = %s AND gram <> '{}'", (placement,)
    )


async def tally(conn: Conn, changes: Mapping[tuple[str, str, int], Sums]) -> None:
    """Add to sums, by placement, arm and epoch; under the lock."""
    for (placement, arm, epoch), more in sorted(changes.items()):
        got = await conn.execute(
            "SELECT n, reward, squares, gram, moment FROM learning.tallies WHERE (placement, arm, epoch) = (%s, %s, %s)",
            (placement, arm, epoch),
        )
        row = await got.fetchone()
        now = (Sums() if row is None else _sums(row)).plus(more)
        await conn.execute(
            "INSERT INTO learning.tallies (placement, arm, epoch, n, reward, squares, gram, moment) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s::numeric[], %s::numeric[]) ON CONFLICT (placement, arm, epoch) DO UPDATE "
            "SET n = EXCLUDED.n, reward = EXCLUDED.reward, squares = EXCLUDED.squares, gram = EXCLUDED.gram, moment = EXCLUDED.moment",
            (placement, arm, epoch, now.n, now.reward, now.squares, list(now.gram), list(now.moment)),
        )


async def tallies(conn: Conn, placement: str, since: int) -> dict[tuple[str, int], Sums]:
    """Sums of a placement by arm and epoch, of epochs from `since` on."""
    got = await conn.execute(
        "SELECT arm, epoch, n, reward, squares, gram, moment FROM learning.tallies WHERE placement = %s AND epoch >= %s",
        (placement, since),
    )
    return {(row["arm"], row["epoch"]): _sums(row) for row in await got.fetchall()}


async def add_state(conn: Conn, placement: str, policy: str, digest: str, content: bytes, at: datetime) -> None:
    """Keep a state as the newest one of its placement."""
    await conn.execute(
        "INSERT INTO learning.learned (placement, policy, digest, content, made_at) VALUES (%s, %s, %s, %s, %s)",
        (placement, policy, digest, content, at),
    )


async def newest_states(conn: Conn) -> dict[str, StateRow]:
    """The newest state of every placement."""
    got = await conn.execute(
        "WITH RECURSIVE p AS (SELECT min(placement) AS placement FROM learning.learned UNION ALL "
        "SELECT (SELECT min(l.placement) FROM learning.learned l WHERE l.placement > p.placement) FROM p WHERE p.placement IS NOT NULL) "
        "SELECT s.seq, s.placement, s.policy, s.digest, s.made_at FROM p CROSS JOIN LATERAL "
        "(SELECT * FROM learning.learned l WHERE l.placement = p.placement ORDER BY seq DESC LIMIT 1) s"
    )
    return {str(row["placement"]): StateRow(**row) for row in await got.fetchall()}


async def content(conn: Conn, digest: str) -> bytes | None:
    """A state by digest."""
    got = await conn.execute("SELECT content FROM learning.learned WHERE digest = %s LIMIT 1", (digest,))
    row = await got.fetchone()
    return None if row is None else bytes(row["content"])


async def let_go(conn: Conn, before: datetime) -> int:
    """Remove lessons that cannot change any more; the sums keep what they taught.

    Whole epochs only, of which none is longer than a week: what a person said in one is averaged, so a part of it cannot be taken back alone.
    """
    got = await conn.execute(
        "DELETE FROM learning.lessons WHERE at < %s AND epoch < %s", (before, int(before.timestamp()) - WEEK)
    )
    return got.rowcount


async def of_people(conn: Conn, people: Sequence[PersonId], decisions: Sequence[DecisionId] = ()) -> list[Lesson]:
    """Every lesson about these people, and of these decisions."""
    got = await conn.execute(
        f"SELECT {_LESSON} FROM learning.lessons WHERE person = ANY(%s) OR decision = ANY(%s) ORDER BY at, decision",
        (list(people), list(decisions)),
    )
    return [_lesson(row) for row in await got.fetchall()]


async def forget(
    conn: Conn, people: Sequence[PersonId], subjects: Sequence[str], decisions: Sequence[DecisionId]
) -> int:
    """Remove the lessons about these people and of these decisions, and what was heard of them."""
    await conn.execute("DELETE FROM learning.heard WHERE subject = ANY(%s)", ([*people, *subjects],))
    got = await conn.execute(
        "DELETE FROM learning.lessons WHERE person = ANY(%s) OR decision = ANY(%s)", (list(people), list(decisions))
    )
    return got.rowcount


def _lesson(row: Mapping[str, Any]) -> Lesson:
    return Lesson(**{**row, "context": tuple(row["context"])})


def _sums(row: Mapping[str, Any]) -> Sums:
    return Sums(
        row["n"], row["reward"], row["squares"], tuple(int(one) for one in row["gram"]),
        tuple(int(one) for one in row["moment"]),
    )  # fmt: skip
