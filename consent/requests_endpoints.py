"""Routes of subject requests, for officers: open, list, show, check, confirm, extend, run. An erasure is approved at the console or the command line.

Enters: JSON with a right and a person; ``Idempotency-Key`` is required, because a retry must not open a second clock. Leaves:
the request with its due date. Problems are RFC 9457.
"""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from audit.access.endpoints import needs
from audit.access.principal import Principal
from consent.lifecycle import Manner, State
from consent.lifecycle import Request as SubjectRequest
from consent.requests import Rights
from consent.rights import checks
from consent.rights.checks import Method
from consent.rights.clockwork import dates
from consent.rights.correcting import Correction
from kernel.errors import InvalidInput

router = APIRouter(tags=["subject requests"])


class RequestIn(BaseModel):
    """What is asked, for whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    right: str = Field(
        description="access, access_categories, portability, rectification, erasure (deletion), restriction, objection, withdrawal, opt_out (sale:opt_out), opt_in, limit_sensitive, admt_opt_out, admt_access"
    )
    person: str = Field(description="Person id (per_…) or contact (email:ada@example.org).")
    regime: str | None = Field(default=None, description="gdpr, uk, us-ca; absent: the one of the settings.")
    suppress: bool = Field(default=False, description="Erasure: keep the contacts silent for ever, as keyed hashes.")
    manner: Manner = Field(default=Manner.API, description="How the person made it.")
    purpose: str | None = Field(default=None, description="Withdrawal: of which purpose; absent: of all.")
    channel: str | None = Field(default=None, description="Withdrawal: on which channel; absent: on all.")
    correct: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Rectification: the right value of each wrong detail (first_name: Ada)."
    )
    correct_contacts: dict[str, str] = Field(
        default_factory=dict, description="Rectification: each wrong contact (kind:value) and the right one."
    )


class CheckIn(BaseModel):
    """How somebody showed who they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = Field(description="What was looked at.")
    passed: bool = Field(default=True, description="Whether it was them. Points are compared by us.")
    points: tuple[str, ...] = Field(
        default=(), max_length=10, description="Method points: kind:value of what they named."
    )


class ExtensionIn(BaseModel):
    """Why more time is needed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=10, max_length=1000, description="As the person was told.")


@router.post("/v1/subject-requests", status_code=201)
async def open_request(
    request: Request,
    body: RequestIn,
    principal: Annotated[Principal, needs("officer")],
    idempotency_key: Annotated[str, Header(min_length=1, max_length=255)],
) -> dict[str, Any]:
    """Open a request; the same key with the same content gives the same request."""
    key = idempotency_key.strip().strip('"')
    if not key:
        raise InvalidInput("expected an Idempotency-Key with content, got an empty one")
    opened = await _rights(request).open(
        body.right,
        body.person,
        actor=principal.actor,
        regime=body.regime,
        suppress=body.suppress,
        idempotency_key=f"{principal.actor}:{key}",
        manner=body.manner,
        about={k: v for k, v in (("purpose", body.purpose), ("channel", body.channel)) if v is not None},
        correction=Correction(body.correct, body.correct_contacts) if body.correct or body.correct_contacts else None,
    )
    return shown(opened)


@router.get("/v1/subject-requests", dependencies=[needs("officer")])
async def list_requests(
    request: Request,
    state: State | None = None,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """Requests in order of opening; ``next`` is the cursor of the next page."""
    found = await _rights(request).list_requests(state=state, after=after, limit=limit)
    return {"data": [shown(one) for one in found], "next": found[-1].id if len(found) == limit else None}


@router.get("/v1/subject-requests/{request_id}", dependencies=[needs("officer")])
async def show_request(
    request: Request,
    request_id: str,
) -> dict[str, Any]:
    """One request."""
    return shown(await _rights(request).show(request_id))


@router.post("/v1/subject-requests/{request_id}/check")
async def check_request(
    request: Request, request_id: str, body: CheckIn, principal: Annotated[Principal, needs("officer")]
) -> dict[str, Any]:
    """Note what came of looking at who asks."""
    rights, made = _rights(request), body
    return shown(
        await rights.check(request_id, made.method, actor=principal.actor, passed=made.passed, points=made.points)
    )


@router.post("/v1/subject-requests/{request_id}/confirm")
async def confirm_request(
    request: Request, request_id: str, principal: Annotated[Principal, needs("officer")]
) -> dict[str, Any]:
    """Note that the person was told that it came in."""
    return shown(await _rights(request).clock.confirm(request_id, actor=principal.actor))


@router.post("/v1/subject-requests/{request_id}/extend")
async def extend_request(
    request: Request, request_id: str, body: ExtensionIn, principal: Annotated[Principal, needs("officer")]
) -> dict[str, Any]:
    """Move the due date, once, before it."""
    return shown(await _rights(request).clock.extend(request_id, actor=principal.actor, reason=body.reason))


@router.post("/v1/subject-requests/{request_id}/run")
async def run_request(
    request: Request, request_id: str, principal: Annotated[Principal, needs("officer")]
) -> dict[str, Any]:
    """Do what was asked; a request to know answers with a link and its code, shown this once."""
    done = await _rights(request).run(request_id, actor=principal.actor)
    handed = done.handed
    package = None
    if handed is not None:
        package = {"link": handed.link, "code": handed.code, "expires_at": handed.expires_at.isoformat()}
    return {"request": shown(done.request), "counts": dict(done.counts), "package": package}


def shown(request: SubjectRequest) -> dict[str, Any]:
    """A request as JSON."""
    return {
        "id": request.id,
        "right": request.right.value,
        "person": request.person,
        "regime": request.regime,
        "state": request.state.value,
        "reason": request.reason,
        "opened_by": request.opened_by,
        "approved_by": request.approved_by,
        "suppress": request.suppress,
        "received_at": request.received_at.isoformat(),
        "due_on": request.due_on.isoformat(),
        "approved_at": request.approved_at.isoformat() if request.approved_at else None,
        "closed_at": request.closed_at.isoformat() if request.closed_at else None,
        "counts": dict(request.counts) if request.counts is not None else None,
        "manner": request.manner,
        "agent": request.agent,
        "about": dict(request.about),
        "check_needed": checks.needed(request.right).name.lower(),
        "check": None
        if request.verdict is None
        else {"method": request.verdict.method, "passed": request.verdict.passed, "at": request.verdict.at.isoformat()},
        "dates": {name: day.isoformat() for name, day in dates(request).items()},
        "confirmed_at": request.confirmed_at.isoformat() if request.confirmed_at else None,
        "extended_at": request.extended_at.isoformat() if request.extended_at else None,
        "extension_reason": request.extension_reason,
        "alarm": request.alarmed,
        "response": request.response,
    }


def _rights(request: Request) -> Rights:
    return cast("Rights", request.app.state.house.rights)
