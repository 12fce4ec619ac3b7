"""Routes of explain: the why page behind a message's link, and the views of a decision for officers and auditors.

Enters: HTTP. Leaves: a page without login, script or cookie, or JSON. A why link is a bearer secret: the page names kinds of information only, never a
record, an identifier or a value (explain.E9, E11). Services are found at ``request.app.state.house``: ``explain``, ``kernel``, ``consent``, ``audit``.
"""

from typing import Annotated, Any, Final, Literal, cast

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from audit.access.endpoints import needs
from audit.access.principal import Principal
from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from consent.service import Consent
from explain import rendering
from explain.service import WHY, Explain, Feedback
from kernel import metrics
from kernel.errors import CandorError, IntegrityError, NotFound, Unavailable
from kernel.kernel import Kernel
from kernel.log import get_logger
from kernel.origins import same_origin
from kernel.tokens import Fault

_HEADERS: Final = {
    "Cache-Control": "no-store",
    # same-origin, not no-referrer: with the latter browsers send "Origin: null" on our own forms, which we refuse.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
}

_log = get_logger("explain.endpoints")
router = APIRouter(tags=["explain"])


class _House:
    """The services these routes use, as the app holds them."""

    def __init__(self, request: Request) -> None:
        house = request.app.state.house
        self.kernel = cast("Kernel", house.kernel)
        self.audit = cast("Audit", house.audit)
        self.explain = cast("Explain", house.explain)
        self.sender = cast("Consent", house.consent).settings.controller
        self.language = rendering.language(request.headers.get("accept-language", ""))

    def page(self, title: str, text: str, status: int, *, back: str = "") -> HTMLResponse:
        """A page with one thing to say, in the reader's language."""
        words = rendering.message(title, text, locale=self.language, sender=self.sender, back=back)
        return HTMLResponse(words, status_code=status, headers=_HEADERS)

    def excuse(self, what: str, status: int) -> HTMLResponse:
        """A page that says why there is none."""
        return self.page(f"{what}.title", f"{what}.text", status)


@router.get("/why/{token}", response_class=HTMLResponse)
async def why(request: Request, token: str) -> HTMLResponse:
    """Why somebody got a message, or none, in plain words."""
    house = _House(request)
    said = house.kernel.tokens.inspect(token, WHY)
    if isinstance(said, Fault):
        return _closed(house, said)
    try:
        explanation = await house.explain.explain(said.subject)
    except CandorError as fault:
        return _excused(house, fault)
    path = f"/why/{token}"
    view = house.explain.person_view(explanation, None if not explanation.redacted else house.language, page=path)
    with metrics.stage("render"):
        return HTMLResponse(rendering.why(view, path=path, sender=house.sender), headers=_HEADERS)


@router.post("/why/{token}/not-interested", response_class=HTMLResponse)
async def not_interested(request: Request, token: str) -> HTMLResponse:
    """The person does not care for what was chosen."""
    return await _say(request, token, Feedback.NOT_INTERESTED)


@router.post("/why/{token}/not-me", response_class=HTMLResponse)
async def not_me(request: Request, token: str) -> HTMLResponse:
    """The decision is about somebody else: staff must look at the identity."""
    return await _say(request, token, Feedback.NOT_ME)


@router.get("/v1/decisions/{decision_id}/why")
async def why_decision(
    request: Request,
    decision_id: str,
    principal: Annotated[Principal, needs("decide", "officer", "auditor")],
    view: Literal["person", "auditor"] = "person",
    locale: str | None = None,
) -> dict[str, Any]:
    """One of the two views of the same record. The auditor's view holds values of a person, so reading it is an act."""
    house = _House(request)
    explanation = await house.explain.explain(decision_id)
    about: dict[str, Any] = {"decision_id": explanation.decision_id, "explanation": explanation.digest}
    if view == "person":
        return about | house.explain.person_view(explanation, locale).as_json()
    if explanation.content is not None:
        read = NewEntry(
            Tag.READ_PERSONAL, {"decision": explanation.decision_id}, {"what": "explanation"},
            key_id=explanation.content.facts.key_id, actor=principal.actor,
        )  # fmt: skip
        async with house.kernel.db.transaction() as conn:
            await house.audit.append(conn, [read])
    return about | house.explain.auditor_view(explanation).as_json()


async def _say(request: Request, token: str, kind: Feedback) -> HTMLResponse:
    house = _House(request)
    if not same_origin(request.headers, request.url.scheme, house.kernel.settings.base_url):
        return house.excuse("refused", 403)
    said = house.kernel.tokens.inspect(token, WHY)
    if isinstance(said, Fault):
        return _closed(house, said)
    try:
        await house.explain.feedback(said.subject, kind)
    except CandorError as fault:
        return _excused(house, fault)
    # A promise is made only where somebody acts on it.
    text = "noted" if kind is Feedback.NOT_INTERESTED and not house.explain.on_feedback else str(kind)
    return house.page(f"done.{kind}_title", f"done.{text}", 200, back=f"/why/{token}")


def _closed(house: _House, fault: Fault) -> HTMLResponse:
    """One page for every link that does not work; the status tells only the holder of a once good link that it ran out."""
    return house.excuse("expired", 410 if fault is Fault.EXPIRED else 404)


def _excused(house: _House, fault: CandorError) -> HTMLResponse:
    """What went wrong, without a word about whom."""
    if isinstance(fault, NotFound):
        return house.excuse("expired", 404)
    if isinstance(fault, Unavailable | IntegrityError):
        _log.error("why_not_shown", code=fault.code)
        page = house.excuse("unavailable", 503)
        page.headers["Retry-After"] = "30"
        return page
    raise fault
