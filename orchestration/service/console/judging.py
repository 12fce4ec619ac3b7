"""Who is who, for officers: the review queue, one question with both people's records beside each other, and acts on a person shown before they are done.

Enters: forms with ids, and a reason out of a list. Leaves: what would be touched, or what was done. Every look at somebody's records is an entry of the log.
"""

from typing import Annotated, Final, cast

from fastapi import Query
from fastapi.responses import Response

from audit.access.principal import Scope
from identity.judgements import Act, Reason, Verdict
from identity.regrouping import By
from identity.wishes import Wish, foresee, fulfil
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import NotFound
from kernel.ids import PersonId, RecordId, is_id
from orchestration.service import people
from orchestration.service.console.errors import FormIncomplete
from orchestration.service.console.guard import AtDesk, Desk
from orchestration.service.console.pages import View, act, page, see

_ACTS: Final = (Act.MERGE, Act.UNMERGE, Act.SPLIT, Act.PIN)
_OF_RECORDS: Final = frozenset({Act.SPLIT, Act.PIN})
_MOST: Final = 100


@page("/review", "review.html", Scope.OFFICER, api="/v1/identity/questions")
async def review(desk: AtDesk) -> View:
    """Questions, the dearest first, and people about whom somebody raised a doubt."""
    async with desk.house.kernel.db.reading() as conn:
        asked = await desk.house.identity.judging.questions(conn, _MOST)
        doubts = await desk.house.identity.reviews(conn)
    raised: list[Json] = [
        {"id": one.review_id, "person": one.person, "reason": one.reason, "about": one.about, "at": one.opened_at.isoformat()}
        for one in doubts
    ]  # fmt: skip
    return {"questions": [one.as_json() for one in asked], "doubts": raised}


@page("/review/{a}/{b}", "question.html", Scope.OFFICER)
async def question(desk: AtDesk, a: str, b: str) -> View:
    """Two records, and all that is known of whose they are."""
    async with desk.house.kernel.db.reading() as conn:
        one, other = [await _holder(desk, conn, name) for name in (a, b)]
        for person in dict.fromkeys((one, other)):
            await desk.note({"person": person}, "review")
        asked = [found.as_json() for found in await desk.house.identity.judging.questions(conn, 1_000)]
        sides: list[Json] = [
            {**await people.records(desk.house, conn, person), "record": name}
            for person, name in ((one, a), (other, b))[: 1 if one == other else 2]
        ]
    pair = {a, b}
    found: Json = next((said for said in asked if {said["a"], said["b"]} == pair), None)
    names: Json = dict(await desk.names())
    reasons: Json = [reason.value for reason in Reason]
    return {
        "a": a,
        "b": b,
        "one_person": one == other,
        "asked": found,
        "sides": sides,
        "names": names,
        "reasons": reasons,
    }


@act("/review/{a}/{b}", Scope.OFFICER)
async def answered(desk: AtDesk, a: str, b: str) -> Response:
    """One person, two, or nobody knows."""
    verdict = await desk.field("verdict")
    if verdict not in set(Verdict):
        raise FormIncomplete("expected one of the answers of the form, got another")
    by = By(desk.principal.actor, await _reason(desk))
    async with desk.house.kernel.db.transaction() as conn:
        done = await desk.house.identity.judging.answer(conn, RecordId(a), RecordId(b), Verdict(verdict), by)
    return see(f"/console/review/{a}/{b}?refused={done.refused}" if done.refused else "/console/review")


@act("/review/{review_id}/close", Scope.OFFICER)
async def closed(desk: AtDesk, review_id: str) -> Response:
    """Somebody looked."""
    async with desk.house.kernel.db.transaction() as conn:
        await desk.house.identity.close_review(conn, review_id, actor=desk.principal.actor)
    return see("/console/review")


@act("/people/{person}/judgements/{judgement}/revoke", Scope.OFFICER)
async def revoked(desk: AtDesk, person: str, judgement: str) -> Response:
    """Take it back: from the next run on the evidence decides."""
    async with desk.house.kernel.db.transaction() as conn:
        await desk.house.identity.judging.revoke(conn, judgement, By(desk.principal.actor, Reason.MISTAKE))
    return see(f"/console/people/{person}")


@page("/people/{person}/act", "person_act.html", Scope.OFFICER)
async def foreseen(
    desk: AtDesk,
    person: str,
    act: str = "",
    other: str = "",
    record: Annotated[list[str] | None, Query(max_length=_MOST)] = None,
    reason: str = Reason.LOOKED.value,
) -> View | Response:
    """What an act would touch; changes nothing."""
    if not act:
        return see(f"/console/people/{person}")
    wish = _wish(act, person, other, record or [], reason)
    async with desk.house.kernel.db.transaction() as conn:
        seen = (await foresee(desk.house.identity, conn, wish, desk.principal.actor)).as_json()
    await desk.note({"person": person}, "preview")
    held = cast(
        "list[dict[str, dict[str, Json]]]", [*cast("list[Json]", seen["before"]), *cast("list[Json]", seen["after"])]
    )
    names: Json = sorted({name for one in held for name in one["holds"]})
    reasons: Json = [one.value for one in Reason]
    return {
        "person": person, "other": other, "records": list(wish.records), "reason": reason, "reasons": reasons, "tab": "records",
        "names": names, **seen,
    }  # fmt: skip


@act("/people/{person}/act", Scope.OFFICER)
async def done(desk: AtDesk, person: str) -> Response:
    """Do it."""
    if await desk.field("sure") != "yes":
        raise FormIncomplete("expected the box ticked that says you are sure, got it empty")
    form = await desk.form()
    records = [str(one) for one in form.getlist("record")]
    wish = _wish(await desk.field("act"), person, str(form.get("other") or ""), records, await desk.field("reason"))
    async with desk.house.kernel.db.transaction() as conn:
        made = await fulfil(desk.house.identity, conn, wish, desk.principal.actor)
    return see(f"/console/people/{made.people[0]}")


def _wish(act_: str, person: str, other: str, records: list[str], reason: str) -> Wish:
    if act_ not in {one.value for one in _ACTS} or reason not in set(Reason):
        raise FormIncomplete("expected an act and a reason of the form, got others")
    if any(not is_id(one, "per") for one in (person, *([other] if other else []))):
        raise FormIncomplete("expected ids of people (per_…), got something else: a contact would stand in logs")
    if any(not is_id(one, "rec") for one in records):
        raise FormIncomplete("expected ids of records (rec_…), got something else")
    kind = Act(act_)
    named = (person, other) if kind is Act.MERGE and other else (other or person,) if kind is Act.UNMERGE else (person,)
    return Wish(kind, named, tuple(map(RecordId, records)) if kind in _OF_RECORDS else (), Reason(reason))


async def _reason(desk: Desk) -> Reason:
    said = await desk.field("reason")
    if said not in set(Reason):
        raise FormIncomplete("expected one of the reasons of the form, got another")
    return Reason(said)


async def _holder(desk: Desk, conn: Conn, record: str) -> PersonId:
    found = await desk.house.identity.subjects(conn, [RecordId(record)]) if is_id(record, "rec") else {}
    if record not in found or not found[record].people:
        raise NotFound(
            "expected a record with a live person, got none", remedy="Open the question from the review queue."
        )
    return found[record].people[0]
