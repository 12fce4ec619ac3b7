"""Subject requests, for officers: list, show, check, preview, open, approve, run, refuse. An erasure needs two pairs of eyes; the room itself insists.

Enters: forms. Leaves: where the request stands; for a request to know the link to the sealed package and its code, shown once.
"""

from typing import Annotated, Final, cast

from fastapi import Query
from fastapi.responses import Response
from starlette.datastructures import FormData

from audit.access.principal import Scope
from consent.lifecycle import Denial, Request, Right, State
from consent.requests_endpoints import shown
from consent.rights import checks, plans
from consent.rights.checks import Method
from consent.rights.clockwork import dates
from consent.rights.correcting import Correction, parse_correction
from consent.rights.processors import troubled
from consent.rights.processors_store import Letter
from kernel import paging
from kernel.canonical import Json
from kernel.ids import is_id
from orchestration.service.console.errors import FormIncomplete
from orchestration.service.console.guard import AtDesk
from orchestration.service.console.pages import View, act, answer, page, see

_LONGEST: Final = 1000  # letters of a row of a correction
_METHODS: Final = tuple(one.value for one in Method if one not in {Method.SECOND_OFFICER, Method.AGENT})


@page("/requests", "requests.html", Scope.OFFICER, api="/v1/subject-requests")
async def requests(
    desk: AtDesk,
    state: str = "",
    person: str = "",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MOST)] = paging.DEFAULT,
) -> View:
    """In the order of opening."""
    wanted = State(state) if state in set(State) else None
    async with desk.house.kernel.db.reading() as conn:
        her = await desk.house.identity.lookup(conn, person) if is_id(person, "per") else None
    after = paging.read(cursor, 1)[0] if cursor else ""
    found = await desk.house.rights.list_requests(state=wanted, person=her, after=after, limit=limit + 1)
    cut = paging.cut(found, limit, lambda one: (one.id,))
    return {
        "requests": [_line(desk, one) for one in cut.items],
        "next": cut.next,
        "state": wanted.value if wanted else "",
        "person": her or "",
        "states": [one.value for one in State],
        "rights": [one.value for one in Right if one is not Right.RECTIFICATION],
    }


@page("/requests/{request_id}", "request.html", Scope.OFFICER, api="/v1/subject-requests/{request_id}")
async def request(desk: AtDesk, request_id: str) -> View:
    """Where it stands, and what it would touch."""
    found = await desk.house.rights.show(request_id)
    names = await desk.names()
    return {
        **_line(desk, found),
        "opened_by_name": names.get(found.opened_by),
        "approved_by_name": names.get(found.approved_by or ""),
        "may_approve": found.state in {State.OPEN, State.IN_PROGRESS}
        and found.right is Right.ERASURE
        and found.approved_by is None
        and desk.principal.actor != found.opened_by,
        "may_run": found.state in {State.OPEN, State.IN_PROGRESS}
        and checks.passed(found)
        and (found.right is not Right.ERASURE or found.approved_by is not None),
        "may_deny": found.state in {State.OPEN, State.IN_PROGRESS},
        "four_eyes": found.state is State.OPEN
        and found.right is Right.ERASURE
        and desk.principal.actor == found.opened_by,
        "denials": [one.value for one in Denial],
        "open": found.state in {State.OPEN, State.IN_PROGRESS},
        "checked": checks.passed(found),
        "methods": list(_METHODS),
        "letters": [_letter(one) for one in await desk.house.rights.processors.letters(request_id)],
        "repeats": [dict(one) for one in await desk.house.rights.repeats(request_id)],
        "may_extend": found.state in {State.OPEN, State.IN_PROGRESS}
        and found.extended_at is None
        and ({"extended_due", "max_due"} & dates(found).keys()) != set(),
    }


@page("/requests/{request_id}/preview", "request_preview.html", Scope.OFFICER)
async def preview(desk: AtDesk, request_id: str) -> View:
    """What it would touch, room by room; changes nothing."""
    found = await desk.house.rights.preview(request_id)
    await desk.note({"request": found.request.id, "person": found.request.person}, "preview")
    holdings: Json = {room: dict(counts) for room, counts in found.holdings.items()}
    lines: Json = [
        {"room": one.room, "kind": one.kind, "count": one.count, "fate": one.fate.value, "because": one.because,
         "ground": one.ground, "law": one.law, "until": one.until.isoformat() if one.until else None}
        for one in found.lines
    ]  # fmt: skip
    totals: Json = dict(plans.totals(found.lines))
    return {
        **_line(desk, found.request), "holdings": holdings, "keys": found.keys, "lines": lines, "totals": totals,
        "holds": len(found.holds),
    }  # fmt: skip


@act("/requests", Scope.OFFICER)
async def opened(desk: AtDesk) -> Response:
    """Open one for a person whose page sent the form."""
    person = await desk.field("person")
    if not is_id(person, "per"):
        raise FormIncomplete("expected a person's id (per_…), got something else")
    right = await desk.field("right")
    if right not in set(Right):
        raise FormIncomplete("expected one of the rights of the form, got another")
    form = await desk.form()
    made = await desk.house.rights.open(
        right, person, actor=desk.principal.actor, suppress=form.get("suppress") == "1",
        correction=_correction(form) if right == Right.RECTIFICATION else None,
    )  # fmt: skip
    return see(f"/console/requests/{made.id}")


@act("/requests/{request_id}/approve", Scope.OFFICER)
async def approve(desk: AtDesk, request_id: str) -> Response:
    """The second pair of eyes."""
    made = await desk.house.rights.approve(request_id, actor=desk.principal.actor)
    return see(f"/console/requests/{made.id}")


@act("/requests/{request_id}/deny", Scope.OFFICER)
async def deny(desk: AtDesk, request_id: str) -> Response:
    """Refuse, for one of the protocol's reasons."""
    reason = await desk.field("reason")
    if reason not in set(Denial):
        raise FormIncomplete("expected one of the reasons of the form, got another")
    made = await desk.house.rights.deny(request_id, actor=desk.principal.actor, reason=Denial(reason))
    return see(f"/console/requests/{made.id}")


@act("/requests/{request_id}/run", Scope.OFFICER)
async def run(desk: AtDesk, request_id: str) -> Response:
    """Do what was asked. Access and portability answer with their package."""
    if await desk.field("sure") != "yes":
        raise FormIncomplete("expected the box ticked that says you are sure, got none")
    done = await desk.house.rights.run(request_id, actor=desk.principal.actor)
    if done.handed is None:
        return see(f"/console/requests/{done.request.id}")
    return answer(desk, "request_handed.html", {
        **_line(desk, done.request),
        "link": done.handed.link,
        "code": done.handed.code,
        "expires_at": done.handed.expires_at.isoformat(),
        "unreachable": [one.room for one in done.package.unreachable] if done.package else [],
        "left_out": len(done.package.possible_not_verified) if done.package else 0,
    })  # fmt: skip


@act("/requests/{request_id}/check", Scope.OFFICER)
async def check(desk: AtDesk, request_id: str) -> Response:
    """What came of looking at who asks."""
    method = await desk.field("method")
    if method not in _METHODS:
        raise FormIncomplete("expected one of the ways of the form, got another")
    form = await desk.form()
    points = str(form.get("points", "")).split()
    await desk.house.rights.check(
        request_id, Method(method), actor=desk.principal.actor, passed=form.get("passed") == "yes", points=points
    )
    return see(f"/console/requests/{request_id}")


@act("/requests/{request_id}/confirm", Scope.OFFICER)
async def confirm(desk: AtDesk, request_id: str) -> Response:
    """She was told that it came in."""
    await desk.house.rights.clock.confirm(request_id, actor=desk.principal.actor)
    return see(f"/console/requests/{request_id}")


@act("/requests/{request_id}/extend", Scope.OFFICER)
async def extend(desk: AtDesk, request_id: str) -> Response:
    """More time, once, with the reason that she was told."""
    await desk.house.rights.clock.extend(request_id, actor=desk.principal.actor, reason=await desk.field("reason"))
    return see(f"/console/requests/{request_id}")


@act("/requests/{request_id}/revoke", Scope.OFFICER)
async def revoke(desk: AtDesk, request_id: str) -> Response:
    """She took it back."""
    await desk.house.rights.revoke(request_id, actor=desk.principal.actor)
    return see(f"/console/requests/{request_id}")


@page("/processors", "processors.html", Scope.OFFICER)
async def partners(desk: AtDesk) -> View:
    """Who gets data from us, who may ask on behalf of people, and letters that somebody must look at."""
    rights = desk.house.rights
    letters = [_letter(one) for one in await rights.processors.letters()]
    return {
        "processors": [
            {"name": one.name, "receives": list(one.receives), "purposes": list(one.purposes), "contract": one.contract,
             "url": one.url, "added_at": one.added_at.isoformat()}
            for one in await rights.processors.listed()
        ],
        "agents": [
            {"id": one.id, "name": one.name, "added_at": one.added_at.isoformat()} for one in await rights.agents.listed()
        ],
        "letters": [one for one in letters if one["trouble"]][:100],
        "on_their_way": sum(1 for one in letters if one["state"] not in {"proven", "taken"}),
    }  # fmt: skip


def _correction(form: FormData) -> Correction:
    """What is wrong and what is right, row by row; a row that is left empty says nothing."""
    rows = list(zip(form.getlist("wrong"), form.getlist("correct"), strict=False))
    said = [(str(wrong).strip(), str(right).strip()) for wrong, right in rows if str(wrong).strip()]
    if not said or any(not right or len(wrong) + len(right) > _LONGEST for wrong, right in said):
        raise FormIncomplete("expected for each detail that is wrong what is right, got none")
    return parse_correction(said)


def _letter(one: Letter) -> dict[str, Json]:
    return {
        "id": one.id, "processor": one.processor, "request": one.request, "act": one.act, "state": one.state, "fault": one.fault,
        "attempts": one.attempts, "made_at": one.made_at.isoformat(), "trouble": troubled(one),
        "acked_at": one.acked_at.isoformat() if one.acked_at else None,
        "probed_at": one.probed_at.isoformat() if one.probed_at else None,
    }  # fmt: skip


def _line(desk: AtDesk, one: Request) -> View:
    left = (one.due_on - desk.house.kernel.clock.now().date()).days
    return {**cast("View", shown(one)), "days_left": left if one.closed_at is None else None}
