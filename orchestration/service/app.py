"""The HTTP application: every room's routes behind one envelope.

Enters: an open `House`. Leaves: a FastAPI app, described at /openapi.json and /docs/api. Routes live in the rooms; this page only says
which.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.routing import BaseRoute

import audit.endpoints
import channels.email.endpoints
import channels.endpoints
import channels.push.endpoints
import channels.web.endpoints
import consent.endpoints
import events.endpoints
import explain.endpoints
import explain.significant_endpoints
import identity.endpoints
import identity.judging_endpoints
import identity.reasons_endpoints
import orchestration.decision.endpoints
import orchestration.decision.placing_endpoints
import orchestration.learning.endpoints
import orchestration.triggers.endpoints
import profiles.endpoints
from orchestration.service import problems, strays, watching
from orchestration.service.checks import ready
from orchestration.service.console import faults
from orchestration.service.console.site import router as console
from orchestration.service.console.throttle import Throttle
from orchestration.service.lane import Lane
from orchestration.service.middleware import Envelope
from orchestration.service.reference import codes, pages
from orchestration.service.reference.document import Document, document

if TYPE_CHECKING:
    from orchestration.wiring import House

ROUTERS = (  # a request walks them in this order: what is asked most comes first
    orchestration.decision.endpoints.router,
    events.endpoints.router,
    orchestration.decision.placing_endpoints.router,
    orchestration.learning.endpoints.router,
    channels.web.endpoints.router,
    identity.endpoints.router,
    identity.judging_endpoints.router,
    identity.reasons_endpoints.router,
    profiles.endpoints.router,
    consent.endpoints.router,
    orchestration.triggers.endpoints.router,
    channels.endpoints.router,
    channels.email.endpoints.router,
    channels.push.endpoints.router,
    explain.endpoints.router,
    explain.significant_endpoints.router,
    audit.endpoints.router,
)

health = APIRouter(tags=["health"])


@health.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@health.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Postgres answers and the hot store is warm or at least known to be cold; 503 while it cannot decide."""
    checks = await ready(request.app.state.house)
    able = all(check.ok for check in checks if check.needed)
    body = {"ready": able, "checks": {c.name: c.state for c in checks}}
    return JSONResponse(body, status_code=200 if able else 503)


def create_app(house: "House", more: Sequence[APIRouter] = ()) -> FastAPI:
    """The application over an open house; `more` are routes that only this process has, as the demo's pages."""
    app = _routed(more)
    app.state.house = house
    problems.install(app)
    faults.install(app)
    strays.install(app)
    app.add_middleware(Lane)
    app.add_middleware(Envelope)
    app.state.watcher = watching.Watcher(house)
    app.state.throttle = Throttle()
    return app


def description() -> Document:
    """The OpenAPI document of the routes that every process has; no house is needed."""
    return document(_routed(()))


def _routed(more: Sequence[APIRouter]) -> FastAPI:
    app = FastAPI(title="Candor", docs_url=None, redoc_url=None)
    app.openapi = cache(lambda: document(app))  # type: ignore[method-assign]
    app.router.routes.extend(_included())
    for router in more:
        app.include_router(router)
    return app


@cache
def _included() -> tuple[BaseRoute, ...]:
    """The routes that every application has, made ready once in a process: making them ready costs more than most requests."""
    every = APIRouter()
    for router in (*ROUTERS, health, watching.router, console, pages.router, codes.router, strays.router):
        every.include_router(router)
    return tuple(every.routes)
