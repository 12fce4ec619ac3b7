"""The HTTP application: every room's routes behind one envelope.

Enters: an open `House`. Leaves: a FastAPI app with OpenAPI 3.1 at /openapi.json. Routes live in the rooms; this page only says which.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

import audit.endpoints
import channels.email.endpoints
import channels.endpoints
import channels.push.endpoints
import channels.web.endpoints
import consent.endpoints
import events.endpoints
import explain.endpoints
import identity.endpoints
import orchestration.decision.endpoints
import orchestration.decision.placing_endpoints
import profiles.endpoints
from orchestration.service import problems, watching
from orchestration.service.checks import ready
from orchestration.service.middleware import Envelope

if TYPE_CHECKING:
    from orchestration.wiring import House

ROUTERS = (  # a request walks them in this order: what is asked most comes first
    orchestration.decision.endpoints.router,
    events.endpoints.router,
    orchestration.decision.placing_endpoints.router,
    channels.web.endpoints.router,
    identity.endpoints.router,
    profiles.endpoints.router,
    consent.endpoints.router,
    channels.endpoints.router,
    channels.email.endpoints.router,
    channels.push.endpoints.router,
    explain.endpoints.router,
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
    app = FastAPI(
        title="Candor",
        version="0.1.0",
        summary="Decides, sends, explains and proves customer messages.",
        description="No message leaves without a permission, a reason and a receipt. Errors are RFC 9457 problems.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.house = house
    problems.install(app)
    app.add_middleware(Envelope)
    app.state.watcher = watching.Watcher(house)
    for router in (*ROUTERS, health, watching.router, *more):
        app.include_router(router)
    return app
