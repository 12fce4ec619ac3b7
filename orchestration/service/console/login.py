"""Coming in and going out: login, logout, the session's renewal, the look of the pages, the stylesheet.

Enters: a name and a password. Leaves: a session's cookie, or the form again with one answer for every failure: who is unknown, wrong, removed or waiting
cannot be told apart. A form of the login carries a token of its own cookie, so that nobody can be logged in as somebody else by another site.
"""

import secrets
from typing import TYPE_CHECKING, Annotated, Final, cast

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, Response

from kernel.errors import NotFound
from orchestration.service.console.errors import ForeignForm, TooManyTries
from orchestration.service.console.guard import (
    FIELD,
    STAFF,
    AtDesk,
    cookie_name,
    is_secure,
    mac,
    own_form,
    read_form,
    set_cookie,
)
from orchestration.service.console.pages import THEMES, act, router, see
from orchestration.service.console.rendering import HEADERS, STATIC, VERSION, render

if TYPE_CHECKING:
    from orchestration.service.console.throttle import Throttle
    from orchestration.wiring import House

HOME: Final = "/console"
WRONG: Final = "Name and password do not go together, or this login has to wait. Try again in a moment."
_LONGEST: Final = 2000
_YEAR: Final = 365 * 24 * 3600
_TYPES: Final = {"css": "text/css", "svg": "image/svg+xml"}


@router.get("/login")
async def form(request: Request, to: Annotated[str, Query(alias="next", max_length=_LONGEST)] = HOME) -> Response:
    """The form."""
    return _form(request, to)


@router.post("/login")
async def login(request: Request) -> Response:
    """Check, and open a session under a fresh token."""
    house, throttle = cast("House", request.app.state.house), cast("Throttle", request.app.state.throttle)
    given = await read_form(request)
    name, password, to = (str(given.get(field) or "") for field in ("name", "password", "next"))
    try:
        await own_form(request, _token(house, request.cookies.get(cookie_name(request, "login"), "")))
    except ForeignForm:
        return _form(request, to, name=name, told="That form was too old. Send it again.", status=403)
    try:
        await throttle.count(house.kernel, name, request.client.host if request.client else "")
    except TooManyTries as fault:
        page = _form(request, to, name=name, told=f"Too many tries. {fault.remedy}", status=429)
        page.headers["Retry-After"] = "900"
        return page
    found = await house.access.check_login(name, password) if len(name) + len(password) <= _LONGEST else None
    if found is None:
        return _form(request, to, name=name, told=WRONG, status=401)
    await throttle.forget(house.kernel, name)
    old = request.cookies.get(cookie_name(request), "")
    if old and await house.access.session(old) is not None:
        await house.access.close_session(old)
    response = see(inside(to))
    set_cookie(response, request, await house.access.open_session(found))
    set_cookie(response, request, "", what="login")
    return response


@act("/logout", *STAFF)
async def logout(desk: AtDesk) -> Response:
    """End the session, whatever cookies it had."""
    request = desk.request
    await desk.house.access.close_session(request.cookies.get(cookie_name(request), ""))
    response = see(f"{HOME}/login")
    set_cookie(response, request, "")
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@act("/theme", *STAFF)
async def theme(desk: AtDesk) -> Response:
    """Light, dark, or as the system has it."""
    chosen = str((await desk.form()).get("theme") or "")
    response = see(inside(str((await desk.form()).get("next") or HOME)))
    response.set_cookie(
        "candor-theme", chosen if chosen in THEMES else "", max_age=_YEAR if chosen in THEMES else 0, path=HOME,
        secure=is_secure(desk.request), httponly=True, samesite="strict",
    )  # fmt: skip
    return response


@router.get("/static/{version}/{name}")
async def static(version: str, name: str) -> Response:
    """The stylesheet; its address changes with its content."""
    if version != VERSION or name not in STATIC:
        raise NotFound("expected a file of the console in its present version, got another")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(STATIC[name], media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


def inside(to: str) -> str:
    """A path of the console; anything else, another site above all, becomes the first page."""
    path = to.split("?", maxsplit=1)[0]
    fits = (path == HOME or path.startswith(f"{HOME}/")) and "\\" not in to and to.isprintable() and ".." not in path
    return HOME if not fits or path in {f"{HOME}/login", f"{HOME}/logout"} else to


def _form(request: Request, to: str, *, name: str = "", told: str = "", status: int = 200) -> HTMLResponse:
    house = cast("House", request.app.state.house)
    held = request.cookies.get(cookie_name(request, "login"), "") or secrets.token_urlsafe(24)
    chosen = request.cookies.get("candor-theme", "")
    words = render(
        "login.html", to=inside(to), name=name[:80], told=told, token=_token(house, held), field=FIELD,
        controller=house.consent.settings.controller, theme=chosen if chosen in THEMES else "",
    )  # fmt: skip
    response = HTMLResponse(words, status_code=status, headers=dict(HEADERS))
    set_cookie(response, request, held, what="login", seconds=3600)
    return response


def _token(house: "House", held: str) -> str:
    return mac(house, f"login|{held}")
