"""Routes of experiments and rollouts: start one, let it grow, stop it, read what it says.

Enters: HTTP with a key of scope operate (reading also: auditor). Leaves: JSON of names, figures, reasons. The room is found at `request.app.state.house.learning`.
"""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Request, status
from pydantic import BaseModel, ConfigDict, Field

from audit.access.endpoints import needs
from audit.access.principal import Principal
from kernel.canonical import Json
from orchestration.learning.experiment import check
from orchestration.learning.experiment_store import Step
from orchestration.learning.service import Learning

router = APIRouter(tags=["experiments"])


class RampBody(BaseModel):
    """A share to go to, the next step where absent; `force` with a `reason` goes against the evidence."""

    model_config = ConfigDict(extra="forbid")
    to: Annotated[float, Field(gt=0, le=1)] | None = None
    force: bool = False
    reason: Annotated[str, Field(max_length=500)] = ""


class StopBody(BaseModel):
    """Why it is stopped; kept in the log."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=1, max_length=500)]


def _learning(request: Request) -> Learning:
    return cast("Learning", request.app.state.house.learning)


@router.get("/v1/experiments")
async def list_experiments(request: Request, _: Principal = needs("operate", "auditor")) -> dict[str, Json]:
    """Every experiment with its steps, the newest first."""
    return {"experiments": [one.to_json() for one in await _learning(request).experiments.every()]}


@router.post("/v1/experiments", status_code=status.HTTP_201_CREATED)
async def start_experiment(
    request: Request, body: dict[str, Any], principal: Principal = needs("operate")
) -> dict[str, Json]:
    """Start what the body declares, as the YAML file of `candor experiment start` does."""
    return _step(await _learning(request).experiments.start(check(body), actor=principal.actor))


@router.get("/v1/experiments/{name}")
async def show_experiment(request: Request, name: str, _: Principal = needs("operate", "auditor")) -> dict[str, Json]:
    """An experiment, its steps, and what it says at this look."""
    return (await _learning(request).experiments.status(name)).to_json()


@router.post("/v1/experiments/{name}/ramp")
async def ramp_experiment(
    request: Request, name: str, body: RampBody, principal: Principal = needs("operate")
) -> dict[str, Json]:
    """Let more people take part, where the evidence says so; otherwise why it holds."""
    moved = await _learning(request).experiments.ramp(
        name, actor=principal.actor, to=body.to, force=body.force, reason=body.reason
    )
    return {
        "step": None if moved.step is None else _step(moved.step), "held": moved.held, "report": moved.report.to_json(),
    }  # fmt: skip


@router.post("/v1/experiments/{name}/stop")
async def stop_experiment(
    request: Request, name: str, body: StopBody, principal: Principal = needs("operate")
) -> dict[str, Json]:
    """End it: nobody is treated by it any more."""
    return _step(await _learning(request).experiments.stop(name, actor=principal.actor, reason=body.reason))


def _step(one: Step) -> dict[str, Json]:
    return {
        "name": one.name, "at": one.at.isoformat(), "state": one.state, "share": one.share, "reason": one.reason,
        "evidence": dict(one.facts), "actor": one.actor,
    }  # fmt: skip
