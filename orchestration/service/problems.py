"""Errors as RFC 9457 problems: one mapping from the kernel's families to HTTP, for every route and every framework error.

Enters: an exception that reached the top. Leaves: `application/problem+json` with `type, title, status, detail, code, request_id,
errors[{pointer, reason}]`. An unexpected exception becomes a 500 whose text says nothing of its cause; the cause goes to the log
under the same request id.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from kernel.errors import (
    CandorError,
    Conflict,
    IntegrityError,
    InvalidInput,
    NotFound,
    NotPermitted,
    Problem,
    Unavailable,
)
from kernel.log import get_logger, redact

MEDIA_TYPE = "application/problem+json"
STATUS: dict[type[CandorError], int] = {
    InvalidInput: 422,
    NotFound: 404,
    Conflict: 409,
    NotPermitted: 403,
    Unavailable: 503,
    IntegrityError: 500,
}
SPECIAL = {"not_authenticated": 401, "too_large": 413, "too_busy": 429}
TITLES = {
    404: "Not found",
    405: "Method not allowed",
    413: "Too large",
    415: "Media type not supported",
    429: "Too many requests",
}
REFUSALS = {
    400: "Expected a body that can be read as its content type says, got another. Check its syntax and encoding.",
    404: "Expected the path of a route, got another. /openapi.json lists every route.",
    405: "Expected a method that this route has, got another. /openapi.json lists them.",
}

# Codes that no class of ours has: the framework's refusals, and what nobody foresaw.
NAMELESS: dict[str, dict[str, Any]] = {
    "invalid_request": {
        "status": 422, "title": InvalidInput.title, "means": "The body or a parameter has another shape than documented.",
        "remedy": "Correct each place that `errors` names; /docs/api shows the shape.",
    },
    "too_large": {
        "status": 413, "title": TITLES[413], "means": "The body is larger than this installation takes.",
        "remedy": "Split the batch and send the parts.",
    },
    "unexpected": {
        "status": 500, "title": "Unexpected error", "means": "Something broke on our side.",
        "remedy": "Quote the request id when you report it; the log tells the cause under the same id.",
    },
    **{
        f"http_{status}": {
            "status": status, "title": TITLES.get(status, "The request was refused"), "means": words.partition(". ")[0] + ".",
            "remedy": words.partition(". ")[2],
        }
        for status, words in REFUSALS.items()
    },
}  # fmt: skip

_NAME = re.compile(r"[\w.$:@~\[\]*-]{0,80}")

log = get_logger("http")


def status_of(error: CandorError) -> int:
    """The HTTP status of an error: its code's own, else its family's, else 500."""
    if error.code in SPECIAL:
        return SPECIAL[error.code]
    return next((status for family, status in STATUS.items() if isinstance(error, family)), 500)


def problem(
    request: Request, status: int, *, title: str, detail: str, code: str, errors: Sequence[Problem] = ()
) -> JSONResponse:
    """One problem document; 503 and 429 carry Retry-After, 401 says how to come back."""
    body: dict[str, Any] = {
        "type": f"{request.base_url}problems/{code}",
        "title": title,
        "status": status,
        # It may quote half a surrogate pair, and what somebody wrote where a name belongs.
        "detail": redact(detail).encode("utf-8", "replace").decode("utf-8"),
        "code": code,
        "request_id": getattr(request.state, "request_id", ""),
        "errors": [{"pointer": _place(p.pointer), "reason": redact(p.reason)} for p in errors],
    }
    headers = {
        429: {"Retry-After": "2"},
        503: {"Retry-After": "2"},
        401: {"WWW-Authenticate": 'Basic realm="candor", Bearer'},
    }.get(status, {})
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


async def on_candor_error(request: Request, error: Exception) -> JSONResponse:
    """A known accident: its own words, which hold no personal data by rule."""
    assert isinstance(error, CandorError)
    status = status_of(error)
    if status >= 500:
        log.error(
            "request_failed", code=error.code, request_id=getattr(request.state, "request_id", ""), reason=error.message
        )
    return problem(
        request,
        status,
        title=error.title,
        detail=f"{error.message}. {error.remedy}",
        code=error.code,
        errors=error.problems,
    )


async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
    """A body or parameter of the wrong shape; the values themselves are not repeated."""
    assert isinstance(error, RequestValidationError)
    faults = [_fault(e) for e in error.errors()]
    return problem(
        request,
        422,
        title=InvalidInput.title,
        detail="Expected a request of the documented shape; `errors` names each place that differs.",
        code="invalid_request",
        errors=faults,
    )


def _place(pointer: str) -> str:
    """A pointer whose members look like names; a sentence that somebody sent as a name is not repeated."""
    return redact("/".join(part if _NAME.fullmatch(part) else "[words]" for part in pointer.split("/")))


def _fault(found: Mapping[str, Any]) -> Problem:
    if found["type"] == "json_invalid":  # its place is an offset, not a member
        return Problem("/body", f"is not JSON: {found['ctx']['error']} at offset {found['loc'][-1]}")
    return Problem("/" + "/".join(str(part) for part in found["loc"]), str(found["msg"]))


async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """The framework's own refusals: unknown path, wrong method, bad body."""
    assert isinstance(error, HTTPException)
    title = TITLES.get(error.status_code, "The request was refused")
    told = REFUSALS.get(error.status_code, str(error.detail))
    answer = problem(request, error.status_code, title=title, detail=told, code=f"http_{error.status_code}")
    if (
        allowed := (error.headers or {}).get("Allow")
    ) is not None:  # RFC 9110, 15.5.6: a 405 says which methods there are
        answer.headers["Allow"] = allowed
    return answer


async def on_unexpected(request: Request, error: Exception) -> JSONResponse:
    """Anything else: logged in full, answered without its words."""
    request_id = getattr(request.state, "request_id", "")
    log.error("unexpected_error", request_id=request_id, exc_info=error)
    return problem(
        request,
        500,
        title="Unexpected error",
        detail="Something broke on our side; quote the request id when you report it.",
        code="unexpected",
    )


def too_large(request: Request, limit: int) -> JSONResponse:
    """A body over the limit, seen before any route reads it."""
    return problem(
        request,
        413,
        title=TITLES[413],
        detail=f"Expected a body of at most {limit} bytes, got more. Split the batch and send the parts.",
        code="too_large",
    )


def install(app: FastAPI) -> None:
    """Register the four handlers."""
    app.add_exception_handler(CandorError, on_candor_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(Exception, on_unexpected)
