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
        f'<tr><td><a href="/problems/{escape(code)}"><code>{escape(code)}</code></a></td><td>{one["status"]}</td><td>{escape(one["means"])}</td></tr>'
        for code, one in codes().items()
    )
    table = f'<div class="scroll" tabindex="0" role="region" aria-label="Problem codes"><table><thead><tr><th scope="col">Code</th><th scope="col">Status</th><th scope="col">What it means</th></tr></thead><tbody>{rows}</tbody></table></div>'
    return strays.page(request, "Problem codes", _LEAD, status=200, more=table)


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


def _marked(text: str) -> str:
    """The text with what stands between backticks as code."""
    return "".join(
        f"<code>{escape(part)}</code>" if odd % 2 else escape(part) for odd, part in enumerate(text.split("`"))
    )
