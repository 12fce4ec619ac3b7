"""Decisions: the list with its filters in the address, and one with every candidate, the gates, the numbers, its lineage and its proof.

Enters: an id. Leaves: ids, codes and numbers; a record holds no words of a person. Looking at one is an entry of the log.
"""

import math
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from fastapi import Query
from fastapi.responses import Response

from audit.access.principal import Scope
from audit.service import LineageEntry
from audit.tags import Tag
from kernel import paging
from kernel.canonical import Json
from kernel.errors import IntegrityError, NotFound
from kernel.ids import is_id
from kernel.log import get_logger
from orchestration.decision import reading_store
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.errors import DecisionRedacted, UnknownDecision
from orchestration.decision.reading_store import Line
from orchestration.service.console import words
from orchestration.service.console.guard import AtDesk, Desk
from orchestration.service.console.pages import View, act, answer, page
from orchestration.service.console.rendering import HEADERS

if TYPE_CHECKING:
    from orchestration.decision.store import Row

SEERS: Final = words.READERS["decisions"]
PROVERS: Final = (Scope.OFFICER, Scope.AUDITOR)
REPLAYERS: Final = (Scope.OFFICER, Scope.AUDITOR, Scope.OPERATE)
_THINGS: Final = ("decision", "act", "record", "delivery", "event", "explanation", "model")

log = get_logger("console")


@page("/decisions", "decisions.html", *SEERS)
async def decisions(
    desk: AtDesk,
    placement: str = "",
    channel: str = "",
    withheld: str = "",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MOST)] = paging.DEFAULT,
) -> View:
    """Newest first."""
    before = paging.read(cursor, 1)[0] if cursor else None
    async with desk.house.kernel.db.reading() as conn:
        found = await reading_store.listed(
            conn, placement=placement or None, channel=channel or None, withheld=withheld or None, before=before,
            limit=limit + 1,
        )  # fmt: skip
    cut = paging.cut(found, limit, lambda one: (one.id,))
    return {
        "decisions": [_line(one) for one in cut.items],
        "next": cut.next,
        "placement": placement,
        "channel": channel,
        "withheld": withheld,
        "placements": await _placements(desk),
        "channels": sorted(desk.house.channels.connectors),
    }


@page("/decisions/{decision}", "decision.html", *SEERS, api="/v1/decisions/{decision}")
async def decision(desk: AtDesk, decision: str) -> View:
    """One, with all that it rested on."""
    return await _decision(desk, decision)


@act("/decisions/{decision}/replay", *REPLAYERS)
async def replay(desk: AtDesk, decision: str) -> Response:
    """Decide again from the stored inputs and compare the bytes."""
    made = await desk.house.decisions.replay(checked_id(decision), actor=desk.principal.actor)
    told: Json = {
        "status": made.status, "recorded": made.recorded, "replayed": made.replayed, "entry_id": made.entry_id,
    }  # fmt: skip
    if not desk.may(*SEERS):
        return answer(desk, "replayed.html", {"id": decision, "replayed": told})
    return answer(desk, "decision.html", {**await _decision(desk, decision), "replayed": told})


@act("/decisions/{decision}/receipt", *PROVERS)
async def receipt(desk: AtDesk, decision: str) -> Response:
    """The file that proves the decision offline; a form, because giving it out is an act."""
    row = await desk.house.decisions.row(checked_id(decision))
    await desk.note({"decision": row.id}, "receipt", key_id=row.key_id)
    made = await desk.house.receipt(decision)
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{decision}.receipt.json"'}
    return Response(made.text, media_type="application/json", headers=headers)


async def _decision(desk: Desk, decision: str) -> View:
    house = desk.house
    row = await house.decisions.row(checked_id(decision))
    await desk.note({"decision": row.id}, "decision", key_id=row.key_id)
    about: View = {
        "id": row.id, "at": row.at.isoformat(), "placement": row.placement, "person": row.person, "trigger": row.trigger,
        "choice": row.choice, "variant": row.variant, "channel": row.channel, "propensity": row.propensity,
        "ranked_by": row.ranked_by, "explored": row.explored, "holdout": row.holdout, "held": row.held,
        "withheld": row.withheld, "expires_at": row.expires_at.isoformat(), "entry_id": row.entry_id,
        "delivery_id": row.delivery_id, "record": row.record,
        "digests": {"catalogue": row.catalogue, "policy": row.policy, "feature_set": row.feature_set, "model": row.model,
                    "inputs": row.inputs},
        "redacted": False, "candidates": [], "gates": [], "why": None, "lineage": None, "replayed": None, "worth": None,
    }  # fmt: skip
    if desk.may(*PROVERS):
        about["lineage"] = await _lineage(desk, row.id)
    try:
        record = cast("dict[str, Any]", await house.decisions.show(decision))
    except DecisionRedacted:
        return {**about, "redacted": True}
    candidates = [candidate(one) for one in record["candidates"]]
    about["candidates"] = cast("Json", candidates)
    about["gates"] = gates(candidates, withheld=row.withheld)
    about["policy"] = record["policy"]
    about["fallback"] = record["fallback"]
    about["seed"] = record["seed"]
    about["worth"] = record["arbitration"]
    about["why"] = await _why(desk, row)
    return about


def gates(candidates: list[dict[str, Any]], *, withheld: str | None) -> Json:
    """The gates in the order of asking: how many candidates each stopped, and which one ended it where nothing was sent (console.C15)."""
    order = [key for key, _, _ in words.GATES]
    stages = [order.index(one["stage"]) for one in candidates if one["stage"] in order and one["id"] != NOTHING]
    last = max(stages, default=-1) if withheld is not None else -1
    made: list[Json] = []
    for place, (key, name, question) in enumerate(words.GATES):
        stopped = [one for one in candidates if one["stage"] == key and one["id"] != NOTHING]
        asked = withheld is None or place <= last
        state = (
            "unruled" if key in words.UNRULED
            else "stopped" if place == last
            else "some" if stopped and key != "score"
            else "passed" if asked
            else "unasked"
        )  # fmt: skip
        made.append({
            "gate": key, "name": name, "question": question, "state": state, "stopped": len(stopped),
            "reasons": sorted({str(one["reason"]) for one in stopped}),
        })  # fmt: skip
    return made


def candidate(one: dict[str, Any]) -> dict[str, Any]:
    """One of the record's candidates, its numbers readable."""
    return {
        "id": one["id"], "stage": one["stage"], "number": one["number"], "reason": one["reason"], "act": one["act"],
        "score": _real(one["score"]), "utility": _real(one["utility"]), "propensity": _real(one["propensity"]),
    }  # fmt: skip


def _real(value: Any) -> float | None:
    found = None if value is None else float.fromhex(str(value))
    return found if found is None or math.isfinite(found) else None


async def _why(desk: Desk, row: "Row") -> Json:
    """The numbers behind the score, and what the person is told; an explanation that does not add up is said to be one."""
    explain = desk.house.explain
    try:
        found = await explain.explain(row.id)
    except IntegrityError as fault:
        log.error("explanation_not_shown", decision=row.id, code=fault.code)  # noqa: TRY400 - its code says it all
        return {"fault": fault.code, "remedy": fault.remedy}
    except NotFound as fault:  # the model's file is gone
        return {"fault": fault.code, "remedy": fault.remedy}
    numbers = cast("dict[str, Any]", explain.auditor_view(found).as_json())
    told = cast("dict[str, Any]", explain.person_view(found).as_json())
    if numbers["redacted"]:
        return None
    parts = sorted(numbers["features"], key=lambda one: -abs(float(one["contribution"])))
    return {
        "procedure": numbers["procedure"], "score": numbers["score"], "base": numbers["base"],
        "residual": numbers["residual"], "features": parts, "concepts": numbers["concepts"], "levers": told["levers"],
        "headline": told["headline"], "rules": told["rules"], "permission": numbers["permission"],
        "explanation": numbers["explanation"],
    }  # fmt: skip


async def _lineage(desk: Desk, decision: str) -> Json:
    found = await desk.house.audit.lineage([("decision", decision)])
    return [_act(one) for one in found if one.tag != Tag.READ_PERSONAL or decision in one.refs.get("decision", ())]


def _act(one: LineageEntry) -> dict[str, Json]:
    return {
        "entry_id": one.entry_id, "tag": one.tag, "at": one.at.isoformat(), "index": one.leaf_index,
        "refs": {kind: list(refs) for kind, refs in one.refs.items()},
        "things": [ref for kind in _THINGS for ref in one.refs.get(kind, ())],
    }  # fmt: skip


def _line(one: Line) -> dict[str, Json]:
    return {
        "id": one.id, "at": one.at.isoformat(), "person": one.person, "placement": one.placement, "choice": one.choice,
        "channel": one.channel, "propensity": one.propensity, "ranked_by": one.ranked_by, "explored": one.explored,
        "held": one.held, "withheld": one.withheld, "delivery_id": one.delivery_id,
    }  # fmt: skip


async def _placements(desk: Desk) -> Json:
    try:
        return [one.name for one in (await desk.house.decisions.shelf.current()).catalogue.placements]
    except NotFound:  # no catalogue was published yet
        return []


def checked_id(decision: str) -> str:
    """The id itself.

    Raises:
        UnknownDecision: it is none.
    """
    if not is_id(decision, "dec"):
        raise UnknownDecision("expected the id of a decision (dec_…), got something else")
    return decision
