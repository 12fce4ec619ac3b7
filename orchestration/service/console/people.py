"""The pages of one person, for officers: records and graph, consents, profile, timeline. Every look is an entry of the log.

Enters: a person's id or a retired id of hers. Leaves: her words, to this scope alone.
"""

from typing import Annotated, cast

from fastapi import Query
from fastapi.responses import Response

from audit.access.principal import Scope
from audit.tags import Tag
from kernel import paging
from kernel.canonical import Json
from kernel.db import Conn
from kernel.errors import NotFound
from kernel.ids import PersonId, is_id
from orchestration.service import people
from orchestration.service.console.guard import AtDesk, Desk
from orchestration.service.console.pages import View, page, see


@page("/people/{person}", "person.html", Scope.OFFICER, api="/v1/people/{person}/graph")
async def person(desk: AtDesk, person: str) -> View | Response:
    """Records, contact points, and why they are one person."""
    async with desk.house.kernel.db.reading() as conn:
        her = await _live(desk, conn, person)
        if her != person:
            return see(desk.request.url.path.replace(person, her))
        await desk.note({"person": her}, "records")
        graph = await people.graph(desk.house, conn, her)
        held = await people.records(desk.house, conn, her)
        decided = await desk.house.identity.judging.about(conn, her)
    names = await desk.names() if decided else {}
    judgements: list[Json] = [
        {"id": one.id, "act": one.act.value, "verdict": one.verdict.value, "reason": one.reason.value, "at": one.at.isoformat(),
         "actor": one.actor, "actor_name": names.get(one.actor), "stands": one.revoked_by is None}
        for one in decided
    ]  # fmt: skip
    return {**held, "graph": graph, "judgements": judgements, "tab": "records", "correctable": _correctable(held)}


@page("/people/{person}/consents", "person_consents.html", Scope.OFFICER, api="/v1/people/{person}/consents")
async def consents(desk: AtDesk, person: str) -> View:
    """What she permits, and what she said."""
    async with desk.house.kernel.db.reading() as conn:
        her = await _live(desk, conn, person)
        await desk.note({"person": her}, "consents")
        return {**await people.consents(desk.house, conn, her), "tab": "consents"}


@page("/people/{person}/profile", "person_profile.html", Scope.OFFICER, api="/v1/people/{person}/profile")
async def profile(desk: AtDesk, person: str) -> View:
    """Her traits, each with the purposes that may use it now."""
    async with desk.house.kernel.db.reading() as conn:
        her = await _live(desk, conn, person)
        await desk.note({"person": her}, "profile")
        return {**await people.profile(desk.house, conn, her), "tab": "profile"}


@page("/people/{person}/timeline", "person_timeline.html", Scope.OFFICER)
async def timeline(
    desk: AtDesk,
    person: str,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MOST)] = paging.DEFAULT,
) -> View:
    """What happened, newest first."""
    async with desk.house.kernel.db.reading() as conn:
        her = await _live(desk, conn, person)
        found = await people.timeline(desk.house, conn, her, cursor=cursor, limit=limit)
        await desk.note({"person": her}, "timeline")
    return {"person": her, "lines": list(found.items), "next": found.next, "tab": "timeline"}


@page("/people/{person}/looks", "person_looks.html", Scope.OFFICER)
async def looks(desk: AtDesk, person: str) -> View:
    """Who of staff looked at the person, by the log itself."""
    async with desk.house.kernel.db.reading() as conn:
        her = await _live(desk, conn, person)
        names = await desk.house.identity.former(conn, [her])
    await desk.note({"person": her}, "looks")
    read = [
        one
        for one in await desk.house.audit.lineage([("person", name) for name in names[her]])
        if one.tag == Tag.READ_PERSONAL
    ]
    read.sort(key=lambda one: (one.at, one.entry_id), reverse=True)
    staff = await desk.names()
    lines: list[Json] = []
    for one in read[: paging.DEFAULT]:
        said = {
            name: value if isinstance(value, str) else None
            for name, value in (await desk.house.audit.open_entry(one.entry_id)).items()
        }
        actor = said.get("actor") or ""
        lines.append({
            "entry_id": one.entry_id, "at": one.at.isoformat(), "actor": actor, "name": staff.get(actor),
            "what": said.get("what") or "", "where": said.get("where"),
        })  # fmt: skip
    return {"person": her, "looks": lines, "more": max(0, len(read) - len(lines)), "tab": "looks"}


async def _live(desk: Desk, conn: Conn, person: str) -> PersonId:
    """The live person behind an id; a contact point in an address is refused: it would stand in logs."""
    if not is_id(person, "per"):
        raise NotFound("expected a person's id (per_…), got something else", remedy="Look for people by the form Find.")
    return await desk.house.identity.lookup(conn, person)


def _correctable(held: View) -> list[Json]:
    """What a correction may be about: contacts by kind and value, details of the rows that count by name; each once."""
    found: dict[str, Json] = {}
    for one in cast("list[dict[str, Json]]", held["identifiers"]):
        key = f"{one['kind']}:{one['value']}"
        found[key] = {"key": key, "kind": one["kind"], "value": one["value"], "contact": True}
    for record in cast("list[dict[str, Json]]", held["records"]):
        for name, value in cast("dict[str, Json]", record["traits"]).items() if record["current"] else ():
            found.setdefault(name, {"key": name, "kind": name, "value": value, "contact": False})
    return list(found.values())
