"""Routes of a visitor's own word, and of the notices it rests on.

Enters: HTTP with a browser key from its own origin, or from staff. Leaves: JSON. The services are found at ``request.app.state.house``.
"""

from typing import Annotated, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from audit.access import cors
from audit.access.endpoints import needs
from audit.access.principal import Principal
from audit.service import Audit
from consent.service import Consent
from consent.signals import gpc
from consent.visitors import Visitors, announce
from identity.service import Identity
from identity.visitor import visitor
from kernel.kernel import Kernel

router = APIRouter(tags=["consent"])


class Choices(BaseModel):
    """A visitor's yes (true) or no (false) to purposes of the web."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anonymousId: str = Field(description="The visitor's anonymous id; the choices are put on it.")  # noqa: N815 - Segment's name
    choices: dict[str, bool] = Field(min_length=1, max_length=50)
    notice: str | None = Field(default=None, description="Version of the published notice she saw; needed for a yes.")


class NoticeIn(BaseModel):
    """The words that people are shown when they are asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(min_length=1, max_length=100)]
    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    language: str = "en"
    lists: Annotated[tuple[str, ...], Field(min_length=1, description="Purposes that the words name.")]


@router.post("/v1/visitor/consents")
async def say(request: Request, body: Choices, principal: Annotated[Principal, needs("browser")]) -> Response:
    """Record what a visitor chose on a page; it holds once this answers."""
    house = request.app.state.house
    kernel, consent = cast("Kernel", house.kernel), cast("Consent", house.consent)
    desk = Visitors(consent, cast("Identity", house.identity), kernel.clock)
    async with kernel.db.transaction() as conn:
        answers = await desk.say(
            conn, visitor(body.anonymousId), body.choices, notice=body.notice,
            gpc=gpc.sent(request.headers.items()), actor=principal.actor,
        )  # fmt: skip
    return JSONResponse({"permissions": answers}, headers=cors.answer(principal.origin))


@router.options("/v1/visitor/consents", include_in_schema=False)
async def preflight() -> Response:
    """A browser asks whether it may send from another origin."""
    return Response(status_code=204, headers=cors.PREFLIGHT)


@router.post("/v1/notices", status_code=201)
async def publish(
    request: Request, body: NoticeIn, principal: Annotated[Principal, needs("officer")]
) -> dict[str, str]:
    """Publish the words of a notice, so that a yes on a page can name them; the same words again change nothing."""
    house = request.app.state.house
    kernel, consent = cast("Kernel", house.kernel), cast("Consent", house.consent)
    async with kernel.db.transaction() as conn:
        made = await announce(
            conn, consent, cast("Audit", house.audit), body.text, version=body.version, language=body.language,
            lists=body.lists, actor=principal.actor,
        )  # fmt: skip
    return {"version": made.version, "text_hash": made.text_hash}
