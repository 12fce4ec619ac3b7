"""The door of every console page: a session's cookie or a key, the right scope, and for forms the session's own token.

Enters: a request. Leaves: a `Desk`, what a page works with, or an error: no login, wrong scope, a form that is not ours. A key in the Authorization header
opens the same pages to programs ("copy as curl"); browsers never send one by themselves, so such a call needs no form token. The cookie is HttpOnly and
SameSite=Strict, `__Host-` and Secure over https. The form token is a MAC over the login, so it holds as long as the session, whatever its current cookie.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from audit.access.endpoints import Guard, admit
from audit.access.principal import Principal, Scope, Session
from audit.entries import NewEntry
from audit.errors import ScopeMissing
from audit.tags import Tag
from kernel.ids import KeyId
from orchestration.service.console import words
from orchestration.service.console.errors import ForeignForm, FormIncomplete, LoginNeeded, NotYourPage

if TYPE_CHECKING:
    from orchestration.wiring import House

STAFF: Final = words.STAFF
FIELD: Final = "form_token"
_PURPOSE: Final = "console.forms"
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_MOST_FIELDS: Final = 40
_LONGEST_FIELD: Final = 2000
_RENEW_AFTER: Final = 0.5  # of a token's idle time: a later look at a page gets a fresh one


@dataclass(frozen=True, slots=True, eq=False)
class Desk:
    """Who looks, at what, and what they may do. `session` is None for a key."""

    request: Request
    house: "House"
    principal: Principal
    session: Session | None

    @property
    def name(self) -> str:
        """How the page greets."""
        return self.session.name if self.session is not None else self.principal.actor

    @property
    def token(self) -> str:
        """What this session's forms carry; empty for a key."""
        return form_token(self.house, self.session) if self.session is not None else ""

    def may(self, *scopes: str) -> bool:
        """Whether one of the scopes is held."""
        return self.principal.may(scopes)

    def need(self, *scopes: Scope) -> None:
        """Raises `NotYourPage` without one of the scopes: for acts inside a page that more people may see."""
        if not self.principal.may(scopes):
            raise missing(scopes)

    async def form(self) -> FormData:
        """The form that was sent; an empty one when the body is none."""
        return await read_form(self.request)

    async def field(self, name: str) -> str:
        """One field of the form.

        Raises:
            FormIncomplete: it is absent, empty, or longer than any of ours.
        """
        value = (await self.form()).get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST_FIELD:
            raise FormIncomplete(f"expected the field '{name}' filled in, got none")
        return value.strip()

    async def names(self) -> dict[str, str]:
        """What the actors of the log are called: staff, and keys that have a name."""
        keys = {one.api_key_id: one.name for one in await self.house.access.keys() if one.name}
        return keys | {one.staff_id: one.name for one in await self.house.access.staff()}

    async def note(self, refs: dict[str, str], what: str, *, key_id: KeyId | None = None) -> None:
        """Somebody looked at something personal: an entry of the log, in its own commit, before it is shown."""
        entry = NewEntry(
            Tag.READ_PERSONAL, refs, {"what": what, "where": "console"}, key_id=key_id, actor=self.principal.actor
        )
        async with self.house.kernel.db.transaction() as conn:
            await self.house.audit.append(conn, [entry])


class Door(Guard):
    """The guard of one page. Leaves a `Desk` at `request.state.desk`, which `AtDesk` hands to the page."""

    async def __call__(
        self,
        request: Request,
        _described: Annotated[object, Security(HTTPBearer(auto_error=False, scheme_name="key"))] = None,
    ) -> Principal:
        """The principal of a request that may pass."""
        house = cast("House", request.app.state.house)
        secret, session = _bearer(request), None
        if secret is not None:
            principal = await house.access.authenticate(secret)
        else:
            session = await house.access.session(request.cookies.get(cookie_name(request), ""))
            principal = None if session is None else session.principal
        if principal is None:
            raise LoginNeeded("expected a session or a live key, got none")
        try:
            admit(principal, self.scopes, request)
        except ScopeMissing:
            raise missing(self.scopes) from None
        desk = Desk(request, house, principal, session)
        if request.method not in {"GET", "HEAD"} and session is not None:
            await own_form(request, desk.token)
        request.state.desk = desk
        return principal


async def _desk(request: Request) -> Desk:
    return cast("Desk", request.state.desk)


AtDesk = Annotated[Desk, Depends(_desk)]


def missing(scopes: "frozenset[Scope] | tuple[Scope, ...]") -> NotYourPage:
    """The error for somebody without any of these scopes; it names who may."""
    return NotYourPage(f"expected one of the scopes {', '.join(sorted(scopes))}, got none of them")


async def own_form(request: Request, token: str) -> None:
    """Raises `ForeignForm` unless the form carries this token and no other site sent it."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForeignForm("expected a form of this console, got one of another site")
    given = (await read_form(request)).get(FIELD)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), token.encode()):
        raise ForeignForm("expected the token of this session in the form, got none or another")


async def read_form(request: Request) -> FormData:
    """The form in the body; Starlette keeps it, so it may be asked for again."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() not in _FORMS:
        return FormData()
    try:
        return await request.form(max_files=0, max_fields=_MOST_FIELDS)
    except HTTPException:  # Starlette's word for a body it cannot parse
        return FormData()


def form_token(house: "House", session: Session) -> str:
    """The MAC over a login."""
    return mac(house, f"{session.principal.actor}|{session.since.isoformat()}")


def mac(house: "House", said: str) -> str:
    """A MAC that only this installation can make."""
    return hmac.new(house.kernel.secrets.derive(_PURPOSE), said.encode(), hashlib.sha256).hexdigest()


def is_secure(request: Request) -> bool:
    """Whether people reach us over https, here or at a proxy in front."""
    base = cast("House", request.app.state.house).kernel.settings.base_url
    return request.url.scheme == "https" or urlsplit(base).scheme == "https"


def cookie_name(request: Request, what: str = "session") -> str:
    """The cookie's name; `__Host-` binds it to this very host and to https."""
    return f"__Host-candor-{what}" if is_secure(request) else f"candor-{what}"


def set_cookie(
    response: Response, request: Request, value: str, *, what: str = "session", seconds: int | None = None
) -> None:
    """Write a cookie that no script reads and no other site sends; an empty value removes it."""
    response.set_cookie(
        cookie_name(request, what), value, max_age=0 if not value else seconds, path="/", secure=is_secure(request),
        httponly=True, samesite="strict",
    )  # fmt: skip


async def renew(desk: Desk, response: Response) -> None:
    """Give a session that is in use a fresh token before the old one has been idle too long."""
    if desk.session is None:
        return
    access, now = desk.house.access, desk.house.kernel.clock.now()
    idle = desk.house.audit.settings.session_idle_minutes * 60
    if (desk.session.expires_at - now).total_seconds() < idle * _RENEW_AFTER:
        token = await access.renew_session(desk.request.cookies.get(cookie_name(desk.request), ""))
        if token is not None:
            set_cookie(response, desk.request, token)


def _bearer(request: Request) -> str | None:
    """A key in the Authorization header. Bearer only: Basic is what browsers repeat by themselves."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else None
