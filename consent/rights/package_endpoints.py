"""The page behind a package's link: it asks for the code and hands out the file (consent.D8).

Enters: a signed link, a code. Leaves: a page, or a ZIP. The link alone opens nothing; the page says the same for a link that never was, ran out, or whose package is gone.
"""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from consent.pages_endpoints import HEADERS, House, form_of

router = APIRouter(tags=["subject requests"])
_LONGEST: Final = 64


@router.get("/packages/{token}", response_class=HTMLResponse)
async def ask_for_code(request: Request, token: str) -> HTMLResponse:
    """A form for the code."""
    house = House(request)
    if not await house.rights.parcels.stands(token):
        return _gone(house)
    return _page(house)


@router.post("/packages/{token}", response_class=Response)
async def open_package(request: Request, token: str) -> Response:
    """The file, for the right code. The tenth wrong one destroys the package."""
    house = House(request)
    form = await form_of(request)
    code = form.get("code") if form is not None else None
    if not isinstance(code, str) or not 0 < len(code.strip()) <= _LONGEST:
        return _page(house, wrong=house.pages().say("package.empty"), status=422)
    opened = await house.rights.parcels.open(token, code)
    if opened.bundle is not None:
        named = {"Content-Disposition": f'attachment; filename="{opened.request}.zip"'}
        return Response(opened.bundle, media_type="application/zip", headers={**HEADERS, **named})
    if opened.left is None or opened.left <= 0:
        return _gone(house)
    return _page(house, wrong=house.pages().say("package.wrong", left=str(opened.left)), status=403)


def _page(house: House, *, wrong: str = "", status: int = 200) -> HTMLResponse:
    return house.html(house.pages().render("package.html", ask=True, wrong=wrong), status)


def _gone(house: House) -> HTMLResponse:
    return house.html(house.pages().render("package.html", ask=False, wrong=""), 404)
