"""What every request passes: an id, a size limit, security headers, one access-log line without personal data."""

import time
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernel.ids import new_id
from kernel.log import get_logger
from orchestration.service.problems import MEDIA_TYPE

MAX_BODY = 512 * 1024  # Segment's batch limit is 500 KB; nothing else is larger
CSP = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

log = get_logger("http")


class Envelope:
    """Outermost ASGI layer: request id in and out, headers, body limit, one log line a request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - the ASGI interface
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = new_id("rqs")
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                if headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("Content-Security-Policy", CSP)
                    headers.setdefault("Cache-Control", "no-store")
                headers["Server-Timing"] = f"total;dur={(time.perf_counter() - started) * 1000:.1f}"
            await send(message)

        length = Headers(scope=scope).get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY:
            await _too_large(answer, request_id)
        else:
            await self.app(scope, _limited(receive), answer)
        log.info(
            "request",
            request_id=request_id,
            method=scope["method"],
            route=getattr(scope.get("route"), "path", "-"),
            status=status,
            ms=round((time.perf_counter() - started) * 1000, 1),
        )


def _limited(receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Cut a body without a declared length at the limit: the reader sees a client that hung up."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > MAX_BODY:
                return {"type": "http.disconnect"}
        return message

    return limited


async def _too_large(send: Callable[[Message], Awaitable[None]], request_id: str) -> None:
    body = (
        f'{{"type":"about:blank","title":"Too large","status":413,"detail":"Expected at most {MAX_BODY} bytes; split the batch.",'
        f'"code":"too_large","request_id":"{request_id}","errors":[]}}'
    ).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
