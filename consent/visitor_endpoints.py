"""Routes of a visitor's own word, and of the notices it rests on.

Enters: HTTP with a browser key from its own origin, or from staff. Leaves: JSON. The services are found at ``request.app.state.house``.
"""

from typing import Annotated, Self, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from audit.access import cors
from audit.access.endpoints import needs
from audit.access.principal import Principal
from audit.service import Audit
from consent.service import Consent
from consent.signals import gpc
from consent.signals.bits import LONGEST
from consent.signals.hearing import Hearing, Strings
from consent.visitors import Visitors, announce
from identity.service import Identity
from identity.visitor import visitor
from kernel.kernel import Kernel

router = APIRouter(tags=["consent"])


class Choices(BaseModel):
    """A visitor's yes (true) or no (false) to purposes of the web."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anonymousId: str = Field(description="The visitor's anonymous id; the choices are put on it.")  # noqa: N815 - Segment's name
    choices: dict[str, bool] = Field(default_factory=dict, max_length=50)
    notice: str | None = Field(default=None, description="Version of the published notice she saw; needed for a yes.")
    tcf: str | None = Field(
        default=None, max_length=LONGEST, description="IAB TC string of the page's consent manager."
    )
    gpp: str | None = Field(
        default=None, max_length=LONGEST, description="IAB GPP string of the page's consent manager."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.choices and self.tcf is None and self.gpp is None:
            raise ValueError("expected choices, tcf or gpp, got none of them")
        return self


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
    kernel, consent, identity = (
        cast("Kernel", house.kernel),
        cast("Consent", house.consent),
        cast("Identity", house.identity),
    )
    hearing = Hearing(consent, cast("Audit", house.audit), kernel.clock)
    who, strings = visitor(body.anonymousId), Strings(body.tcf, body.gpp)
    async with kernel.db.transaction() as conn:
        heard: dict[str, str] = {}
        if strings.any:  # before anything is asked about her
            ids = await identity.register_identifiers(conn, [who])
            heard = await hearing.permissions(conn, ids, await hearing.hear(conn, ids, strings, actor=principal.actor))
        answers = await Visitors(consent, identity, kernel.clock).say(
            conn, who, body.choices, notice=body.notice, gpc=gpc.sent(request.headers.items()), actor=principal.actor
        )
    return JSONResponse({"permissions": {**heard, **answers}}, headers=cors.answer(principal.origin))


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
