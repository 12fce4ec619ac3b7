"""Routes of explain: the why page behind a message's link, and the views of a decision for officers and auditors.

Enters: HTTP. Leaves: a page without login, script or cookie, or JSON. A why link is a bearer secret: the page names kinds of information only, never a
record, an identifier or a value (explain.E9, E11). Services are found at ``request.app.state.house``: ``explain``, ``kernel``, ``consent``, ``audit``.
"""

from typing import Annotated, Any, Final, Literal, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from audit.access.endpoints import needs
from audit.access.principal import Principal
from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent.pages_endpoints import form_of
from consent.service import Consent
from explain import rendering
from explain.explanation import Explanation
from explain.facts import REDACTED
from explain.feedback import LONGEST, Feedback, Said
from explain.service import WHY, Explain
from explain.wording import words
from kernel import metrics
from kernel.errors import CandorError, IntegrityError, InvalidInput, NotFound, Unavailable
from kernel.kernel import Kernel
from kernel.log import get_logger
from kernel.origins import same_origin
from kernel.tokens import Fault

HEADERS: Final = {
    "Cache-Control": "no-store",
    # same-origin, not no-referrer: with the latter browsers send "Origin: null" on our own forms, which we refuse.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
}

_UNDECLARED: Final = "en"  # what the facts say where the catalogue gives a message no language
_log = get_logger("explain.endpoints")
router = APIRouter(tags=["explain"])


class House:
    """The services these routes use, as the app holds them."""

    def __init__(self, request: Request) -> None:
        house = request.app.state.house
        self.kernel = cast("Kernel", house.kernel)
        self.audit = cast("Audit", house.audit)
        self.explain = cast("Explain", house.explain)
        self.sender = cast("Consent", house.consent).settings.controller
        self.language = rendering.language(request.headers.get("accept-language", ""))

    def speak(self, explanation: Explanation) -> str:
        """The language of the pages about a decision: the message's. The reader's, where there was no message, or none was declared: that is kept as English."""
        if explanation.content is not None:
            declared = words(explanation.content.facts.locale).language
            self.language = self.language if declared == _UNDECLARED else declared
        return self.language

    def page(self, title: str, text: str, status: int, *, back: str = "", **slots: str) -> HTMLResponse:
        """A page with one thing to say, in the reader's language."""
        page = rendering.message(title, text, locale=self.language, sender=self.sender, back=back, **slots)
        return HTMLResponse(page, status_code=status, headers=HEADERS)

    def excuse(self, what: str, status: int) -> HTMLResponse:
        """A page that says why there is none."""
        return self.page(f"{what}.title", f"{what}.text", status)


@router.get("/why/{token}", response_class=HTMLResponse)
async def why(request: Request, token: str) -> HTMLResponse:
    """Why somebody got a message, or none, in plain words."""
    house = House(request)
    said = house.kernel.tokens.inspect(token, WHY)
    if isinstance(said, Fault):
        return closed(house, said)
    try:
        explanation = await house.explain.hers(await house.explain.explain(said.subject))
        significant = not explanation.redacted and await house.explain.significant.use(said.subject) is not None
    except CandorError as fault:
        return excused(house, fault)
    path = f"/why/{token}"
    view = house.explain.person_view(explanation, house.speak(explanation), page=path)
    with metrics.stage("render"):
        page = rendering.why(view, path=path, sender=house.sender, significant=significant)
        return HTMLResponse(page, headers=HEADERS)


@router.get("/why/{token}/preferences", response_class=HTMLResponse)
async def preferences(request: Request, token: str) -> Response:
    """The preference page of the contact that the choice was for: the link that is rendered beside the why link where no message carries one of its own."""
    house = House(request)
    said = house.kernel.tokens.inspect(token, WHY)
    if isinstance(said, Fault):
        return closed(house, said)
    try:
        url = await house.explain.preferences_url(said.subject)
    except CandorError as fault:
        if fault.code != REDACTED:
            return excused(house, fault)
        url = ""
    return RedirectResponse(url or f"/why/{token}", status_code=303, headers=HEADERS)


@router.post("/why/{token}/not-interested", response_class=HTMLResponse)
async def not_interested(request: Request, token: str) -> HTMLResponse:
    """The person does not care for what was chosen."""
    return await _say(request, token, Feedback.NOT_INTERESTED)


@router.post("/why/{token}/not-me", response_class=HTMLResponse)
async def not_me(request: Request, token: str) -> HTMLResponse:
    """The decision is about somebody else: staff must look at the identity."""
    return await _say(request, token, Feedback.NOT_ME)


@router.post("/why/{token}/stop-using", response_class=HTMLResponse)
async def stop_using(request: Request, token: str) -> HTMLResponse:
    """A kind of information is not used any more to choose for this person."""
    return await _say(request, token, Feedback.STOP_USING)


@router.post("/why/{token}/correct", response_class=HTMLResponse)
async def correct(request: Request, token: str) -> HTMLResponse:
    """Something we have is wrong: asks for her words first, then hands them to staff."""
    return await _say(request, token, Feedback.CORRECT, asks=True)


@router.post("/why/{token}/pause", response_class=HTMLResponse)
async def pause(request: Request, token: str) -> HTMLResponse:
    """Nothing more on this channel for thirty days."""
    return await _say(request, token, Feedback.PAUSE)


@router.post("/why/{token}/opt-out", response_class=HTMLResponse)
async def opt_out(request: Request, token: str) -> HTMLResponse:
    """A purpose ends for the contact that the message went to: asks first."""
    return await _say(request, token, Feedback.OPT_OUT, asks=True)


@router.get("/v1/decisions/{decision_id}/why")
async def why_decision(
    request: Request,
    decision_id: str,
    principal: Annotated[Principal, needs("decide", "officer", "auditor")],
    view: Literal["person", "auditor"] = "person",
    locale: str | None = None,
    against: Annotated[str | None, Query(max_length=512, description="A candidate, or `nothing`: the auditor's view then tells what parts it from the choice.")] = None,
) -> dict[str, Any]:  # fmt: skip
    """One of the two views of the same record. The auditor's view holds values of a person, so reading it is an act."""
    house = House(request)
    explanation = await house.explain.explain(decision_id)
    about: dict[str, Any] = {"decision_id": explanation.decision_id, "explanation": explanation.digest}
    if view == "person":
        if against is not None:
            raise InvalidInput(
                "expected view=auditor beside against, got view=person", code="explain.contrast_in_numbers",
                remedy="Ask for view=auditor: what parts two candidates is told in numbers.",
            )  # fmt: skip
        return about | house.explain.person_view(await house.explain.hers(explanation), locale).as_json()
    if explanation.content is not None:
        read = NewEntry(
            Tag.READ_PERSONAL, {"decision": explanation.decision_id}, {"what": "explanation"},
            key_id=explanation.content.facts.key_id, actor=principal.actor,
        )  # fmt: skip
        async with house.kernel.db.transaction() as conn:
            await house.audit.append(conn, [read])
    told = about | house.explain.auditor_view(explanation).as_json()
    if against is not None:
        told["contrast"] = (await house.explain.contrast(decision_id, None, against)).as_json()
    return told


async def _say(request: Request, token: str, kind: Feedback, *, asks: bool = False) -> HTMLResponse:
    house = House(request)
    if not same_origin(request.headers, request.url.scheme, house.kernel.settings.base_url):
        return house.excuse("refused", 403)
    token_said = house.kernel.tokens.inspect(token, WHY)
    if isinstance(token_said, Fault):
        return closed(house, token_said)
    form = await form_of(request) if request.headers.get("content-type") else None
    about, told = (str(form.get(name) or "").strip() if form is not None else "" for name in ("about", "words"))
    word = Said(kind, about, told[:LONGEST])
    path = f"/why/{token}"
    try:
        explanation = await house.explain.hers(await house.explain.explain(token_said.subject))
        offer = house.explain.offer(explanation, word, house.speak(explanation))
        unsaid = kind is Feedback.CORRECT and not word.words
        if offer is not None and asks and (unsaid or form is None or form.get("sure") != "yes"):
            longest = LONGEST if kind is Feedback.CORRECT else 0
            page = rendering.ask(offer, path=path, locale=house.language, sender=house.sender, longest=longest)
            return HTMLResponse(page, headers=HEADERS)
        if offer is None and explanation.content is not None:  # what the page has not is not done
            return house.page("done.not_done_title", "done.not_done", 200, back=path)
        fresh = await house.explain.feedback(token_said.subject, word)
        if kind is Feedback.CORRECT and not fresh:  # other words than before reached nobody
            return house.page("done.not_done_title", "done.not_done", 200, back=path)
    except CandorError as fault:
        return excused(house, fault)
    # A promise is made only where somebody acts on it.
    text = "noted" if kind is not Feedback.NOT_ME and not house.explain.on_feedback else str(kind)
    slots = {"about": offer.hint} if offer is not None else {"about": ""}
    return house.page(f"done.{kind}_title", f"done.{text}", 200, back=path, **slots)


def closed(house: House, fault: Fault) -> HTMLResponse:
    """One page for every link that does not work; the status tells only the holder of a once good link that it ran out."""
    return house.excuse("expired", 410 if fault is Fault.EXPIRED else 404)


def excused(house: House, fault: CandorError) -> HTMLResponse:
    """What went wrong, without a word about whom."""
    if isinstance(fault, NotFound):
        return house.excuse("expired", 404)
    if isinstance(fault, Unavailable | IntegrityError):
        _log.error("why_not_shown", code=fault.code)
        page = house.excuse("unavailable", 503)
        page.headers["Retry-After"] = "30"
        return page
    raise fault
