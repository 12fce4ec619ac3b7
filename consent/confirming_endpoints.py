"""Routes of double opt-in: the page behind the link of a mail that asks to confirm.

Enters: HTTP with a token of scope ``confirm``. Leaves: a page that shows what was asked, with a yes and a no that cost the same; only a POST of its form
answers (scanners follow links). Pressed twice, it is answered once. A browser's privacy signal is heard before anything else.
"""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from consent.confirming import SCOPE, SENT_BY, Answer, Question
from consent.errors import ActIncomplete, UnknownPurpose, UnknownSubject
from consent.pages_endpoints import House, form_of, same_origin

PREFERENCES: Final = "preferences"  # the scope of the way on
_ANSWERS: Final = frozenset({"yes", "no"})
_STATUS: Final = {Answer.GONE: 404, Answer.EXPIRED: 410}
router = APIRouter(tags=["consent"])


@router.get("/confirm/{token}", response_class=HTMLResponse)
async def ask_to_confirm(request: Request, token: str) -> Response:
    """What somebody agreed to with this contact, and the words; changes nothing."""
    house = House(request)
    said = house.kernel.tokens.read(token, SCOPE)
    if said is None:
        return house.message("confirm_gone", 404)
    async with house.kernel.db.reading() as conn:
        found = await house.consent.confirmations.question(conn, said.subject)
    if found is None:
        return house.message("confirm_gone", 404)
    await house.honour_signal(found.invitation.identifier)
    if found.answer is not Answer.OPEN:
        return _answered(house, found.answer, found)
    pages = house.pages([found.invitation.language])
    return house.html(pages.render("confirm.html", question=found, tree=house.consent.rules.purposes))


@router.post("/confirm/{token}", response_class=HTMLResponse)
async def answer_confirmation(request: Request, token: str) -> Response:
    """Yes confirms, no ends it. Anything else changes nothing."""
    house = House(request)
    if not same_origin(request, house.kernel.settings.base_url):
        return house.message("not_saved", 403)
    said, form = house.kernel.tokens.read(token, SCOPE), await form_of(request)
    if said is None:
        return house.message("confirm_gone", 404)
    word = form.get("answer") if form is not None else None
    if word not in _ANSWERS:
        return house.message("not_saved", 400)
    confirmations = house.consent.confirmations
    async with house.kernel.db.reading() as conn:
        asked = await confirmations.question(conn, said.subject)
    if asked is not None:
        await house.honour_signal(asked.invitation.identifier)
    try:
        async with house.kernel.db.transaction() as conn:
            taken = confirmations.confirm if word == "yes" else confirmations.refuse
            answer = await taken(conn, said.subject)
            found = await confirmations.question(conn, said.subject)
    except (
        UnknownSubject,
        UnknownPurpose,
        ActIncomplete,
    ):  # erased, or no longer declared: nothing is held, nothing can be sent
        return _answered(house, Answer.GONE, None)
    return _answered(house, answer, found)


def _answered(house: House, answer: Answer, found: Question | None) -> HTMLResponse:
    """What holds now, and the way to her choices: whoever reads the mail of a contact may see and change them."""
    if found is None or answer in {Answer.GONE, Answer.EXPIRED}:
        return house.message("confirm_gone", _STATUS.get(answer, 404))
    asked = found.invitation
    pages = house.pages([asked.language])
    days = timedelta(days=house.consent.settings.confirmation_days)
    token = house.kernel.tokens.issue(PREFERENCES, asked.identifier, days, sent=SENT_BY)
    way = f"/preferences/{token}?lang={pages.say.language}"
    return house.html(pages.message(str(answer), link=way, link_words=pages.say("confirm.choices")))
