"""What every request passes: an id, a size limit, security headers, one access-log line without personal data, and the last catch.

Enters: an ASGI request. Leaves: the application's answer with an id and safe headers; 413 for a body over the limit, whether its length was
declared or not; the 500 problem for an exception that nobody expected, whose cause is in the log only.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernel import metrics
from kernel.ids import new_id
from kernel.log import get_logger
from orchestration.service import problems

MAX_BODY = 512 * 1024  # Segment's batch limit is 500 KB; nothing else of our callers is larger
LARGER = {
    "/webhooks/sendgrid": 2 * 1024 * 1024
}  # what a provider batches is its choice: SendGrid's posts hold hundreds of events
CSP = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
HUNG_UP = 499  # for the log only: the client left before the answer

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
ACTS = ("/v1/stream", "/v1/placements")  # a GET that never ends, and one that decides and is kept: these have no HEAD

log = get_logger("http")
_requests = metrics.counter("candor_http_requests_total", "Requests that were answered; 499: the client left before.", ["method", "route", "status"])  # fmt: skip
_seconds = metrics.histogram("candor_http_request_seconds", "Time to answer a request, streams left out.", ["route"])


class Envelope:
    """Outermost layer of ours: request id in and out, headers, body limit, one log line a request, no exception past it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - the ASGI interface
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = new_id("rqs")
        scope.setdefault("state", {})["request_id"] = request_id
        with metrics.timed(request_id=request_id) as timings:
            looked_at = not any(scope["path"] == one or scope["path"].startswith(f"{one}/") for one in ACTS)
            head = scope["method"] == "HEAD" and looked_at
            asked = {**scope, "method": "GET"} if head else scope
            answer = _Answer(send, request_id, timings, head=head, looked_at=looked_at)
            status = await self._answered(asked, _Body(asked, receive), answer)
            timings.route = route = getattr(asked.get("route"), "path", "-")
        took = timings.total
        method = scope["method"] if scope["method"] in METHODS else "other"
        _requests.labels(method, route, str(status)).inc()
        if not answer.streams:  # a stream lasts as long as its page
            _seconds.labels(route).observe(took)
        log.info("request", request_id=request_id, method=method, route=route, status=status, ms=round(took * 1000, 1))

    async def _answered(self, scope: Scope, body: "_Body", answer: "_Answer") -> int:
        """Let the application answer, or answer for it; the status."""
        if not body.over:
            try:
                await self.app(scope, body.receive, answer.unless(body))
            except ClientDisconnect:
                if not body.over:
                    return HUNG_UP
            except Exception as error:  # broad: the HTTP top; logged in full, answered without its words
                if answer.status:
                    raise
                told = scope["app"].exception_handlers.get(Exception, problems.on_unexpected)  # a page for a browser
                response = await told(Request(scope), error)
                await response(scope, body.receive, answer.send)
        if body.over and not answer.status:
            response = problems.too_large(Request(scope), body.limit)
            await response(scope, body.receive, answer.send)
        return answer.status or HUNG_UP


class _Body:
    """The request's body, cut at the limit: its reader sees a client that hung up, and `over` is set."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._seen = 0
        self.limit = LARGER.get(scope["path"], MAX_BODY)
        declared = Headers(scope=scope).get("content-length", "")
        self.over = declared.isdigit() and int(declared) > self.limit

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self.limit:
                self.over = True
                return {"type": "http.disconnect"}
        return message


class _Answer:
    """The way out: adds the headers to whatever answers. `head`: the words stay here (RFC 9110, 9.3.2), the headers are those of GET. `looked_at`: where there is GET there is HEAD."""

    def __init__(
        self, send: Send, request_id: str, timings: metrics.Timings, *, head: bool = False, looked_at: bool = False
    ) -> None:
        self._send = send
        self._head = head
        self._looked_at = looked_at
        self._request_id = request_id
        self._timings = timings
        self.status = 0
        self.streams = False

    def unless(self, body: _Body) -> Send:
        """Sends what the application says, unless its words are about a body that was cut."""

        async def send(message: Message) -> None:
            if self.status or not body.over:
                await self.send(message)

        return send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Referrer-Policy", "no-referrer")
            if headers.get("content-type", "").startswith("text/html"):
                headers.setdefault("Content-Security-Policy", CSP)
                headers.setdefault("Cache-Control", "no-store")
            self.streams = headers.get("content-type", "").startswith("text/event-stream")
            methods = headers.get("allow", "").split(", ")
            if self._looked_at and "GET" in methods and "HEAD" not in methods:
                headers["Allow"] = ", ".join([*methods, "HEAD"])
            headers["Server-Timing"] = self._timings.header()
        elif self._head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)
