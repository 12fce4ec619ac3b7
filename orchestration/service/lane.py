"""A short way for the one request that must be quick: `POST /v1/decisions`, past the router, the solver of dependencies and the second validation.

Enters: an ASGI request. Leaves: the very answer that the route gives, for a plain request; every other one (an Idempotency-Key, another media type, a body
that is not understood) goes the long way, which says what is wrong with it. The route itself stays what OpenAPI describes: both call
`endpoints.decided`, and a test compares their answers.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audit.access.endpoints import Guard
from audit.access.principal import Scope as Right
from kernel.errors import CandorError
from orchestration.decision.endpoints import DecideBody, decided
from orchestration.service import problems

if TYPE_CHECKING:
    from orchestration.wiring import House

PATH: Final = "/v1/decisions"
_GUARD: Final = Guard(Right.DECIDE)
_LONG: Final = frozenset({b"idempotency-key", b"content-encoding", b"transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Named:
    """What the log and the figures call a route."""

    path: str


_ROUTE: Final = Named(PATH)


class Lane:
    """Stands right before the application's own layers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - the ASGI interface
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST" or not _plain(scope):
            await self.app(scope, receive, send)
            return
        heard = [await receive()]
        while heard[-1]["type"] == "http.request" and heard[-1].get("more_body", False):
            heard.append(await receive())
        if heard[-1]["type"] != "http.request":  # hung up, or too long
            await self.app(scope, _again(heard, receive), send)
            return
        request = Request(scope)
        try:
            principal = await _GUARD(request)
            try:
                body = DecideBody.model_validate_json(b"".join(one.get("body", b"") for one in heard))
            except ValidationError:
                await self.app(scope, _again(heard, receive), send)
                return
            scope["route"] = _ROUTE
            house: House = request.app.state.house
            answer, _ = await decided(house, body, principal, [None] * len(body.names))
        except CandorError as fault:
            scope["route"] = _ROUTE
            told = await problems.on_candor_error(request, fault)
            await told(scope, receive, send)
            return
        words = orjson.dumps(answer)
        headers = [(b"content-length", b"%d" % len(words)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": words})


def _plain(scope: Scope) -> bool:
    """JSON, asked without a name of the asking."""
    json = False
    for name, value in scope["headers"]:
        if name in _LONG:
            return False
        json = json or (name == b"content-type" and value == b"application/json")
    return json


def _again(heard: Sequence[Message], receive: Receive) -> Receive:
    """The request from its beginning, for whoever has not seen it."""
    waiting = deque(heard)

    async def told() -> Message:
        return waiting.popleft() if waiting else await receive()

    return told
