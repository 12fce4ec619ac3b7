"""Why it was decided so, as an auditor reads it: from the base to the score, from the score to what was compared, every loser, one against another (spec explain.E1, E2).

Enters: a decision, perhaps another of its candidates. Leaves: the numbers of the explanation that is kept and of the record behind it; no words of a person. A look is an entry of the log.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from audit.tags import Tag
from explain.wording import words as person_words
from kernel.canonical import Json
from kernel.errors import IntegrityError, InvalidInput, NotFound
from kernel.log import get_logger
from orchestration.decision.errors import DecisionRedacted
from orchestration.service.console.decisions import PROVERS, SEERS, candidate, checked_id
from orchestration.service.console.guard import AtDesk, Desk
from orchestration.service.console.pages import View, page

if TYPE_CHECKING:
    from orchestration.decision.store import Row

log = get_logger("console")
_TERMS: Final = {
    "score": "the score", "value": "what one is worth", "cost": "its own cost", "channel_cost": "cost of the channel", "fatigue": "messages of late",
    "freshness": "how new it is",
}  # fmt: skip
_PROOFS: Final = (Tag.DECISION_MADE, Tag.EXPLANATION_MADE)


@page("/decisions/{decision}/why", "auditor.html", *SEERS, api="/v1/decisions/{decision}/why?view=auditor")
async def why(desk: AtDesk, decision: str, by: Literal["concepts", "features"] = "concepts", against: str = "") -> View:
    """One decision, with the numbers behind it."""
    row = await desk.house.decisions.row(checked_id(decision))
    await desk.note({"decision": row.id}, "explanation", key_id=row.key_id)
    about: View = {
        "id": row.id, "at": row.at.isoformat(), "placement": row.placement, "choice": row.choice, "by": by, "against": against,
        "propensity": row.propensity, "redacted": False, "fault": None, "explained": None, "score": [], "worth": [], "unit": "",
        "candidates": [], "contrast": None, "proofs": [], "record": row.record,
        "digests": {"catalogue": row.catalogue, "policy": row.policy, "feature_set": row.feature_set, "model": row.model,
                    "inputs": row.inputs},
    }  # fmt: skip
    try:
        record = cast("dict[str, Any]", await desk.house.decisions.show(decision))
    except DecisionRedacted:
        return {**about, "redacted": True}
    about["candidates"] = [candidate(one) for one in record["candidates"]]
    worth = record["arbitration"]
    about["unit"] = worth["unit"] if worth else ""
    about["worth"] = from_score(_arm(worth, row.choice))
    about["seed"] = record["seed"]
    about["policy"] = record["policy"]
    about["ranked_by"] = record["ranked_by"]
    if desk.may(*PROVERS):
        about["proofs"] = await _proofs(desk, row.id)
    about["contrast"] = await _contrast(desk, row.id, against) if against else None
    return {**about, **await _explained(desk, row, by)}


async def _contrast(desk: Desk, decision: str, against: str) -> Json:
    """What was chosen against another candidate, as steps from the one to the other; or why the two cannot be compared."""
    try:
        found = await desk.house.explain.contrast(decision, None, against)
    except (IntegrityError, NotFound, InvalidInput) as fault:
        return {"fault": fault.message, "remedy": fault.remedy}
    told = cast("dict[str, Any]", found.as_json())
    told["steps"] = between(told["b"]["compared"], told["differences"], told["a"]["compared"])
    told["score_steps"] = between(told["b"]["score"], told["features"], told["a"]["score"])
    return cast("Json", told)


def between(low: float | None, differences: Sequence[Mapping[str, Any]], high: float | None) -> list[Json]:
    """The steps from one number to another; empty where one of them is none."""
    if low is None or high is None:
        return []
    parts = sorted(differences, key=lambda one: -abs(float(one["difference"])))
    return [
        _level("other", "the other", low),
        *(
            {**_step("part", str(one["name"]), float(one["difference"]), None), "a": one["a"], "b": one["b"]}
            for one in parts
        ),
        _level("chosen", "what was chosen", high),
    ]


async def _explained(desk: Desk, row: "Row", by: str) -> View:
    """What the kept explanation says; one that does not hold is said to be one."""
    explain = desk.house.explain
    try:
        found = await explain.explain(row.id)
    except (IntegrityError, NotFound) as fault:
        log.error("explanation_not_shown", decision=row.id, code=fault.code)  # noqa: TRY400 - its code says it all
        return {"fault": {"code": fault.code, "remedy": fault.remedy}}
    numbers = cast("dict[str, Any]", explain.auditor_view(found).as_json())
    if numbers["redacted"]:
        return {"redacted": True}
    told = cast("dict[str, Any]", explain.person_view(await explain.hers(found), "en").as_json())
    return {
        "explained": {
            "procedure": numbers["procedure"], "headline": told["headline"], "score": numbers["score"], "base": numbers["base"],
            "residual": numbers["residual"], "explanation": numbers["explanation"], "versions": numbers["versions"],
            "permission": numbers["permission"], "levers": numbers["levers"], "shown": told["levers"],
        },
        "score": to_score(numbers, by),
    }  # fmt: skip


def to_score(numbers: Mapping[str, Any], by: str) -> list[Json]:
    """The steps from the base to the score: by concept, strongest first, or by feature. Empty where no model ruled."""
    if numbers["base"] is None:
        return []
    known = {one["feature"]: one for one in numbers["features"]}
    made: list[dict[str, Json]] = []
    for one in numbers["concepts"]:
        parts = [known[name] for name in one["features"]]
        if by == "features":
            made += [
                {"kind": "part", "name": part["feature"], "words": part["feature"], "value": part["contribution"],
                 "features": [part], "concept": one["concept"], "alone": None, "direction": None}
                for part in parts
            ]  # fmt: skip
        else:
            made.append({
                "kind": "part", "name": one["concept"], "words": concept(one["concept"]), "value": one["contribution"],
                "features": parts, "concept": one["concept"], "alone": one["alone"], "direction": one["direction"],
            })  # fmt: skip
    moved = sorted((one for one in made if one["value"]), key=lambda one: -abs(cast("float", one["value"])))
    return [_level("base", "start for everybody", numbers["base"]), *moved, _level("score", "the score", numbers["score"])]  # fmt: skip


def from_score(arm: Mapping[str, Any] | None) -> list[Json]:
    """The steps from the score to the utility that was compared: what each factor made of it, then what was taken off. Empty for sending nothing."""
    if arm is None:
        return []
    factors = [(str(one["name"]), float(one["factor"])) for one in arm["factors"]]
    # A record holds the value first; a score, where there is one, is what the reader comes from.
    begin = 1 if len(factors) > 1 and factors[1][0] == "score" else 0
    _, now = factors.pop(begin)
    steps: list[Json] = [_level("score" if begin else "value", "the score" if begin else "the declared value", now)]
    for name, factor in factors:
        steps.append(_step("factor", name, now * (factor - 1.0), factor))
        now *= factor
    steps += [
        _step("taken", str(one["name"]), -float(one["amount"]), None) for one in arm["deductions"] if one["amount"]
    ]
    return [*steps, _level("utility", "what was compared", float(arm["utility"]))]


def _level(name: str, said: str, value: float) -> dict[str, Json]:
    return {
        "kind": "level", "name": name, "words": said, "value": value, "features": [], "concept": None,
        "alone": 0.0, "direction": "",
    }  # fmt: skip


def _step(kind: str, name: str, value: float, factor: float | None) -> dict[str, Json]:
    said = _TERMS.get(name, name.replace("_", " "))
    return {"kind": kind, "name": name, "words": said, "value": value, "factor": factor, "features": []}


def concept(key: str) -> str:
    """A concept as people read it."""
    return person_words("en").of("concepts", key)


def _arm(worth: Mapping[str, Any] | None, choice: str) -> Mapping[str, Any] | None:
    arms: Sequence[Mapping[str, Any]] = worth["arms"] if worth else ()
    return next((one for one in arms if one["id"] == choice), None)


async def _proofs(desk: Desk, decision: str) -> Json:
    found = await desk.house.audit.lineage([("decision", decision)])
    return [
        {"tag": one.tag, "entry_id": one.entry_id, "at": one.at.isoformat(), "index": one.leaf_index}
        for one in found
        if one.tag in _PROOFS and decision in one.refs.get("decision", ())
    ]
