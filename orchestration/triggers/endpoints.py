"""Routes of triggers: call one, look at them and at their runs, let one rest.

Enters: HTTP with a key of the scope named at the route. Leaves: JSON of ids, states, reasons and times. The wing is found at `request.app.state.house.triggers`.
"""

from typing import Annotated, cast

from fastapi import APIRouter, Request, Response, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from audit.access.endpoints import needs
from audit.access.principal import Principal
from identity.identifiers import Identifier
from kernel.canonical import Json
from orchestration.decision.request import DecisionRequest
from orchestration.triggers.runs import Run, State, StepTaken
from orchestration.triggers.service import Triggers

router = APIRouter(tags=["triggers"])


class FireBody(BaseModel):
    """Whom it is about: `person` ("per_…" or "kind:value"), or `identifiers` by kind. `key`: the caller's name for the cause, told once."""

    model_config = ConfigDict(extra="forbid")
    person: Annotated[str, Field(min_length=3, max_length=512)] | None = None
    identifiers: dict[str, Annotated[str, Field(min_length=1, max_length=512)]] = {}
    key: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class StepView(BaseModel):
    """One line of a run's history."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    at: AwareDatetime
    state: State
    reason: str


class RunView(BaseModel):
    """Where a run stands, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    run_id: str
    trigger: str
    kind: str
    person: str | None
    state: State
    reason: str
    at: AwareDatetime
    due_at: AwareDatetime
    decision_id: str | None
    delivery_id: str | None
    repeated: bool = False
    history: list[StepView] = []


class TriggerView(BaseModel):
    """A trigger that rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    kind: str
    placement: str
    paused: bool
    rule: dict[str, Json]
    runs: dict[str, int]


class ChangedView(BaseModel):
    """Whether the act changed anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    changed: bool


@router.get("/v1/triggers")
async def listed(request: Request, _: Annotated[Principal, needs("send", "operate")]) -> list[TriggerView]:
    """Every published trigger, whether it rests, and its runs by state."""
    return [
        TriggerView(
            name=one.rule.name, kind=one.rule.kind, placement=one.rule.placement, paused=one.paused,
            rule=one.rule.model_dump(mode="json", by_alias=True), runs=dict(one.runs),
        )
        for one in await _wing(request).listed()
    ]  # fmt: skip


@router.post("/v1/triggers/{name}", status_code=status.HTTP_202_ACCEPTED)
async def fire(request: Request, response: Response, name: str, body: FireBody, principal: Annotated[Principal, needs("send")]) -> RunView:  # fmt: skip
    """Set off a trigger whose `when` is api. 202 when it is taken, with what became of it where it was due at once; 200 for a `key` that was told before."""
    about = DecisionRequest(
        placement="", person=body.person, actor=principal.actor,
        identifiers=tuple(Identifier(kind, value) for kind, value in body.identifiers.items()),
    )  # fmt: skip
    made = await _wing(request).fire(name, about, key=body.key)
    if made.repeated:
        response.status_code = status.HTTP_200_OK
    return _view(made.run, await _wing(request).history(made.run.run_id), repeated=made.repeated)


@router.post("/v1/triggers/{name}/pause")
async def pause(request: Request, name: str, principal: Annotated[Principal, needs("operate")]) -> ChangedView:
    """Let a trigger rest: nothing sets it off, nothing of it is decided."""
    return ChangedView(changed=await _wing(request).pause(name, actor=principal.actor))


@router.post("/v1/triggers/{name}/resume")
async def resume(request: Request, name: str, principal: Annotated[Principal, needs("operate")]) -> ChangedView:
    """Let it go on; what became due meanwhile is decided unless its rule calls that too late."""
    return ChangedView(changed=await _wing(request).resume(name, actor=principal.actor))


@router.get("/v1/trigger-runs/{run_id}")
async def show(request: Request, run_id: str, _: Annotated[Principal, needs("send", "officer", "auditor")]) -> RunView:
    """One run and its history: every step with its reason."""
    wing = _wing(request)
    return _view(await wing.run(run_id), await wing.history(run_id))


def _wing(request: Request) -> Triggers:
    return cast("Triggers", request.app.state.house.triggers)


def _view(run: Run, history: list[StepTaken], *, repeated: bool = False) -> RunView:
    return RunView(
        run_id=run.run_id, trigger=run.trigger, kind=run.kind, person=run.person, state=run.state, reason=run.reason,
        at=run.at, due_at=run.due_at, decision_id=run.decision_id if run.settled_at is not None else None,
        delivery_id=run.delivery_id, repeated=repeated,
        history=[StepView(at=one.at, state=one.state, reason=one.reason) for one in history],
    )  # fmt: skip
