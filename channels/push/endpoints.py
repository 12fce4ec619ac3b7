"""Routes of push: the public key, subscriptions, what browsers report, and the two scripts that run in them.

Enters: HTTP with a key of scope browser (from its own origin, for its visitor's anonymous id only) or collect; reports with the signed token
of their message, verified before anything else of them is read. Leaves: JSON without a word of the person. The room is found at
`request.app.state.house.channels`.
"""

from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal, cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from audit.access import cors
from audit.access.endpoints import needs
from audit.access.principal import Principal, Scope
from channels.links import REPORT
from channels.push.errors import BadReport, BadSubscription
from channels.push.subscription import checked
from channels.push.words import PURPOSE, Registrant, Said
from channels.service import Channels
from consent.signals import gpc
from events.errors import KeyWithoutSource
from events.service import Events
from identity.identifiers import MAX_ENDPOINT, Identifier
from identity.visitor import KIND as ANONYMOUS
from identity.visitor import visitor
from kernel.ids import DeliveryId

router = APIRouter(tags=["push"])
_PREFLIGHT: Final = {**cors.PREFLIGHT, "Access-Control-Allow-Methods": "GET, POST, DELETE"}
_REPORT_BYTES: Final = 4096
_WORDS: Final = frozenset({"shown", "clicked", "dismissed"})
_SCRIPT: Final = {
    "Cache-Control": "public, max-age=3600",
    "Service-Worker-Allowed": "/",
    **cors.PUBLIC,
}


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Keys(_Body):
    """The browser's two keys, base64url."""

    p256dh: Annotated[str, Field(max_length=200)]
    auth: Annotated[str, Field(max_length=100)]


class BrowserSubscription(_Body):
    """`PushSubscription.toJSON()`."""

    endpoint: Annotated[str, Field(max_length=MAX_ENDPOINT)]
    keys: Keys
    expirationTime: float | None = None  # noqa: N815 - the browser's own spelling


class Notice(_Body):
    """The words that she saw beside the question."""

    text: Annotated[str, Field(min_length=1, max_length=10_000)]
    version: Annotated[str, Field(min_length=1, max_length=64)]
    language: Annotated[str, Field(min_length=2, max_length=35)]


class Consent(_Body):
    """A yes, under these words."""

    purpose: str = PURPOSE
    status: Literal["granted"] = "granted"
    notice: Notice


class Subject(_Body):
    """Whose browser it is. A browser key speaks for an `anonymousId` only."""

    anonymousId: Annotated[str, Field(min_length=1, max_length=500)] | None = None  # noqa: N815 - Segment's spelling
    userId: Annotated[str, Field(min_length=1, max_length=500)] | None = None  # noqa: N815


class Subscribe(Subject):
    """A subscription, and what was said."""

    subscription: BrowserSubscription
    applicationServerKey: Annotated[  # noqa: N815 - the browser's own spelling
        str | None, Field(max_length=200, description="The key it was made under; ours of now when left out.")
    ] = None
    replaces: Annotated[
        str | None, Field(max_length=MAX_ENDPOINT, description="The endpoint that it took the place of.")
    ] = None
    consent: Consent | None = None


class Unsubscribe(Subject):
    """An end to pushes on this browser; `withdraw` names a purpose that she takes back everywhere."""

    endpoint: Annotated[str, Field(max_length=MAX_ENDPOINT)] | None = None
    withdraw: str | None = None


@router.get("/v1/push/key")
async def key(request: Request, principal: Annotated[Principal, needs("browser", "collect")]) -> Response:
    """The key that browsers subscribe under now (`applicationServerKey`); null when push is not set up."""
    push = _channels(request).push
    current = (await push.keyring.current()).public if push.on else None
    return JSONResponse({"key": current}, headers=cors.answer(principal.origin))


@router.post("/v1/push/subscriptions")
async def subscribe(
    request: Request, body: Subscribe, principal: Annotated[Principal, needs("browser", "collect")]
) -> Response:
    """Take a browser's subscription in. `filtered`: the gate permits none; nothing was kept."""
    keys = body.subscription.keys
    found = checked(body.subscription.endpoint, keys.p256dh, keys.auth)
    said = None
    if body.consent is not None:
        said = Said(purpose=body.consent.purpose, **body.consent.notice.model_dump())
    made = await _channels(request).push.subscriptions.register(
        await _registrant(request, body, principal),
        found,
        public=body.applicationServerKey,
        said=said,
        replaces=body.replaces,
    )
    told = {"status": "subscribed", "contact": made.contact}
    if made.contact is None:
        told = {"status": "filtered", "reason": made.reason}
    return JSONResponse(told, headers=cors.answer(principal.origin))


@router.delete("/v1/push/subscriptions")
async def unsubscribe(
    request: Request, body: Unsubscribe, principal: Annotated[Principal, needs("browser", "collect")]
) -> Response:
    """End a browser's subscription. Whether there was one makes no difference to the answer."""
    who = await _registrant(request, body, principal)
    await _channels(request).push.subscriptions.unregister(who, body.endpoint, purpose=body.withdraw)
    return JSONResponse({"status": "unsubscribed"}, headers=cors.answer(principal.origin))


@router.options("/v1/push/key", include_in_schema=False)
@router.options("/v1/push/subscriptions", include_in_schema=False)
async def preflight() -> Response:
    """A browser asks whether it may ask from another origin."""
    return Response(status_code=204, headers=_PREFLIGHT)


@router.post("/webhooks/push", status_code=204)
async def report(request: Request) -> Response:
    """A browser reports what became of a push: two lines, the message's token and `shown`, `clicked` or `dismissed`."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _REPORT_BYTES:
            raise BadReport(f"expected at most {_REPORT_BYTES} bytes, got more")
    token, _, rest = bytes(raw).partition(b"\n")
    said = request.app.state.house.kernel.tokens.read(token.decode("latin-1"), REPORT)
    if said is None:
        raise BadReport("expected a living token of a push on the first line, got none")
    word = rest.strip().decode("latin-1")
    if word not in _WORDS:
        raise BadReport("expected shown, clicked or dismissed on the second line, got another word")
    await _channels(request).reported(DeliveryId(said.subject), word)
    return Response(status_code=204, headers=cors.PUBLIC)


@router.get("/push/sw.js", include_in_schema=False)
async def worker() -> Response:
    """The service worker that shows pushes; a shop's own worker may import it from here."""
    return Response(_script("sw.js"), media_type="text/javascript", headers=_SCRIPT)


@router.get("/push/subscribe.js", include_in_schema=False)
async def helper() -> Response:
    """`candorPush`: subscribe, unsubscribe, refresh; for a page or the web snippet."""
    return Response(_script("subscribe.js"), media_type="text/javascript", headers=_SCRIPT)


@cache
def _script(name: str) -> bytes:
    return files("channels").joinpath("push", "static", name).read_bytes()


async def _registrant(request: Request, body: Subject, principal: Principal) -> Registrant:
    if principal.source is None:
        raise KeyWithoutSource("expected a key that is bound to a source, got one that is not")
    named: list[Identifier] = []
    if Scope.COLLECT not in principal.scopes:
        named.append(visitor(body.anonymousId))
    else:
        source = await cast("Events", request.app.state.house.events).source(principal.source)
        if body.userId is not None:
            named.append(Identifier(source.user_kind, body.userId))
        if body.anonymousId is not None:
            named.append(Identifier(ANONYMOUS, body.anonymousId))
        if not named:
            raise BadSubscription("expected an anonymousId or a userId, got neither")
    return Registrant(
        identifiers=tuple(named),
        source=principal.source,
        actor=principal.actor,
        gpc=gpc.sent(request.headers.items()),
    )


def _channels(request: Request) -> Channels:
    return cast("Channels", request.app.state.house.channels)
