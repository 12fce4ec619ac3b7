"""`/problems/{code}`: what a problem's `type` leads to: what the code means, and what to do about it.

Enters: HTTP. Leaves: a page for a browser, JSON for a program. What is known is `problems.yaml`, written out of the code; a code that is not in it is
answered as unknown, not as an accident. Nothing of the installation or of the request is told.
"""

from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from kernel.yaml_text import read_yaml
from orchestration.service import strays

router = APIRouter(include_in_schema=False)
_LEAD: Final = "Every refusal and every accident that a program meets here has a code. It never changes its meaning; its words may."


@router.get("/problems")
async def every(request: Request) -> Response:
    """All codes."""
    if not strays.person(request):
        return JSONResponse(codes())
    rows = "".join(
        f'<dt><a href="/problems/{escape(code)}"><code>{_breakable(code)}</code></a> <span class="quiet">HTTP {one["status"]}</span></dt>'
        f"<dd>{escape(one['means'])}</dd>"
        for code, one in codes().items()
    )
    return strays.page(request, "Problem codes", _LEAD, status=200, more=f"<dl>{rows}</dl>")


@router.get("/problems/{code}")
async def single(request: Request, code: str) -> Response:
    """One code."""
    if (found := codes().get(code)) is None:
        raise HTTPException(404)
    if not strays.person(request):
        return JSONResponse({"code": code, **found})
    facts = (
        f"<h2>What to do</h2><p>{_marked(found['remedy'])}</p>"
        f'<p class="quiet">HTTP {found["status"]}, {escape(found["title"])}. <a href="/problems">All codes</a></p>'
    )
    return strays.page(request, code, found["means"], status=200, more=facts)


@cache
def codes() -> dict[str, dict[str, Any]]:
    """Status, title, meaning and remedy by code."""
    return dict(read_yaml(files(__package__).joinpath("problems.yaml").read_text(encoding="utf-8")))


def _breakable(code: str) -> str:
    """A code that a narrow column breaks between its words."""
    return escape(code).replace("_", "_<wbr>").replace(".", ".<wbr>")


def _marked(text: str) -> str:
    """The text with what stands between backticks as code."""
    return "".join(
        f"<code>{escape(part)}</code>" if odd % 2 else escape(part) for odd, part in enumerate(text.split("`"))
    )
