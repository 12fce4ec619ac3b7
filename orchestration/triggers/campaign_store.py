"""All SQL of campaigns; their people are rows of `triggers.runs`, of the kind campaign. Contract: as in `store.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from kernel.db import Conn
from kernel.ids import DecisionId, DeliveryId, PersonId, new_id
from orchestration.triggers.runs import FROM, Run, State, Step
from orchestration.triggers.store import COLUMNS, LIST, STEPS, run_of


class Stage(StrEnum):
    """Where a campaign stands."""

    RUNNING = "running"
    PAUSED = "paused"
    KILLED = "killed"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One start of a placement for everybody it may be meant for."""

    campaign_id: str
    name: str
    source: str | None
    people: int
    state: Stage
    actor: str
    started_at: datetime
    changed_at: datetime

    @property
    def trigger(self) -> str:
        """What its runs and decisions call it; no published trigger can be called so."""
        return f"campaign:{self.name}"

    @property
    def prefix(self) -> str:
        """What the keys of its runs begin with."""
        return f"{self.campaign_id}/"

    @property
    def over(self) -> bool:
        """Killed or done."""
        return self.state in {Stage.KILLED, Stage.DONE}


@dataclass(frozen=True, slots=True)
class End:
    """How a run of a campaign ends, or is put off."""

    run: Run
    step: Step
    reason: str
    delivery_id: DeliveryId | None = None


_FIELDS: Final = tuple(Campaign.__dataclass_fields__)
_ALL: Final = ", ".join(_FIELDS)


async def open_one(conn: Conn, new: Campaign) -> bool:
    """Begin a campaign; False when one of its name is not over."""
    got = await conn.execute(
        f"INSERT INTO triggers.campaigns ({_ALL}) VALUES ({', '.join(['%s'] * len(_FIELDS))}) ON CONFLICT DO NOTHING",
        tuple(getattr(new, name) for name in _FIELDS),
    )
    return got.rowcount > 0


async def newest(conn: Conn, name: str, *, lock: bool = False) -> Campaign | None:
    """The last campaign of a name; with `lock`, it stands still until the transaction ends."""
    got = await conn.execute(
        f"SELECT {_ALL} FROM triggers.campaigns WHERE name = %s ORDER BY campaign_id DESC LIMIT 1{' FOR UPDATE' if lock else ''}",
        (name,),
    )
    row = await got.fetchone()
    return None if row is None else Campaign(**row | {"state": Stage(row["state"])})


async def listed(conn: Conn, limit: int) -> list[Campaign]:
    """The newest campaigns."""
    got = await conn.execute(f"SELECT {_ALL} FROM triggers.campaigns ORDER BY campaign_id DESC LIMIT %s", (limit,))
    return [Campaign(**row | {"state": Stage(row["state"])}) for row in await got.fetchall()]


async def running(conn: Conn) -> list[str]:
    """Names of campaigns that go on."""
    got = await conn.execute("SELECT name FROM triggers.campaigns WHERE state = 'running' ORDER BY campaign_id")
    return [str(row["name"]) for row in await got.fetchall()]


async def turn(conn: Conn, campaign: Campaign, stage: Stage, now: datetime) -> None:
    """It stands there from now on; the caller holds it."""
    await conn.execute(
        "UPDATE triggers.campaigns SET state = %s, changed_at = %s WHERE campaign_id = %s",
        (stage, now, campaign.campaign_id),
    )


async def enlist(conn: Conn, campaign: Campaign, people: Sequence[PersonId], now: datetime) -> None:
    """A run for each of these people."""
    ids = [new_id("trg") for _ in people]
    await conn.execute(
        "INSERT INTO triggers.runs (run_id, trigger, kind, key, person, at, due_at, single, state, reason, actor, made_at, changed_at, seen_at)"
        " SELECT w.run_id, %(t)s, 'campaign', %(c)s || '/' || w.person, w.person, %(n)s, %(n)s, false, 'waiting', 'campaign', %(a)s, %(n)s, %(n)s, %(n)s"
        " FROM unnest(%(ids)s::text[], %(people)s::text[]) AS w(run_id, person) ON CONFLICT (trigger, key) DO NOTHING",
        {"t": campaign.trigger, "c": campaign.campaign_id, "a": campaign.actor, "n": now, "ids": ids, "people": list(people)},
    )  # fmt: skip


async def claim(conn: Conn, campaign: Campaign, now: datetime, lease: datetime, limit: int) -> list[Run]:
    """Take runs whose turn it is, each with the id that its decision shall have. The caller holds the campaign."""
    got = await conn.execute(
        "WITH due AS (SELECT run_id, state FROM triggers.runs WHERE trigger = %(t)s AND kind = 'campaign'"
        " AND ((state = 'waiting' AND due_at <= %(now)s) OR (state = 'deciding' AND lease_until <= %(now)s))"
        " ORDER BY run_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED),"
        " numbered AS (SELECT run_id, state, row_number() OVER (ORDER BY run_id) AS n FROM due)"
        " UPDATE triggers.runs r SET state = 'deciding', reason = CASE w.state WHEN 'waiting' THEN 'due' ELSE 'lease_over' END,"
        " generation = generation + 1, lease_until = %(lease)s, changed_at = %(now)s, settled_at = coalesce(settled_at, %(now)s),"
        " decision_id = coalesce(decision_id, (%(ids)s::text[])[w.n]) FROM numbered w WHERE r.run_id = w.run_id"
        f" RETURNING {', '.join(f'r.{name}' for name in COLUMNS)}",
        {"t": campaign.trigger, "now": now, "lease": lease, "limit": limit, "ids": [new_id("dec") for _ in range(limit)]},
    )  # fmt: skip
    claimed = sorted((run_of(row) for row in await got.fetchall()), key=lambda one: one.run_id)
    if claimed:
        await conn.execute(STEPS, ([r.run_id for r in claimed], now, State.DECIDING, [r.reason for r in claimed]))
    return claimed


async def reached(conn: Conn, campaign: Campaign, names: Sequence[PersonId], besides: Sequence[str]) -> set[PersonId]:
    """Ids, of these, whose turn in this campaign another run has had or is having."""
    got = await conn.execute(
        "SELECT DISTINCT person FROM triggers.runs WHERE trigger = %s AND starts_with(key, %s) AND person = ANY(%s) AND settled_at IS NOT NULL AND run_id <> ALL(%s)"
        " AND state <> 'called_off'",
        (campaign.trigger, campaign.prefix, list(names), list(besides)),
    )
    return {PersonId(row["person"]) for row in await got.fetchall()}


async def end(conn: Conn, ends: Sequence[End], now: datetime, *, due_at: datetime | None = None) -> set[str]:
    """Take these steps; ids of the runs that were still the worker's."""
    done: set[str] = set()
    for step in sorted({one.step for one in ends}):
        part = [one for one in ends if one.step is step]
        allowed, then = FROM[step]
        got = await conn.execute(
            "UPDATE triggers.runs r SET state = %(then)s, reason = w.reason, lease_until = NULL, changed_at = %(now)s,"
            " due_at = coalesce(%(due)s, r.due_at), delivery_id = coalesce(w.delivery_id, r.delivery_id), attempts = attempts + %(tried)s"
            " FROM unnest(%(ids)s::text[], %(generations)s::int[], %(reasons)s::text[], %(deliveries)s::text[])"
            " AS w(run_id, generation, reason, delivery_id)"
            " WHERE r.run_id = w.run_id AND r.generation = w.generation AND r.state = ANY(%(allowed)s::text[]) RETURNING r.run_id, r.reason",
            {
                "then": then, "now": now, "due": due_at if step is Step.PUT_OFF else None, "tried": int(step is Step.PUT_OFF),
                "ids": [one.run.run_id for one in part], "generations": [one.run.generation for one in part],
                "reasons": [one.reason for one in part], "deliveries": [one.delivery_id for one in part], "allowed": sorted(allowed),
            },
        )  # fmt: skip
        rows = await got.fetchall()
        if rows:
            await conn.execute(STEPS, ([r["run_id"] for r in rows], now, then, [r["reason"] for r in rows]))
        done.update(str(row["run_id"]) for row in rows)
    return done


async def call_off(conn: Conn, campaign: Campaign, reason: str, now: datetime) -> int:
    """End every run that no worker has claimed; how many."""
    got = await conn.execute(
        "WITH gone AS (UPDATE triggers.runs SET state = 'called_off', reason = %(why)s, changed_at = %(now)s"
        " WHERE trigger = %(t)s AND kind = 'campaign' AND state = 'waiting' RETURNING run_id)"
        " INSERT INTO triggers.steps (run_id, at, state, reason) SELECT run_id, %(now)s, 'called_off', %(why)s FROM gone",
        {"t": campaign.trigger, "why": reason, "now": now},
    )
    return got.rowcount


async def tallies(conn: Conn, campaign: Campaign) -> Mapping[tuple[State, str], int]:
    """Runs of a campaign by state and reason."""
    got = await conn.execute(
        "SELECT state, reason, count(*) AS n FROM triggers.runs WHERE trigger = %s AND kind = 'campaign' AND starts_with(key, %s)"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        (campaign.trigger, campaign.prefix),
    )
    return {(State(row["state"]), str(row["reason"])): int(row["n"]) for row in await got.fetchall()}


async def left(conn: Conn, campaign: Campaign) -> int:
    """How many runs have not ended."""
    got = await conn.execute(
        "SELECT count(*) AS n FROM triggers.runs WHERE trigger = %s AND kind = 'campaign' AND state IN ('waiting', 'deciding')",
        (campaign.trigger,),
    )
    row = await got.fetchone()
    return 0 if row is None else int(row["n"])


async def decided(conn: Conn, campaign: Campaign) -> list[tuple[DecisionId, DeliveryId | None]]:
    """Decisions of a campaign with their deliveries, in the order of its runs."""
    got = await conn.execute(
        "SELECT decision_id, delivery_id FROM triggers.runs WHERE trigger = %s AND kind = 'campaign' AND starts_with(key, %s)"
        " AND state IN ('sent', 'withheld') ORDER BY run_id",
        (campaign.trigger, campaign.prefix),
    )
    return [(row["decision_id"], row["delivery_id"]) for row in await got.fetchall()]


async def runs(conn: Conn, campaign: Campaign, state: State) -> list[Run]:
    """Runs of a campaign in a state."""
    got = await conn.execute(
        f"SELECT {LIST} FROM triggers.runs WHERE trigger = %s AND kind = 'campaign' AND starts_with(key, %s) AND state = %s"
        " ORDER BY run_id",
        (campaign.trigger, campaign.prefix, state),
    )
    return [run_of(row) for row in await got.fetchall()]
