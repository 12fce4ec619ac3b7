"""What all token pages share: the house they find, the language they are in, forms, headers, answers.

Enters: a request. Leaves: pages that no cache keeps, no other site may frame or post to, and no script runs on. Services are found at
``request.app.state.house``: ``consent``, ``rights``, ``identity``, ``audit``, ``kernel``.
"""

from collections.abc import Iterable
from typing import Final, cast
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from audit.service import Audit
from consent import wording
from consent.errors import UnknownSubject
from consent.page import Preferences
from consent.rendering import Pages
from consent.requests import Rights
from consent.service import Consent
from consent.signals import gpc
from identity.service import Identity
from kernel import origins
from kernel.db import Conn
from kernel.ids import IdentifierId
from kernel.kernel import Kernel
from kernel.log import get_logger

LANG: Final = "lang"  # in a page's address: the language it is wanted in
_LARGEST_FORM: Final = 16 * 1024
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_log = get_logger("consent.pages")
HEADERS: Final = {
    "Cache-Control": "no-store",
    # same-origin, not no-referrer: with the latter browsers send "Origin: null" on our own form, which we refuse.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "Vary": "Accept-Language",
}


class House:
    """The services these routes use, as the app holds them."""

    def __init__(self, request: Request) -> None:
        house = request.app.state.house
        self.request = request
        self.kernel = cast("Kernel", house.kernel)
        self.audit = cast("Audit", house.audit)
        self.consent = cast("Consent", house.consent)
        self.identity = cast("Identity", house.identity)
        self.rights = cast("Rights", house.rights)
        self.preferences = Preferences(self.consent, self.identity, self.kernel.clock)

    def pages(self, own: Iterable[str] = ()) -> Pages:
        """The pages in the language of this request; ``own``: what is known of the reader's."""
        language = wording.wanted(
            asked=self.request.query_params.get(LANG), own=own, accepted=self.request.headers.get("accept-language", "")
        )
        return Pages(self.consent.rules.purposes, self.consent.settings.controller, wording.words(language))

    async def pages_for(self, conn: Conn, identifier: IdentifierId) -> Pages:
        """The pages in the language of this request and of the person behind the link."""
        asked = self.request.query_params.get(LANG)
        return self.pages(() if asked else await self.preferences.languages(conn, identifier))

    async def honour_signal(self, identifier: IdentifierId) -> None:
        """A privacy signal that came with this request binds the contact behind its link, before anything is read (consent.C11, C12)."""
        if not gpc.sent(self.request.headers.items()):
            return
        try:
            async with self.kernel.db.transaction() as conn:
                await self.consent.apply_gpc(conn, [identifier], raw=b"Sec-GPC: 1", actor="browser")
        except UnknownSubject as fault:
            _log.info("signal_without_subject", code=fault.code)

    def html(self, words: str, status: int = 200) -> HTMLResponse:
        """A page."""
        return HTMLResponse(words, status_code=status, headers=HEADERS)

    def message(self, what: str, status: int) -> HTMLResponse:
        """A page with one thing to say."""
        return self.html(self.pages().message(what), status)

    def back(self, **query: str) -> RedirectResponse:
        """To the page again by GET, so that a reload sends nothing twice; in the language it was in."""
        asked = self.request.query_params.get(LANG)
        told = {**query, **({LANG: asked} if asked else {})}
        where = f"{self.request.url.path}?{urlencode(told)}" if told else self.request.url.path
        return RedirectResponse(where, status_code=303, headers=HEADERS)


async def form_of(request: Request) -> FormData | None:
    """The form in the body; None when there is none that can be read."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in _FORMS or int(request.headers.get("content-length", "0") or 0) > _LARGEST_FORM:
        return None
    try:
        return await request.form(max_files=0, max_fields=200)
    except HTTPException:  # Starlette's word for a body it cannot parse
        return None


def same_origin(request: Request, base_url: str) -> bool:
    """Whether a browser sent this from one of our pages. Without any sign of a browser the token alone decides."""
    return origins.same_origin(request.headers, request.url.scheme, base_url)
