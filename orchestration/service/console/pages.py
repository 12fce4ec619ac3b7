"""How a page is declared: one function that gathers a view, read by people as HTML and by programs as JSON at the same address plus `.json`.

Enters: a path, a template, the scopes that may see it, and a coroutine that takes a `Desk`. Leaves: two routes behind one guard; a form's route behind the same.
A view is plain JSON, so that both twins say the same (spec console.C29); a list puts the rest of itself behind a `next` cursor and a `Link` header.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Final, cast

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from audit.access.principal import Scope
from kernel.canonical import Json
from orchestration.service.console.guard import Desk, Door, renew
from orchestration.service.console.rendering import HEADERS, render, with_query

View = dict[str, Json]
Gather = Callable[..., Awaitable[View | Response]]
THEMES: Final = ("light", "dark")

router = APIRouter(prefix="/console", include_in_schema=False)


def page(path: str, template: str, *scopes: Scope, api: str = "") -> Callable[[Gather], Gather]:
    """Declare a page. `api`: the route of the HTTP API that answers the same, where there is one."""

    def declare(gather: Gather) -> Gather:
        guard = [Depends(Door(*scopes))]

        @wraps(gather)
        async def twin(**given: Any) -> Response:
            view = await gather(**given)
            if isinstance(view, Response):
                return view
            return JSONResponse(view, headers={**HEADERS, **_following(_desk_of(given), view)})

        @wraps(gather)
        async def html(**given: Any) -> Response:
            view = await gather(**given)
            if isinstance(view, Response):
                return view
            desk = _desk_of(given)
            made = answer(desk, template, view, headers=_following(desk, view), api=api)
            await renew(desk, made)
            return made

        router.get(f"{path}.json" if path else "/overview.json", dependencies=guard, response_model=None)(twin)
        router.get(path, dependencies=guard, response_model=None)(html)
        return gather

    return declare


def act(path: str, *scopes: Scope) -> Callable[[Gather], Gather]:
    """Declare what a form does. It answers with a redirect, so that a reload sends nothing twice, or with a file."""

    def declare(gather: Gather) -> Gather:
        router.post(path, dependencies=[Depends(Door(*scopes))], response_model=None)(gather)
        return gather

    return declare


def answer(
    desk: Desk, template: str, view: View, *, headers: Mapping[str, str] | None = None, api: str = "", status: int = 200
) -> HTMLResponse:
    """A page as HTML."""
    request = desk.request
    base = desk.house.kernel.settings.base_url.rstrip("/")
    query = f"?{request.url.query}" if request.url.query else ""
    path = request.url.path
    twin = f"{'/console/overview' if path == '/console' else path}.json{query}"
    theme = request.cookies.get("candor-theme", "")
    words = render(
        template,
        view=view,
        desk=desk,
        here=f"{path}{query}",
        twin=twin,
        curl=f'curl -H "Authorization: Bearer $KEY" "{base}{twin}"',
        api=api.format(**request.path_params) if api else "",
        base=base,
        theme=theme if theme in THEMES else "",
    )
    return HTMLResponse(words, status_code=status, headers={**HEADERS, **(headers or {})})


def see(path: str) -> RedirectResponse:
    """To a page of ours, by GET."""
    return RedirectResponse(path, status_code=303, headers=dict(HEADERS))


def _desk_of(given: Mapping[str, Any]) -> Desk:
    return cast("Desk", given["desk"])


def _following(desk: Desk, view: View) -> dict[str, str]:
    cursor = view.get("next")
    if not isinstance(cursor, str):
        return {}
    query = {**desk.request.query_params, "cursor": cursor}
    return {"Link": f'<{with_query(desk.request.url.path, **query)}>; rel="next"'}
