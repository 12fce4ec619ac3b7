"""Routes of reasons: why two records are one person, why not, how a person came together; and the runs of the linkage.

What enters: records, a person or a run by id (scope officer; runs also auditor and operate). What leaves: ids, fields, levels and weights; the words
of two records only where they are asked for, which is an entry of the log.
"""

from typing import Annotated, cast

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from audit.access.endpoints import needs
from audit.access.principal import Principal
from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from identity.because import Because
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId, RecordId
from kernel.kernel import Kernel

MOST_RUNS = 200

router = APIRouter(prefix="/v1", tags=["people"])
Words = Annotated[bool, Query(description="Also what the two records say in each field; the reading is logged.")]


class Allow(BaseModel):
    """Why the gate's objections are overruled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    because: Because


@router.get("/records/{record}/why/{other}")
async def why(
    request: Request, record: str, other: str, *, words: Words = False, principal: Principal = needs("officer")
) -> Json:
    """Why two records are, or are not, one person."""
    kernel, identity, audit = _rooms(request)
    async with kernel.db.transaction() as conn:
        found = await identity.reasons.why(conn, RecordId(record), RecordId(other), words=words)
        if words:
            await _note(conn, audit, found.people, principal)
    return found.as_json()


@router.get("/records/{record}/why-not/{other}")
async def why_not(
    request: Request, record: str, other: str, *, words: Words = False, principal: Principal = needs("officer")
) -> Json:
    """The one cause why two records are not one person."""
    kernel, identity, audit = _rooms(request)
    async with kernel.db.transaction() as conn:
        found = await identity.reasons.why_not(conn, RecordId(record), RecordId(other), words=words)
        if words:
            await _note(conn, audit, found.people, principal)
    return found.as_json()


@router.get("/people/{person}/how")
async def how(request: Request, person: str, _principal: Principal = needs("officer")) -> Json:
    """How a person came together, and the single edges that she hangs on."""
    kernel, identity, _ = _rooms(request)
    async with kernel.db.reading() as conn:
        return (await identity.reasons.how(conn, await identity.lookup(conn, person))).as_json()


@router.get("/linkage/runs")
async def runs(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MOST_RUNS)] = 50,
    _principal: Principal = needs("officer", "auditor", "operate"),
) -> Json:
    """Runs of the linkage with their cards, the newest first."""
    kernel, identity, _ = _rooms(request)
    async with kernel.db.reading() as conn:
        return {"runs": [one.as_json() for one in await identity.runs.listed(conn, limit)]}


@router.get("/linkage/runs/{run}")
async def run(request: Request, run: str, _principal: Principal = needs("officer", "auditor", "operate")) -> Json:
    """One run's card: levels, policy, pairs, weights, sizes, drift, refusals, and what the gate said."""
    kernel, identity, _ = _rooms(request)
    async with kernel.db.reading() as conn:
        return (await identity.runs.get(conn, run)).as_json()


@router.post("/linkage/runs/{run}/allow")
async def allow(request: Request, run: str, body: Allow, principal: Principal = needs("officer", "operate")) -> Json:
    """Overrule the gate's objections to the newest run: the next run goes live if it meets no others."""
    kernel, identity, _ = _rooms(request)
    async with kernel.db.transaction() as conn:
        allowed = await identity.runs.allow(conn, run, actor=principal.actor, because=body.because)
    return allowed.as_json()


async def _note(conn: Conn, audit: Audit, people: tuple[PersonId, PersonId], principal: Principal) -> None:
    whom = sorted(set(people))
    await audit.append(
        conn, [NewEntry(Tag.READ_PERSONAL, {"person": whom}, {"what": "linkage"}, actor=principal.actor)]
    )


def _rooms(request: Request) -> tuple[Kernel, Identity, Audit]:
    house = request.app.state.house
    return cast("Kernel", house.kernel), cast("Identity", house.identity), cast("Audit", house.audit)
