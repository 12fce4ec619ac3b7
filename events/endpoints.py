"""Routes of collection: the calls of the Segment Spec and their batch (conventions 6.1, features V1, V4, V8).

Enters: HTTP with a key of scope collect or browser, in the Authorization header or as ``writeKey`` in the body. Leaves: 200 with
``results[]``, one per call, after they are durable; problems otherwise. Bodies may be gzip and may call themselves text/plain, as
browsers' beacons do. The room is found at ``request.app.state.house.events``, the keys at ``….access``.
"""

from collections.abc import Mapping
from typing import Annotated, Final, cast

from fastapi import APIRouter, Request, Security
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer

from audit.access import cors
from audit.access.endpoints import Guard, admit, credential
from audit.access.principal import Principal, Scope
from audit.access.service import Access
from audit.errors import NotAuthenticated
from consent.signals import gpc
from events.bodies import Batch, batch_of, decode
from events.errors import BodyTooLarge, EventRejected, KeyWithoutSource
from events.log import CollectContext, ItemResult
from events.service import Events
from kernel.canonical import Json
from kernel.errors import Problem

_BEARER: Final = HTTPBearer(auto_error=False, scheme_name="key", description="A key or session token.")
# The short paths are those of Segment's browser library.
_CALLS: Final = {"identify": "i", "track": "t", "page": "p", "screen": "s", "group": "g", "alias": "a"}

router = APIRouter(tags=["events"])


class WriteKey(Guard):
    """The guard of these routes: besides the header, Segment's clients may put their key into the body."""

    async def __call__(self, request: Request, _described: Annotated[object, Security(_BEARER)] = None) -> Principal:
        """The principal of a request that may pass."""
        if credential(request) is not None:
            return await super().__call__(request)
        key = (await _body(request)).get("writeKey")
        access = cast("Access", request.app.state.house.access)
        principal = await access.authenticate(key) if isinstance(key, str) and key else None
        if principal is None:
            raise NotAuthenticated("expected a live key in the Authorization header or as writeKey, got none")
        return admit(principal, self.scopes, request)


_COLLECTOR: Final = WriteKey(Scope.COLLECT, Scope.BROWSER)
Collector = Annotated[Principal, Security(_COLLECTOR)]


async def _one(request: Request, principal: Collector) -> Response:
    """One call. A call that cannot be taken is a problem (422) with its pointer and reason."""
    kind = _kind(request)
    body = await _body(request)
    return await _collect(request, principal, Batch((body,), None), kind)


for _name, _short in _CALLS.items():
    router.add_api_route(
        f"/v1/{_name}",
        _one,
        methods=["POST"],
        name=_name,
        summary=f"Segment's {_name} call",
        operation_id=f"collect_{_name}",
    )
    router.add_api_route(f"/v1/{_short}", _one, methods=["POST"], name=f"{_name}_short", include_in_schema=False)


@router.post("/v1/batch", name="batch", operation_id="collect_batch")
@router.post("/v1/b", name="batch_short", include_in_schema=False)
async def batch(request: Request, principal: Collector) -> Response:
    """Many calls; each is answered in ``results``, and a bad one never drops its neighbours."""
    calls = batch_of(await _body(request), _events(request).settings.batch_items)
    return await _collect(request, principal, calls, None)


@router.options("/v1/{call}", include_in_schema=False)
async def preflight(call: str) -> Response:  # noqa: ARG001 - the same for every call
    """A browser asks whether it may send from another origin."""
    return Response(status_code=204, headers=cors.PREFLIGHT)


async def _collect(request: Request, principal: Principal, calls: Batch, kind: str | None) -> Response:
    if principal.source is None:
        raise KeyWithoutSource("expected a key that is bound to a source, got one that is not")
    context = CollectContext(
        source=principal.source,
        sent_at=calls.sent_at,
        kind=kind,
        gpc=gpc.sent(request.headers.items()),
        user_agent=request.headers.get("user-agent"),
        browser=Scope.COLLECT not in principal.scopes,
        actor=principal.actor,
    )
    results = await _events(request).collect(calls.calls, context)
    if kind is not None and results[0].status == "rejected":
        problem = Problem(results[0].pointer or "", results[0].reason or "")
        raise EventRejected(f"expected a {kind} call as in the Segment spec, got one with a fault", problems=[problem])
    headers = cors.answer(principal.origin)
    return JSONResponse({"success": True, "results": [_result(one) for one in results]}, headers=headers)


def _result(result: ItemResult) -> dict[str, Json]:
    told: dict[str, Json] = {
        "status": result.status,
        "messageId": result.message_id,
        "eventId": result.event_id,
        "pointer": result.pointer,
        "reason": result.reason,
    }
    return {key: value for key, value in told.items() if value is not None}


def _events(request: Request) -> Events:
    return cast("Events", request.app.state.house.events)


def _kind(request: Request) -> str:
    name = str(request.scope["route"].name)
    return name.removesuffix("_short")


async def _body(request: Request) -> Mapping[str, Json]:
    """The decoded body, read once: the guard may need it before the route does."""
    held = getattr(request.state, "collected_body", None)
    if held is None:
        limit = _events(request).settings.batch_bytes
        raw = bytearray()
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > limit:
                raise BodyTooLarge(f"expected at most {limit} bytes, got more")
        held = request.state.collected_body = decode(bytes(raw), request.headers.get("content-encoding"), limit)
    return cast("Mapping[str, Json]", held)
