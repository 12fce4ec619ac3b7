"""Problems as pages: whoever reads the console in a browser gets a page with the same words as the problem document, and the login where one is missing.

Enters: the application with its handlers of errors. Leaves: the same handlers, which answer browsers on console paths by pages.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Final, cast
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from kernel.errors import CandorError
from orchestration.service.console.guard import cookie_name
from orchestration.service.console.pages import THEMES, see
from orchestration.service.console.rendering import HEADERS, render

Handler = Callable[[Request, Exception], Awaitable[Response]]
_KEPT: Final = ("retry-after",)


def install(app: FastAPI) -> None:
    """Answer browsers by pages from now on."""
    for kind in (CandorError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _paged(cast("Handler", app.exception_handlers[kind])))


def wants_page(request: Request) -> bool:
    """A browser that looks at the console; a program with a key, or one that asks for the JSON twin, does not."""
    path = request.url.path
    return (
        (path == "/console" or path.startswith("/console/"))
        and not path.endswith(".json")
        and "authorization" not in request.headers
        and "text/html" in request.headers.get("accept", "")
    )


def _paged(told: Handler) -> Handler:
    async def handler(request: Request, error: Exception) -> Response:
        answer = await told(request, error)
        if not wants_page(request):
            return answer
        problem = json.loads(bytes(answer.body))
        if problem["status"] == 401:
            return _login(request)
        theme = request.cookies.get("candor-theme", "")
        kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
        words = render("fault.html", problem=problem, theme=theme if theme in THEMES else "")
        return HTMLResponse(words, status_code=answer.status_code, headers={**HEADERS, **kept})

    return handler


def _login(request: Request) -> Response:
    """To the login, and back here afterwards.

    A link in a mail or a chat comes without our SameSite=Strict cookie. Such a visit is sent here once more, by a page of ours, and then has it.
    """
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    abroad = request.headers.get("sec-fetch-site") == "cross-site" and cookie_name(request) not in request.cookies
    if abroad and request.method == "GET":
        return HTMLResponse(render("knock.html", here=here), headers=dict(HEADERS))
    return see(f"/console/login?next={quote(here if request.method == 'GET' else '/console')}")
