"""Routes of a person's receipt: a page to read or print, and the signed file.

Enters: HTTP with a preference link's token. Leaves: a page without script, or a JSON file that `candor verify` checks offline. The file is made by POST,
because taking one is an entry of the log; a link that may have been passed on shows no history, and so gives no receipt.
"""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from consent.pages_endpoints import HEADERS, House, same_origin
from consent.receipts import Receipts, Told
from consent.rendering import Pages
from kernel.errors import Unavailable
from kernel.ids import IdentifierId
from kernel.log import get_logger

PREFERENCES: Final = "preferences"
_log = get_logger("consent.receipts")
router = APIRouter(tags=["consent"])


@router.get("/preferences/{token}/receipt", response_class=HTMLResponse)
async def show_receipt(request: Request, token: str) -> Response:
    """What she told us and was shown, purpose by purpose."""
    house = House(request)
    found = await _told(house, token)
    if found is None:
        return house.message("gone", 404)
    identifier, told, pages = found
    record = _receipts(house).record(identifier, told, pages.say) if told else None
    back = f"/preferences/{token}?lang={pages.say.language}"
    return house.html(pages.render("receipt.html", told=told, record=record, contact=identifier, back=back))


@router.post("/preferences/{token}/receipt", response_class=Response)
async def take_receipt(request: Request, token: str) -> Response:
    """The same as a signed file. Taken twice, it is the same receipt."""
    house = House(request)
    if not same_origin(request, house.kernel.settings.base_url):
        return house.message("not_saved", 403)
    found = await _told(house, token)
    if found is None or not found[1]:
        return house.message("gone", 404)
    identifier, told, pages = found
    receipts = _receipts(house)
    try:
        receipt = await receipts.signed(identifier, receipts.record(identifier, told, pages.say))
    except Unavailable as fault:
        _log.warning("receipt_not_signed", code=fault.code)
        page = house.message("not_done", 503)
        page.headers["Retry-After"] = "30"
        return page
    newest = max(event.act.recorded_at for one in told for event in one.events)
    name = f'attachment; filename="consent-receipt-{newest:%Y-%m-%d}.json"'
    return Response(receipt.text, media_type="application/json", headers={**HEADERS, "Content-Disposition": name})


async def _told(house: House, token: str) -> tuple[IdentifierId, list[Told], Pages] | None:
    said = house.kernel.tokens.read(token, PREFERENCES)
    if said is None or said.claims.get("history") is False:
        return None
    identifier = IdentifierId(said.subject)
    async with house.kernel.db.reading() as conn:
        subjects = await house.preferences.subjects(conn, identifier)
        if subjects is None:
            return None
        pages = await house.pages_for(conn, identifier)
        return identifier, await _receipts(house).told(conn, subjects, pages.say), pages


def _receipts(house: House) -> Receipts:
    return Receipts(house.kernel, house.audit, house.identity, house.consent)
