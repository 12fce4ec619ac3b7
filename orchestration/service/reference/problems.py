"""How refusals look in the description: RFC 9457 problems, one schema for all of them, one response a status.

Enters: a status and the codes that an operation answers with it. Leaves: OpenAPI responses.
"""

from typing import Any, Final

from orchestration.service.problems import MEDIA_TYPE

_ID: Final = "rqs_01JABCDEFGHJKMNPQRSTVWXYZ0"
SCHEMAS: Final[dict[str, Any]] = {
    "Problem": {
        "type": "object",
        "description": "Why a request was refused (RFC 9457). `code` is stable; `title` and `detail` are for people.",
        "required": ["type", "title", "status", "detail", "code", "request_id", "errors"],
        "additionalProperties": False,
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "A page about this code."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was expected, what came, and what to do next."},
            "code": {"type": "string", "description": "What programs may decide on."},
            "request_id": {"type": "string", "description": "Also in the header X-Request-Id and in the log."},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
        },
    },
    "Fault": {
        "type": "object",
        "description": "One faulty place of a request.",
        "required": ["pointer", "reason"],
        "additionalProperties": False,
        "properties": {
            "pointer": {"type": "string", "description": "Where, as a JSON pointer into the request."},
            "reason": {"type": "string"},
        },
    },
}
_SAID: Final = {
    401: (
        "No key, or one that is unknown, expired or revoked: `not_authenticated`.",
        "not_authenticated", "Not permitted", "expected a key in the Authorization header, got none. Send a live key in the Authorization header.",
    ),
    403: (
        "The key lacks the scope (`scope_missing`), or is bound to another web origin (`wrong_origin`).",
        "scope_missing", "Not permitted", "expected a key with one of the scopes send, got another. Use a key that holds one of them.",
    ),
    404: ("There is no such thing, or no longer.", "not_found", "Not found", "expected the id of a decision, got one that nobody made. Check the id; it may have been erased or may belong to another installation."),
    409: ("The state moved, or is not the one this act needs.", "conflict", "The current state does not allow this", "expected an open request, got one that is closed. Read the current state and decide again."),
    413: ("The body is too large: `too_large`.", "too_large", "Too large", "Expected a body of at most 524288 bytes, got more. Split the batch and send the parts."),
    422: (
        "The request has not the documented shape: `invalid_request`; `errors` names each place that differs.",
        "invalid_request", "The input is not valid", "Expected a request of the documented shape; `errors` names each place that differs.",
    ),
    429: ("Too many at once: `too_busy`. Come back after the seconds in `Retry-After`.", "too_busy", "Too many requests", "expected room in the queue, got a full one. Try again shortly."),
    500: (
        "Something broke on our side, or evidence does not add up: `unexpected`, `integrity`.",
        "unexpected", "Unexpected error", "Something broke on our side; quote the request id when you report it.",
    ),
    503: (
        "A part that this needs does not answer now: `unavailable`. The same request may succeed after the seconds in `Retry-After`.",
        "unavailable", "Temporarily unavailable", "expected Postgres to answer, got no connection. Try again shortly; `candor doctor` tells which part is down.",
    ),
}  # fmt: skip
_FAULTS: Final = {422: [{"pointer": "/body/placement", "reason": "Field required"}]}
_HEADERS: Final = {
    401: {"WWW-Authenticate": {"description": "How to come back.", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
    503: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
}


def _response(status: int) -> dict[str, Any]:
    words, code, title, detail = _SAID[status]
    example = {
        "type": f"https://candor.example.org/problems/{code}", "title": title, "status": status, "detail": detail,
        "code": code, "request_id": _ID, "errors": _FAULTS.get(status, []),
    }  # fmt: skip
    headers = {"headers": _HEADERS[status]} if status in _HEADERS else {}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {code: {"value": example}}}}
    return {"description": words, **headers, "content": content}


RESPONSES: Final = {f"Problem{status}": _response(status) for status in _SAID}


def refusal(status: int, words: str | None) -> dict[str, Any]:
    """The response of an operation that refuses with a status; `words` add the operation's own codes."""
    common: dict[str, Any] = {"$ref": f"#/components/responses/Problem{status}"}
    # OpenAPI 3.1 lets a description stand beside a reference to a response and prefer it.
    return common if words is None else {**common, "description": f"{words}"}
