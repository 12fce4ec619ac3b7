"""The demo shop's page, served only by `candor demo`: a real page with the script for pages on it.

Enters: HTTP. Leaves: a page, its style and its script, under a policy that forbids inline code and other hosts.
"""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from fastapi.responses import Response

from audit.access.principal import Scope
from channels.web.script import SNIPPET
from consent.visitors import announce
from events.log import Source

if TYPE_CHECKING:
    from orchestration.wiring import House

PAGE: Final = "/demo/shop"
NOTICE: Final = "demo-web-1"
WORDS: Final = (
    "Meadow & Mill would like to show you offers on these pages, and to choose them by what you look at here. "
    "You can take it back at any time."
)
PURPOSES: Final = ("marketing.web", "marketing.personalize")
_FOLDER: Final = Path(__file__).parent / "shop"
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    # A browser names this page as where a call comes from; to other sites it says nothing.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


async def shop(house: "House") -> APIRouter:
    """Publish the question's words, make a key for the page, and return its routes."""
    base = house.kernel.settings.base_url.rstrip("/")
    async with house.kernel.db.transaction() as conn:
        await announce(
            conn, house.consent, house.audit, WORDS, version=NOTICE, language="en", lists=PURPOSES, actor="demo"
        )
        await house.events.register_source(conn, Source("shop_pages", PURPOSES[0], "consent", also_for=PURPOSES[1:]))
    key = await house.access.create_key(
        {Scope.BROWSER}, actor="demo", name="demo shop", source="shop_pages", origin=base
    )
    page = (_FOLDER / "shop.html").read_text(encoding="utf-8")
    page = page.replace("{script}", SNIPPET.tag(base, key.secret, notice=NOTICE)).replace("{notice}", escape(WORDS))
    router = APIRouter(include_in_schema=False)

    @router.get(PAGE)
    async def html() -> Response:
        return Response(page, media_type="text/html", headers=_HEADERS)

    @router.get("/demo/shop.css")
    async def css() -> Response:
        return Response((_FOLDER / "shop.css").read_text(encoding="utf-8"), media_type="text/css")

    @router.get("/demo/shop.js")
    async def js() -> Response:
        return Response((_FOLDER / "shop.js").read_text(encoding="utf-8"), media_type="text/javascript")

    return router
