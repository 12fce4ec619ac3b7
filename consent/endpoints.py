"""Routes of consent: token pages for people, acts for officers, the privacy-signal resource.

Enters: HTTP. Leaves: pages and JSON. Follows RFC 8058 (POST with the one body acts, GET never does), conventions 6.7 (one answer
for good and bad tokens, 503 when we fail so that the mail client tries again) and w3c/gpc. The room is found at
``request.app.state.house``: ``consent``, ``rights``, ``identity``, ``kernel``.
"""

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from audit.access import asking, asking_store
from audit.access.endpoints import needs
from audit.access.principal import Principal
from consent import (
    confirming_endpoints,
    page_rights,
    receipts_endpoints,
    requests_endpoints,
    rules_endpoints,
    visitor_endpoints,
)
from consent.acts import Confirmation, Status
from consent.errors import ActIncomplete, UnknownPurpose, UnknownSubject
from consent.gate import table
from consent.offered import AT_ONCE
from consent.page import Page
from consent.pages_endpoints import House, form_of, same_origin
from consent.rendering import STYLESHEET
from consent.rights import agents_endpoints, package_endpoints
from consent.signals import gpc
from consent.staff import Desk, Word
from consent.wording import Words
from kernel.errors import Conflict, Unavailable
from kernel.ids import ActId, IdentifierId, PersonId
from kernel.log import get_logger
from kernel.tokens import Token

UNSUBSCRIBE: Final = "unsubscribe"  # token scopes, as channels issues them
PREFERENCES: Final = "preferences"
_ONE_CLICK: Final = ("List-Unsubscribe", "One-Click")
_log = get_logger("consent.endpoints")
router = APIRouter(tags=["consent"])
router.include_router(requests_endpoints.router)
router.include_router(receipts_endpoints.router)
router.include_router(confirming_endpoints.router)
router.include_router(visitor_endpoints.router)
router.include_router(package_endpoints.router)
router.include_router(rules_endpoints.router)
router.include_router(agents_endpoints.router)


# RFC 8058


@router.get("/u/{token}", response_class=HTMLResponse, include_in_schema=True)
async def confirm_unsubscribe(request: Request, token: str) -> HTMLResponse:  # noqa: ARG001 - the same page for any token
    """A page with one button; changes nothing, because scanners follow links."""
    house = House(request)
    return house.html(house.pages().render("unsubscribe.html"))


@router.post("/u/{token}", response_class=HTMLResponse)
async def unsubscribe(request: Request, token: str) -> Response:
    """One click: ends the token's purpose and channel for its identifier. The answer never tells whether it did."""
    house = House(request)
    form = await form_of(request)
    if form is None or form.get(_ONE_CLICK[0]) != _ONE_CLICK[1]:
        return house.html(house.pages().render("unsubscribe.html"), status=400)
    said = house.kernel.tokens.read(token, UNSUBSCRIBE)
    try:
        if said is not None:
            await _withdraw(house, said)
    except (Unavailable, Conflict) as fault:
        _log.warning("one_click_failed", code=fault.code)
        page = house.message("not_done", 503)
        page.headers["Retry-After"] = "30"
        return page
    return house.html(house.pages().render("unsubscribed.html", elsewhere=False))


async def _withdraw(house: House, said: Token) -> None:
    purpose, channel = said.claims.get("purpose"), said.claims.get("channel")
    if not isinstance(purpose, str) or not (channel is None or isinstance(channel, str)):
        return
    try:
        async with house.kernel.db.transaction() as conn:
            await house.consent.withdraw(
                conn, IdentifierId(said.subject), purpose, channel, mechanism="one_click", actor="person",
                raw=b"List-Unsubscribe=One-Click",
            )  # fmt: skip
    except (UnknownSubject, UnknownPurpose, ActIncomplete) as fault:
        # Erased, or a purpose that is no longer declared: nothing can be sent under it, which is what was asked.
        _log.info("one_click_without_effect", code=fault.code)


# preferences


@router.get("/preferences/{token}", response_class=HTMLResponse)
async def show_preferences(request: Request, token: str) -> HTMLResponse:
    """What a person has agreed to, channel by channel, and everything she told us."""
    house = House(request)
    said = house.kernel.tokens.read(token, PREFERENCES)
    if said is None:
        return house.message("gone", 404)
    identifier = IdentifierId(said.subject)
    await house.honour_signal(identifier)
    async with house.kernel.db.reading() as conn:
        pages = await house.pages_for(conn, identifier)
        page = await house.preferences.page(conn, identifier, pages.say)
    if page is None:
        return house.message("gone", 404)
    if _passed_on(said):
        page = page.passed_on()
    word = _saved(request.query_params.get("saved", ""), request.query_params.get("by", ""), pages.say, page)
    receipt = f"{request.url.path}/receipt?lang={pages.say.language}"
    return house.html(pages.render("preferences.html", page=page, saved=word, receipt=receipt))


@router.post("/preferences/{token}", response_class=HTMLResponse)
async def save_preferences(request: Request, token: str) -> Response:
    """Save what was answered, or open a request. The token is the right to do so; a form of another site is refused."""
    house = House(request)
    if not same_origin(request, house.kernel.settings.base_url):
        return house.message("not_saved", 403)
    said = house.kernel.tokens.read(token, PREFERENCES)
    form = await form_of(request)
    if said is None or form is None:
        return house.message("gone", 404)
    identifier = IdentifierId(said.subject)
    await house.honour_signal(identifier)
    right, passed_on = form.get("request"), _passed_on(said)
    if isinstance(right, str) and right:
        if passed_on and right not in AT_ONCE:
            return house.back()
        wrong, better = form.get("detail"), form.get("better")
        told = (wrong, better) if isinstance(wrong, str) and isinstance(better, str) else None
        return house.back(**await page_rights.ask(house, identifier, right, told))
    if form.get("again") and not passed_on:
        async with house.kernel.db.transaction() as conn:
            sent = await house.consent.confirmations.again(conn, identifier)
        return house.back(saved="m" if sent else "l")
    everything, sent_by = form.get("all"), said.claims.get("sent")
    answers = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    if passed_on:  # whoever holds it turns things off, and nothing on
        answers = {name: value for name, value in answers.items() if value == Status.DENIED}
        everything = everything if everything == Status.DENIED else None
    async with house.kernel.db.transaction() as conn:
        pages = await house.pages_for(conn, identifier)
        await house.preferences.save(
            conn,
            identifier,
            answers,
            pages.say,
            everything=everything if everything in set(Status) else None,
            sent_by=sent_by if isinstance(sent_by, str) else None,
        )
    return house.back(saved="1")


def _passed_on(said: Token) -> bool:
    """Whether the link was made on a page that may have been passed on, and was not sent to the contact."""
    return said.claims.get("history") is False


def _saved(what: str, by: str, say: Words, page: Page) -> str:
    """What the page says after a form was taken."""
    kept = "preferences.saved_waiting" if page.waiting else "preferences.saved_text"
    plain = {
        "1": kept, "m": "preferences.mailed", "l": "preferences.not_mailed", "d": "preferences.carried_out", "w": "preferences.say_what",
    }  # fmt: skip
    if what in plain:
        return say(plain[what])
    if what != "r":
        return ""
    try:
        day = datetime.combine(date.fromisoformat(by), time(), UTC)
    except ValueError:  # somebody changed the address
        return say("preferences.asked")
    return say("preferences.asked_by", day=say.day(day))


@router.get(gpc.RESOURCE)
async def gpc_support(request: Request) -> JSONResponse:
    """That the signal is honoured here."""
    return JSONResponse(gpc.support(House(request).consent.settings.gpc_last_update))


@router.get("/static/candor.css", include_in_schema=False)
async def stylesheet() -> Response:
    """The look of all public pages."""
    return Response(STYLESHEET, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


# officers


class DoubleOptIn(BaseModel):
    """That a yes was confirmed in another system, and what there is to show for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confirmed_at: AwareDatetime
    evidence: str = Field(
        min_length=1, max_length=10_000, description="Kept sealed with the act: a log line, a mail's id."
    )


class ActIn(BaseModel):
    """A consent act, as an officer or a form of yours records it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str = Field(
        description="Identifier id (idn_…), record id (rec_…), contact (email:ada@example.org) or person (per_…)."
    )
    purpose: str
    status: Status
    channel: str | None = None
    notice_text: str | None = Field(default=None, description="The words that were shown; needed for a grant.")
    notice_version: str | None = None
    notice_language: str = "en"
    notice_lists: tuple[str, ...] = Field(default=(), description="Purposes that the notice named.")
    jurisdiction: str | None = None
    mechanism: str = "officer"
    given_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    double_opt_in: DoubleOptIn | None = Field(
        default=None,
        description="That the yes was confirmed elsewhere; without it, a yes to a purpose of double opt-in is asked about by mail.",
    )
    raw: str = ""


@router.post("/v1/consents", status_code=201)
async def record_consent(
    request: Request,
    body: ActIn,
    principal: Annotated[Principal, needs("officer")],
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=asking.LONGEST)] = None,
) -> dict[str, list[ActId]]:
    """Record what somebody said; the ids of the acts. The same Idempotency-Key with the same body records nothing again and gives the same ids."""
    house = House(request)
    proof = body.double_opt_in
    word = Word(
        **body.model_dump(exclude={"subject", "raw", "double_opt_in"}),
        raw=body.raw.encode(),
        confirmation=Confirmation("told", proof.confirmed_at, evidence=proof.evidence.encode()) if proof else None,
    )
    async with house.kernel.db.transaction() as conn:
        asked = asking.asked(
            house.kernel.vault,
            idempotency_key,
            actor=principal.actor,
            what="consent",
            content=body.model_dump(mode="json"),
        )
        if asked is not None:
            await asking_store.lock(conn, asked)
            if (before := await asking_store.find(conn, asked)) is not None:
                return {"ids": [ActId(one) for one in before.split()]}
        desk = Desk(house.consent, house.identity, house.kernel.clock)
        ids = await desk.record(conn, body.subject, word, actor=principal.actor)
        if asked is not None:
            await asking_store.claim(conn, [(asked, " ".join(ids))], house.kernel.clock.now())
        return {"ids": ids}


@router.get("/v1/people/{person}/consents", dependencies=[needs("officer")])
async def consents_of(
    request: Request,
    person: str,
    at: Annotated[AwareDatetime | None, Query(description="The moment that is asked about; now when left out.")] = None,
    known_at: Annotated[
        AwareDatetime | None,
        Query(description="Only what was recorded by then, on the graph of people and under the rules of then."),
    ] = None,
) -> dict[str, Any]:
    """What a person may be served at a moment, as known at another, and everything she said by then."""
    house = House(request)
    async with house.kernel.db.reading() as conn:
        found: PersonId
        if known_at is None:
            found = await house.identity.lookup(conn, person)
        else:
            found = await house.identity.past.lookup(conn, person, known_at)
        state = await house.consent.state(conn, found, known_at=known_at)
        history = await house.consent.history(conn, found, known_at=known_at)
    moment: datetime = at or house.kernel.clock.now()
    return {
        "person": found,
        "at": moment.isoformat(),
        "known_at": known_at.isoformat() if known_at else None,
        "consent_version": state.version,
        "permissions": {
            key: {"answer": answer.answer.value, "reason": str(answer.reason), "act": answer.act}
            for key, answer in table(state, moment).items()
        },
        "history": [line.as_json() for line in history],
    }
