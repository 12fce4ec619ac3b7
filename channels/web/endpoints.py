"""Routes of the web channel: the page's script, and the stream of what changes on a visitor's page.

Enters: HTTP. Leaves: a script that is the same for everybody, or server-sent events for one visitor. The services are found at
``request.app.state.house``: ``channels``, ``access``.
"""

from typing import Annotated, Final, cast

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from audit.access import cors
from audit.access.endpoints import credential, needs
from audit.access.principal import Principal
from audit.access.service import Access
from channels.service import Channels
from channels.web.script import SNIPPET
from channels.web.visitor import Visitor
from identity.visitor import visitor as named
from kernel.errors import NotFound

router = APIRouter(tags=["web"])
_KEPT: Final = "public, max-age=300"  # the name without a digest follows a new version within minutes
_FOREVER: Final = "public, max-age=31536000, immutable"


@router.get("/candor.js", include_in_schema=False)
async def script(request: Request) -> Response:
    """The script for pages, in its newest version."""
    return _script(request, _KEPT)


@router.get("/candor.{digest}.js", include_in_schema=False)
async def script_of(request: Request, digest: str) -> Response:
    """One version of the script, for ever the same bytes."""
    if digest != SNIPPET.digest:
        raise NotFound(
            "expected the digest of the version that is served, got another",
            code="unknown_script",
            remedy="`candor channel test web` prints the address and SRI value of this version.",
        )
    return _script(request, _FOREVER)


@router.get("/v1/stream", response_class=StreamingResponse)
async def stream(
    request: Request,
    visitor: Annotated[str | None, Header(alias=cors.VISITOR, description="The visitor's anonymousId.")] = None,
    anonymous: Annotated[
        str | None, Query(alias="anonymousId", description="The same, for a client that cannot send the header.")
    ] = None,
    last: Annotated[
        str | None, Header(alias="Last-Event-ID", description="The last event that was seen; what followed is told.")
    ] = None,
    principal: Principal = needs("browser"),
) -> Response:
    """What changes for this visitor: `decision`, `permissions`, or `resync` when everything must be asked again."""
    house = request.app.state.house
    channels, access = cast("Channels", house.channels), cast("Access", house.access)
    secret = credential(request) or ""
    who = Visitor(identifier=named(visitor or anonymous), source=principal.source, actor=principal.actor)

    async def alive() -> bool:
        return await access.authenticate(secret) is not None

    events = channels.streams.open(who, last, request.client.host if request.client else "", alive)
    headers = {**cors.answer(principal.origin), "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


@router.options("/v1/stream", include_in_schema=False)
async def preflight() -> Response:
    """A browser asks whether it may listen from another origin."""
    return Response(status_code=204, headers=cors.PREFLIGHT)


def _script(request: Request, kept: str) -> Response:
    headers = {"Cache-Control": kept, "ETag": f'"{SNIPPET.digest}"', **cors.PUBLIC}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(SNIPPET.words, media_type="text/javascript", headers=headers)
