"""Routes of subject requests, for officers: open, list, show. Approving and running is done at the command line.

Enters: JSON with a right and a person; ``Idempotency-Key`` is required, because a retry must not open a second clock. Leaves:
the request with its due date. Problems are RFC 9457.
"""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from audit.access.endpoints import needs
from audit.access.principal import Principal
from consent.lifecycle import Request as SubjectRequest
from consent.lifecycle import State
from consent.requests import Rights
from kernel.errors import InvalidInput

router = APIRouter(tags=["subject requests"])


class RequestIn(BaseModel):
    """What is asked, for whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    right: str = Field(
        description="access, portability, erasure (deletion), restriction, objection, opt_out (sale:opt_out)"
    )
    person: str = Field(description="Person id (per_…) or contact (email:ada@example.org).")
    regime: str | None = Field(default=None, description="gdpr, uk, us-ca; absent: the one of the settings.")
    suppress: bool = Field(default=False, description="Erasure: keep the contacts silent for ever, as keyed hashes.")


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
    }


def _rights(request: Request) -> Rights:
    return cast("Rights", request.app.state.house.rights)
