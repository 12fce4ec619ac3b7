"""`/docs/api`: the description as a page to read and to try, with Swagger UI out of the package `fastapi-offline`. No other host is asked.

Enters: HTTP. Leaves: one page, its scripts and styles, under a policy that forbids inline code, other hosts and being framed. Without a script the page
says where the document lies.
"""

from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

router = APIRouter(include_in_schema=False)
_OURS: Final = {"start.js": "text/javascript", "api.css": "text/css"}
_VENDORED: Final = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}


@router.get("/docs/api")
async def page() -> Response:
    """The page."""
    return Response(_static("api.html"), media_type="text/html", headers=_HEADERS)


@router.get("/docs/api/{name}")
async def part(request: Request, name: str) -> Response:
    """A script or style of the page."""
    if (kind := _OURS.get(name)) is not None:
        return Response(_static(name), media_type=kind, headers={"Cache-Control": "no-cache"})
    if (kind := _VENDORED.get(name)) is None:
        raise HTTPException(404)
    tag = _tag()
    headers = {"Cache-Control": "public, max-age=3600", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(files("fastapi_offline").joinpath("static", name).read_bytes(), media_type=kind, headers=headers)


@cache
def _tag() -> str:
    from importlib.metadata import version

    return f'"{version("fastapi-offline")}"'


def _static(name: str) -> bytes:
    return files(__package__).joinpath("static", name).read_bytes()
