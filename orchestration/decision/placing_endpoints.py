"""Routes of what a page shows: the serving layer behind the web snippet.

Enters: HTTP with a browser key from its own origin, the visitor's anonymous id in the header `Candor-Visitor`. Leaves: which variant each
placement shows and where its public words lie, or that the page's own words stay, with the reason; nothing of the person. The services are
found at `request.app.state.house`: `placing`, `channels`.
"""

from typing import Annotated, cast

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from audit.access import cors
from audit.access.endpoints import needs
from audit.access.principal import Principal
from channels.service import Channels
from channels.web.visitor import Visitor
from consent.signals import gpc
from identity.visitor import visitor as named
from kernel import metrics
from kernel.canonical import Json
from orchestration.decision.placing import Placed, Placing

router = APIRouter(tags=["web"])
Given = Annotated[
    str | None, Header(alias=cors.VISITOR, description="The visitor's anonymousId; kept out of addresses and logs.")
]
GivenInQuery = Annotated[
    str | None, Query(alias="anonymousId", description="The same, for a client that cannot send the header.")
]


@router.get("/v1/placements/{placement}")
async def placement(
    request: Request,
    placement: str,
    visitor: Given = None,
    anonymous: GivenInQuery = None,
    principal: Principal = needs("browser"),
) -> Response:
    """What one placement shows to this visitor; the same until it expires or her consent moves."""
    who = _visitor(request, principal, visitor or anonymous)
    (placed,) = await _placing(request).place(who, [placement])
    with metrics.stage("render"):
        return JSONResponse(_told(request, placed), headers=cors.answer(principal.origin))


@router.get("/v1/placements")
async def placements(
    request: Request,
    names: Annotated[list[str], Query(description="Placements of one page, repeated or separated by commas.")],
    visitor: Given = None,
    anonymous: GivenInQuery = None,
    principal: Principal = needs("browser"),
) -> Response:
    """What several placements of one page show; no variant twice."""
    who = _visitor(request, principal, visitor or anonymous)
    wanted = [name.strip() for part in names for name in part.split(",") if name.strip()]
    placed = await _placing(request).place(who, wanted)
    with metrics.stage("render"):
        told: list[Json] = [_told(request, one) for one in placed]
        return JSONResponse({"placements": told}, headers=cors.answer(principal.origin))


@router.options("/v1/placements", include_in_schema=False)
@router.options("/v1/placements/{placement}", include_in_schema=False)
async def preflight() -> Response:
    """A browser asks whether it may ask from another origin."""
    return Response(status_code=204, headers=cors.PREFLIGHT)


def _visitor(request: Request, principal: Principal, given: str | None) -> Visitor:
    return Visitor(
        identifier=named(given),
        source=principal.source,
        actor=principal.actor,
        gpc=gpc.sent(request.headers.items()),
        user_agent=request.headers.get("user-agent"),
    )


def _told(request: Request, placed: Placed) -> dict[str, Json]:
    house = request.app.state.house
    base = house.kernel.settings.base_url.rstrip("/")
    stands = placed.standing
    told: dict[str, Json] = {"placement": placed.placement, "sticky": placed.sticky}
    if stands is not None:
        why = cast("Channels", house.channels).links.why(stands.decision_id)
        told |= {
            "decision_id": stands.decision_id,
            "choice": stands.choice,
            "variant": stands.variant,
            "propensity": stands.propensity,
            "why_url": why,
            "preferences_url": f"{why}/preferences",
            "expires_at": stands.expires_at.isoformat(),
        }
    if placed.withheld is not None:
        return told | {"withheld": placed.withheld, "default": True}
    assert stands is not None  # a variant is shown
    return told | {"default": False, "content_url": f"{base}/content/{placed.placement}/variant-{stands.variant}.json"}


def _placing(request: Request) -> Placing:
    return cast("Placing", request.app.state.house.placing)
