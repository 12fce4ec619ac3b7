"""All SQL of triggers.

Every function runs in the caller's transaction and is durable when that commits. A step is written with its history line or not at all; one that is taken from a state
it may not be taken from, or by a worker that was overtaken (another generation), changes nothing and answers None. Rows are written in one order everywhere.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DecisionId, DeliveryId, PersonId, new_id
from orchestration.triggers.runs import ENDS, FROM, NewRun, Run, State, Step, StepTaken

_CHUNK: Final = 5_000
COLUMNS: Final = tuple(Run.__dataclass_fields__)
LIST: Final = ", ".join(COLUMNS)
_OPEN: Final = "state IN ('waiting', 'deciding')"
_NEW: Final = (
    "INSERT INTO triggers.runs (run_id, trigger, kind, key, person, at, due_at, event_id, single, state, reason, actor, made_at, changed_at, seen_at)"
    " SELECT w.run_id, w.trigger, w.kind, w.key, w.person, w.at, w.due_at, w.event_id, %(single)s, 'waiting', w.kind, %(actor)s, %(now)s, %(now)s, %(now)s"
    " FROM unnest(%(ids)s::text[], %(triggers)s::text[], %(kinds)s::text[], %(keys)s::text[], %(people)s::text[], %(ats)s::timestamptz[],"
    " %(dues)s::timestamptz[], %(events)s::text[]) AS w(run_id, trigger, kind, key, person, at, due_at, event_id)"
)
STEPS: Final = "INSERT INTO triggers.steps (run_id, at, state, reason) SELECT unnest(%s::text[]), %s, %s, unnest(%s::text[])"  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How far a calendar or a segment was followed."""

    trigger: str
    until_at: datetime
    swept_at: datetime | None
    seen_at: datetime | None


# rules


async def lock_rules(conn: Conn) -> None:
    """One publication at a time; runs do not wait for it."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('triggers.rules'))")


async def publish(conn: Conn, digest: str, document: Json, *, actor: str, at: datetime) -> None:
    """Make this file the one that rules."""
    await conn.execute(
        "INSERT INTO triggers.published (digest, document, actor, published_at) VALUES (%s, %s, %s, %s)",
        (digest, Jsonb(document), actor, at),
    )


async def ruling(conn: Conn) -> tuple[str, Json] | None:
    """Digest and document of the file that rules."""
    got = await conn.execute("SELECT digest, document FROM triggers.published ORDER BY seq DESC LIMIT 1")
    row = await got.fetchone()
    if row is None:
        return None
    document: Json = json.loads(row["document"]) if isinstance(row["document"], str | bytes) else row["document"]
    return str(row["digest"]), document


async def pause(conn: Conn, trigger: str, actor: str, at: datetime) -> bool:
    """False when it is paused already."""
    got = await conn.execute(
        "INSERT INTO triggers.pauses (trigger, actor, paused_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (trigger, actor, at),
    )
    return got.rowcount > 0


async def resume(conn: Conn, trigger: str) -> bool:
    """False when it is not paused."""
    return (await conn.execute("DELETE FROM triggers.pauses WHERE trigger = %s", (trigger,))).rowcount > 0


async def paused(conn: Conn) -> frozenset[str]:
    """Triggers that rest."""
    got = await conn.execute("SELECT trigger FROM triggers.pauses")
    return frozenset(str(row["trigger"]) for row in await got.fetchall())


# runs


async def add(conn: Conn, runs: Sequence[NewRun], *, actor: str, now: datetime) -> list[str]:
    """Keep runs that are new by their key; ids of those."""
    fresh: list[str] = []
    for single in (True, False):
        ordered = sorted(
            (one for one in runs if one.single is single), key=lambda one: (one.trigger, one.person, one.key)
        )
        for start in range(0, len(ordered), _CHUNK):
            fresh += await _add(conn, ordered[start : start + _CHUNK], single=single, actor=actor, now=now)
    return fresh


async def _add(conn: Conn, runs: Sequence[NewRun], *, single: bool, actor: str, now: datetime) -> list[str]:
    if single:  # one row a statement may touch a person's open run once
        runs = list({(one.trigger, one.person): one for one in reversed(runs)}.values())[::-1]
    ids = [new_id("trg") for _ in runs]
    values = {
        "ids": ids, "triggers": [one.trigger for one in runs], "kinds": [one.kind for one in runs],
        "keys": [one.key for one in runs], "people": [one.person for one in runs], "ats": [one.at for one in runs],
        "dues": [one.due_at for one in runs], "events": [one.event_id for one in runs], "single": single, "actor": actor, "now": now,
    }  # fmt: skip
    if single:
        # An open run is locked rather than passed over: its worker may be reading the log at this moment, without what is being told now.
        end = (
            " WHERE NOT EXISTS (SELECT FROM triggers.runs r WHERE r.trigger = w.trigger AND r.key = w.key) ORDER BY w.trigger, w.person"
            " ON CONFLICT (trigger, person) WHERE single AND settled_at IS NULL AND state IN ('waiting', 'deciding')"
            " DO UPDATE SET seen_at = excluded.seen_at RETURNING run_id"
        )
    else:
        end = " ORDER BY w.trigger, w.key ON CONFLICT (trigger, key) DO NOTHING RETURNING run_id"
    got = await conn.execute(_NEW + end, values)
    touched = {str(row["run_id"]) for row in await got.fetchall()}
    fresh = [(id_, one) for id_, one in zip(ids, runs, strict=True) if id_ in touched]
    if fresh:
        await conn.execute(STEPS, ([i for i, _ in fresh], now, State.WAITING, [one.kind for _, one in fresh]))
    return [id_ for id_, _ in fresh]


async def by_key(conn: Conn, trigger: str, key: str) -> Run | None:
    """The run of a trigger with this key."""
    got = await conn.execute(f"SELECT {LIST} FROM triggers.runs WHERE trigger = %s AND key = %s", (trigger, key))
    row = await got.fetchone()
    return None if row is None else run_of(row)


async def get(conn: Conn, run_id: str) -> Run | None:
    """One run."""
    got = await conn.execute(f"SELECT {LIST} FROM triggers.runs WHERE run_id = %s", (run_id,))
    row = await got.fetchone()
    return None if row is None else run_of(row)


async def steps(conn: Conn, run_id: str) -> list[StepTaken]:
    """The history of a run, oldest first."""
    got = await conn.execute("SELECT at, state, reason FROM triggers.steps WHERE run_id = %s ORDER BY step", (run_id,))
    return [StepTaken(at=r["at"], state=State(r["state"]), reason=r["reason"]) for r in await got.fetchall()]


async def newest(conn: Conn, trigger: str | None, state: State | None, people: Sequence[PersonId] | None, limit: int) -> list[Run]:  # fmt: skip
    """The newest runs, narrowed down."""
    got = await conn.execute(
        f"SELECT {LIST} FROM triggers.runs WHERE (%(t)s::text IS NULL OR trigger = %(t)s) AND (%(s)s::text IS NULL OR state = %(s)s)"
        " AND (%(p)s::text[] IS NULL OR person = ANY(%(p)s)) ORDER BY run_id DESC LIMIT %(n)s",
        {"t": trigger, "s": state, "p": None if people is None else list(people), "n": limit},
    )
    return [run_of(row) for row in await got.fetchall()]


async def claim(
    conn: Conn, now: datetime, lease: datetime, limit: int, resting: Sequence[str], only: str | None = None
) -> list[Run]:
    """Take due runs, and those whose worker fell silent; what another worker is taking is passed over."""
    got = await conn.execute(
        "WITH due AS (SELECT run_id, state FROM triggers.runs"
        " WHERE kind <> 'campaign' AND ((state = 'waiting' AND due_at <= %(now)s) OR (state = 'deciding' AND lease_until <= %(now)s))"
        " AND trigger <> ALL(%(resting)s::text[]) AND (%(only)s::text IS NULL OR run_id = %(only)s)"
        " ORDER BY due_at, run_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)"
        " UPDATE triggers.runs r SET state = 'deciding', reason = CASE due.state WHEN 'waiting' THEN 'due' ELSE 'lease_over' END,"
        " generation = generation + 1, lease_until = %(lease)s, changed_at = %(now)s FROM due WHERE r.run_id = due.run_id"
        f" RETURNING {', '.join(f'r.{name}' for name in COLUMNS)}",
        {"now": now, "lease": lease, "limit": limit, "resting": list(resting), "only": only},
    )
    claimed = sorted((run_of(row) for row in await got.fetchall()), key=lambda one: (one.due_at, one.run_id))
    if claimed:
        await conn.execute(STEPS, ([r.run_id for r in claimed], now, State.DECIDING, [r.reason for r in claimed]))
    return claimed


async def hold(conn: Conn, run: Run) -> Run | None:
    """Lock a claimed run until the transaction ends; None when it is not this worker's any more."""
    got = await conn.execute(
        f"SELECT {LIST} FROM triggers.runs WHERE run_id = %s AND generation = %s AND state = 'deciding' FOR UPDATE",
        (run.run_id, run.generation),
    )
    row = await got.fetchone()
    return None if row is None else run_of(row)


async def lock_turn(conn: Conn, trigger: str, person: PersonId) -> None:
    """One run of a trigger and person is judged at a time, whatever ids she had when they began."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 19))", (f"{trigger}/{person}",))


async def spent(conn: Conn, run: Run, names: Sequence[PersonId]) -> datetime | None:
    """When the last other turn of this trigger was settled for a person, under any id of hers."""
    got = await conn.execute(
        "SELECT max(settled_at) AS at FROM triggers.runs WHERE trigger = %s AND person = ANY(%s) AND run_id <> %s",
        (run.trigger, list(names), run.run_id),
    )
    row = await got.fetchone()
    return None if row is None else row["at"]


async def settle(conn: Conn, run: Run, person: PersonId, decision_id: DecisionId, now: datetime) -> Run | None:
    """It is its turn: remember that, for whom, and the id that its decision shall have."""
    got = await conn.execute(
        "UPDATE triggers.runs SET settled_at = coalesce(settled_at, %s), person = %s, decision_id = coalesce(decision_id, %s)"
        f" WHERE run_id = %s AND generation = %s AND state = 'deciding' RETURNING {LIST}",
        (now, person, decision_id, run.run_id, run.generation),
    )
    row = await got.fetchone()
    return None if row is None else run_of(row)


async def move(
    conn: Conn, run: Run, step: Step, reason: str, now: datetime, *,
    due_at: datetime | None = None, delivery_id: DeliveryId | None = None, tried: bool = False,
) -> Run | None:  # fmt: skip
    """Take a step other than a claim. None: the run stands elsewhere by now."""
    allowed, then = FROM[step]
    got = await conn.execute(
        "UPDATE triggers.runs SET state = %(then)s, reason = %(reason)s, lease_until = NULL, changed_at = %(now)s,"
        " due_at = coalesce(%(due)s, due_at), delivery_id = coalesce(%(delivery)s, delivery_id), attempts = attempts + %(tried)s"
        " WHERE run_id = %(id)s AND generation = %(generation)s AND state = ANY(%(allowed)s::text[])"
        f" RETURNING {LIST}",
        {
            "then": then, "reason": reason, "now": now, "due": due_at, "delivery": delivery_id, "tried": int(tried),
            "id": run.run_id, "generation": run.generation, "allowed": sorted(allowed),
        },
    )  # fmt: skip
    row = await got.fetchone()
    if row is None:
        return None
    await conn.execute(STEPS, ([run.run_id], now, then, [reason]))
    return run_of(row)


async def counts(conn: Conn) -> Mapping[str, Mapping[str, int]]:
    """Runs by trigger and state."""
    got = await conn.execute("SELECT trigger, state, count(*) AS n FROM triggers.runs GROUP BY 1, 2 ORDER BY 1, 2")
    found: dict[str, dict[str, int]] = {}
    for row in await got.fetchall():
        found.setdefault(row["trigger"], {})[row["state"]] = int(row["n"])
    return found


async def waiting(conn: Conn, now: datetime) -> tuple[Mapping[str, int], float]:
    """Open runs by trigger, and for how many seconds the oldest due one has not been claimed."""
    got = await conn.execute(f"SELECT trigger, count(*) AS n FROM triggers.runs WHERE {_OPEN} GROUP BY 1 ORDER BY 1")
    found = {str(row["trigger"]): int(row["n"]) for row in await got.fetchall()}
    got = await conn.execute(
        "SELECT coalesce(extract(epoch FROM %s - min(due_at)), 0) AS age FROM triggers.runs WHERE state = 'waiting' AND kind <> 'campaign'"
        " AND due_at <= %s AND trigger NOT IN (SELECT trigger FROM triggers.pauses)",
        (now, now),
    )
    row = await got.fetchone()
    return found, float(row["age"]) if row is not None else 0.0


# calendars and segments


async def clocks(conn: Conn) -> Mapping[str, Clock]:
    """Every clock by trigger."""
    got = await conn.execute("SELECT trigger, until_at, swept_at, seen_at FROM triggers.clocks")
    return {row["trigger"]: Clock(**row) for row in await got.fetchall()}


async def start_clock(conn: Conn, trigger: str, at: datetime) -> None:
    """From here on, as if nothing had been before."""
    await conn.execute("DELETE FROM triggers.members WHERE trigger = %s", (trigger,))
    await conn.execute(
        "INSERT INTO triggers.clocks (trigger, until_at) VALUES (%s, %s) ON CONFLICT (trigger)"
        " DO UPDATE SET until_at = excluded.until_at, swept_at = NULL, seen_at = NULL",
        (trigger, at),
    )


async def stop_clocks(conn: Conn, keep: Sequence[str]) -> None:
    """Forget the clocks of all but these."""
    for table in ("triggers.clocks", "triggers.members"):
        await conn.execute(f"DELETE FROM {table} WHERE trigger <> ALL(%s::text[])", (list(keep),))


async def hold_clock(conn: Conn, trigger: str) -> Clock | None:
    """Lock a clock until the transaction ends; None when another worker has it."""
    got = await conn.execute(
        "SELECT trigger, until_at, swept_at, seen_at FROM triggers.clocks WHERE trigger = %s FOR UPDATE SKIP LOCKED",
        (trigger,),
    )
    row = await got.fetchone()
    return None if row is None else Clock(**row)


async def set_clock(conn: Conn, clock: Clock) -> None:
    """Move a clock."""
    await conn.execute(
        "UPDATE triggers.clocks SET until_at = %s, swept_at = %s, seen_at = %s WHERE trigger = %s",
        (clock.until_at, clock.swept_at, clock.seen_at, clock.trigger),
    )


async def members(conn: Conn, trigger: str, people: Sequence[PersonId] | None = None) -> set[PersonId]:
    """Who is in, of these people or of all."""
    got = await conn.execute(
        "SELECT person FROM triggers.members WHERE trigger = %s AND (%s::text[] IS NULL OR person = ANY(%s::text[]))",
        (trigger, *((None if people is None else list(people),) * 2)),
    )
    return {PersonId(row["person"]) for row in await got.fetchall()}


async def enter(conn: Conn, trigger: str, people: Sequence[PersonId], at: datetime) -> None:
    """They are in."""
    await conn.execute(
        "INSERT INTO triggers.members (trigger, person, since) SELECT %s, unnest(%s::text[]), %s ON CONFLICT DO NOTHING",
        (trigger, sorted(people), at),
    )


async def leave(conn: Conn, trigger: str, people: Sequence[PersonId]) -> None:
    """They are out."""
    await conn.execute(
        "DELETE FROM triggers.members WHERE trigger = %s AND person = ANY(%s::text[])", (trigger, list(people))
    )


# people, and what is past its time


async def of_people(conn: Conn, names: Sequence[PersonId]) -> list[Run]:
    """Every run of people, oldest first."""
    got = await conn.execute(f"SELECT {LIST} FROM triggers.runs WHERE person = ANY(%s) ORDER BY run_id", (list(names),))
    return [run_of(row) for row in await got.fetchall()]


async def open_of(conn: Conn, names: Sequence[PersonId]) -> int:
    """How many runs of people have not ended."""
    got = await conn.execute(
        f"SELECT count(*) AS n FROM triggers.runs WHERE person = ANY(%s) AND {_OPEN}", (list(names),)
    )
    row = await got.fetchone()
    return 0 if row is None else int(row["n"])


async def forget(conn: Conn, names: Sequence[PersonId]) -> int:
    """Remove everything about people; rows."""
    gone = (await conn.execute("DELETE FROM triggers.members WHERE person = ANY(%s)", (list(names),))).rowcount
    return gone + (await conn.execute("DELETE FROM triggers.runs WHERE person = ANY(%s)", (list(names),))).rowcount


def run_of(row: Mapping[str, Any]) -> Run:
    """A row as a run."""
    values = {name: row[name] for name in COLUMNS}
    return Run(**values | {"state": State(values["state"])})


_ENDED: Final = "state = ANY(%s::text[]) AND changed_at < %s AND (person IS NULL OR person <> ALL(%s::text[]))"


async def count_old(conn: Conn, before: datetime, people: Sequence[PersonId]) -> int:
    """Runs that ended before a moment, but those of these people."""
    got = await conn.execute(
        f"SELECT count(*) AS n FROM triggers.runs WHERE {_ENDED}", (list(ENDS), before, list(people))
    )
    row = await got.fetchone()
    return 0 if row is None else int(row["n"])


async def drop_old(conn: Conn, before: datetime, people: Sequence[PersonId], limit: int) -> int:
    """Remove at most so many of them."""
    got = await conn.execute(
        f"DELETE FROM triggers.runs WHERE run_id IN (SELECT run_id FROM triggers.runs WHERE {_ENDED} ORDER BY changed_at LIMIT %s)",
        (list(ENDS), before, list(people), limit),
    )
    return got.rowcount
