"""Routes of choices that matter a lot: the notice before, the answer after, a person's look, the way out. None of them is there where the switch is off.

Enters: HTTP; a why link, a placement's name, or a key. Leaves: pages without login, script or cookie, or JSON; as in ``endpoints``.
"""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from audit.access.endpoints import needs
from audit.access.principal import Principal
from explain import rendering, significant
from explain.endpoints import HEADERS, House, closed, excused
from explain.explanation import Content
from explain.feedback import Feedback, Said
from explain.service import WHY
from explain.significant import Use
from kernel.errors import CandorError, NotFound
from kernel.origins import same_origin
from kernel.tokens import Fault

router: Final = APIRouter(tags=["explain"])


@router.get("/notice/{placement}", response_class=HTMLResponse)
async def notice(request: Request, placement: str) -> HTMLResponse:
    """What is told before a machine makes a choice that matters a lot."""
    house = House(request)
    try:
        use = await house.explain.significant.notice(placement)
    except NotFound:
        return house.excuse("expired", 404)
    page = rendering.notice(use, locale=house.language, sender=house.sender)
    return HTMLResponse(page, headers=HEADERS)


@router.get("/why/{token}/answer", response_class=HTMLResponse)
async def answer(request: Request, token: str) -> HTMLResponse:
    """How the choice was made, what came of it and what she can do, in plain words."""
    house = House(request)
    found = await _found(house, token)
    if isinstance(found, HTMLResponse):
        return found
    content, use, view = found
    told = significant.answer(content.facts, view, use)
    page = rendering.answer(told, path=f"/why/{token}", sender=house.sender)
    return HTMLResponse(page, headers=HEADERS)


@router.post("/why/{token}/review", response_class=HTMLResponse)
async def review(request: Request, token: str) -> HTMLResponse:
    """A person is to look at it."""
    return await _act(request, token, "review")


@router.post("/why/{token}/no-machine", response_class=HTMLResponse)
async def no_machine(request: Request, token: str) -> HTMLResponse:
    """No machine is to decide about her."""
    return await _act(request, token, "no_machine")


@router.get("/v1/decisions/{decision_id}/answer")
async def answer_decision(
    request: Request,
    decision_id: str,
    principal: Annotated[Principal, needs("decide", "officer", "auditor")],  # noqa: ARG001 - a guard
    locale: str | None = None,
) -> dict[str, Any]:
    """The answer about a significant decision, for programs: plain words only, no value of a person."""
    house = House(request)
    explanation = await house.explain.hers(await house.explain.explain(decision_id))
    use = await house.explain.significant.expect(decision_id)
    if explanation.content is None:
        raise NotFound("expected a decision about somebody who is here, got a redacted one", code="decision_redacted")
    view = house.explain.person_view(explanation, locale, page="")
    told = significant.answer(explanation.content.facts, view, use).as_json()
    return {"decision_id": explanation.decision_id, "explanation": explanation.digest, **told}


async def _found(house: House, token: str) -> "tuple[Content, Use, Any] | HTMLResponse":
    """The explanation behind a link of a significant decision, or the page that says why there is none."""
    said = house.kernel.tokens.inspect(token, WHY)
    if isinstance(said, Fault):
        return closed(house, said)
    try:
        explanation = await house.explain.hers(await house.explain.explain(said.subject))
        use = await house.explain.significant.expect(said.subject)
    except CandorError as fault:
        return excused(house, fault)
    if explanation.content is None:
        return house.excuse("expired", 404)
    view = house.explain.person_view(explanation, house.speak(explanation), page=f"/why/{token}")
    return explanation.content, use, view


async def _act(request: Request, token: str, what: str) -> HTMLResponse:
    house = House(request)
    if not same_origin(request.headers, request.url.scheme, house.kernel.settings.base_url):
        return house.excuse("refused", 403)
    found = await _found(house, token)
    if isinstance(found, HTMLResponse):
        return found
    content, use, _ = found
    try:
        if what == "review":
            await house.explain.significant.ask_review(content)
        else:
            # The button names the purpose that the placement declares, whatever the record, which may be older, says of it.
            about = replace(content, facts=replace(content.facts, personalized_under=use.machine))
            await house.explain.hearing.hear(about, Said(Feedback.OPT_OUT, use.machine), None)
    except CandorError as fault:
        return excused(house, fault)
    return house.page(f"significant.{what}_title", f"significant.{what}_done", 200, back=f"/why/{token}")
