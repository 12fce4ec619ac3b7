"""Routes of judgements: acts of staff with their preview, the review queue, the change feed.

What enters: people by id or contact, records by id, a reason out of a list (scope officer). What leaves: ids, counts, codes; never a word of a record.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from audit.access.endpoints import needs
from audit.access.principal import Principal
from identity.endpoints import rooms
from identity.judgements import Act, Reason, Verdict
from identity.regrouping import By
from identity.wishes import Wish, foresee, fulfil
from kernel.canonical import Json
from kernel.ids import RecordId

MOST: int = 1_000

router = APIRouter(prefix="/v1/identity", tags=["people"])


class Wanted(BaseModel):
    """An act of staff."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    act: Literal["merge", "unmerge", "split", "pin"]
    people: Annotated[list[str], Field(min_length=1, max_length=2)]
    records: Annotated[list[str], Field(max_length=MOST)] = []
    reason: Reason = Reason.LOOKED
    dry_run: bool = True


class Given(BaseModel):
    """What a reviewer says of two records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    a: str
    b: str
    verdict: Verdict
    reason: Reason = Reason.LOOKED


class Taken(BaseModel):
    """Why a judgement is taken back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason = Reason.MISTAKE


@router.post("/acts")
async def act(request: Request, body: Wanted, principal: Principal = needs("officer")) -> Json:
    """Merge, unmerge, split or pin; unless `dry_run` is false, only what it would touch."""
    kernel, identity = rooms(request)
    wish = Wish(Act(body.act), tuple(body.people), tuple(map(RecordId, body.records)), body.reason)
    async with kernel.db.transaction() as conn:
        if body.dry_run:
            return (await foresee(identity, conn, wish, principal.actor)).as_json()
        return (await fulfil(identity, conn, wish, principal.actor)).as_json()


@router.get("/questions")
async def questions(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    _principal: Principal = needs("officer"),
) -> Json:
    """What staff should look at, the dearest question first."""
    kernel, identity = rooms(request)
    async with kernel.db.reading() as conn:
        return {"questions": [one.as_json() for one in await identity.judging.questions(conn, limit)]}


@router.post("/answers")
async def answer(request: Request, body: Given, principal: Principal = needs("officer")) -> Json:
    """Two records are, are not, or may be one person's."""
    kernel, identity = rooms(request)
    by = By(principal.actor, body.reason)
    async with kernel.db.transaction() as conn:
        done = await identity.judging.answer(conn, RecordId(body.a), RecordId(body.b), body.verdict, by)
    return done.as_json()


@router.post("/judgements/{judgement}/revoke")
async def revoke(request: Request, judgement: str, body: Taken, principal: Principal = needs("officer")) -> Json:
    """Take a judgement back: from the next run on the evidence decides."""
    kernel, identity = rooms(request)
    async with kernel.db.transaction() as conn:
        return (await identity.judging.revoke(conn, judgement, By(principal.actor, body.reason))).as_json()


@router.get("/changes")
async def changes(
    request: Request,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    _principal: Principal = needs("officer", "operate"),
) -> Json:
    """Moves of records between people after an offset, each once, in the order of commits."""
    kernel, identity = rooms(request)
    async with kernel.db.reading() as conn:
        found = await identity.judging.feed(conn, after, limit)
    return {"changes": [one.as_json() for one in found], "next": found[-1].offset if found else after}
