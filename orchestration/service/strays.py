"""Pages for people who followed a link that leads nowhere, or met an accident: the same answers as problems, in words for somebody with a message in hand.

Enters: the application with its handlers of errors. Leaves: handlers that answer a browser by a page and every program by a problem document as before; and
the page at `/`, which says whose messages these are and where staff go. It names nothing of the request but its id.
"""

import json
from collections.abc import Awaitable, Callable
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final, cast

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from kernel.errors import CandorError

Handler = Callable[[Request, Exception], Awaitable[Response]]
_PROGRAMS: Final = ("/v1/", "/audit/", "/webhooks/", "/content/", "/console", "/docs/api/", "/metrics", "/openapi.json")
_CUT: Final = ("There is no page here", "If you followed a link from a message, it was cut short on its way. Open the message again and follow the whole link.")  # fmt: skip
_DOWN: Final = ("Not just now", "Something is down on our side. Please try again in a moment.")
_WRONG: Final = (
    "This did not work",
    "What was sent could not be taken. Go back, or open the link in our message again.",
)
_START: Final = ("This is the service behind our messages", "If you followed a link from one of our messages, it was cut short on its way. Open the message again and follow the whole link.")  # fmt: skip
_KEPT: Final = ("retry-after", "allow")

router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Answer browsers by pages from now on."""
    for kind in (CandorError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _paged(cast("Handler", app.exception_handlers[kind])))


@router.get("/")
async def start(request: Request) -> HTMLResponse:
    """Where somebody lands who cut the path off, and where staff start."""
    staff = '<p class="quiet">For staff: <a href="/console">the console</a>, <a href="/docs/api">the HTTP API</a>.</p>'
    return page(request, *_START, status=200, more=staff)


def person(request: Request) -> bool:
    """A browser that opens a page, rather than a program or a page's script that asks for something."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(_PROGRAMS)


def _paged(told: Handler) -> Handler:
    async def handler(request: Request, error: Exception) -> Response:
        answer = await told(request, error)
        if not person(request):
            return answer
        problem = json.loads(bytes(answer.body))
        status = problem["status"]
        title, words = _DOWN if status >= 500 or status == 429 else _CUT if status == 404 else _WRONG
        number = f'<p class="quiet">Number of this visit, for when you ask us: <code>{escape(problem["request_id"])}</code></p>'
        told_page = page(request, title, words, status=status, more=number)
        told_page.headers.update({name: answer.headers[name] for name in _KEPT if name in answer.headers})
        return told_page

    return handler


def page(request: Request, title: str, words: str, *, status: int, more: str) -> HTMLResponse:
    """A page in the look of public pages; `more` is HTML, the rest is text."""
    sender = request.app.state.house.consent.settings.controller
    text = _template()
    for slot, value in {"sender": escape(sender), "title": escape(title), "words": escape(words), "more": more}.items():
        text = text.replace("{" + slot + "}", value)
    return HTMLResponse(text, status_code=status, headers={"X-Robots-Tag": "noindex, nofollow"})


@cache
def _template() -> str:
    return files(__package__).joinpath("stray.html").read_text(encoding="utf-8")
