"""What would have been decided, had something been otherwise: a form over the counterfactual door (decision.D10, explain.E4).

Enters: a decision and one or more changes, in the address. Leaves: before and after side by side. Nothing is kept, counted, reserved or learned from; the look is an entry of the log.
"""

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Final, cast

from audit.access.principal import Scope
from explain.concepts import rule_of
from kernel.canonical import Json
from kernel.errors import InvalidInput
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.counterfactual import RULES, Change
from orchestration.decision.errors import DecisionRedacted
from orchestration.service.console.decisions import checked_id
from orchestration.service.console.guard import AtDesk, Desk
from orchestration.service.console.pages import View, page
from orchestration.service.console.why import concept as told

if TYPE_CHECKING:
    from orchestration.decision.store import Row

ASKERS: Final = (Scope.OFFICER, Scope.AUDITOR, Scope.OPERATE)


@page("/decisions/{decision}/whatif", "whatif.html", *ASKERS, api="/v1/decisions/{decision}/counterfactual")
async def whatif(
    desk: AtDesk, decision: str, withdraw: str = "", concept: str = "", without: str = "", feature: str = "", value: str = "",
    channel: str = "", exclude: str = "", known_on: str = "", ranker: str = "",
) -> View:  # fmt: skip
    """The form, and the answer where something was asked."""
    asked = {
        "withdraw": withdraw, "concept": concept, "without": without, "feature": feature, "value": value, "channel": channel,
        "exclude": exclude, "known_on": known_on, "ranker": ranker,
    }  # fmt: skip
    row = await desk.house.decisions.row(checked_id(decision))
    await desk.note({"decision": row.id}, "counterfactual", key_id=row.key_id)
    about: View = {
        "id": row.id, "choice": row.choice, "placement": row.placement, "asked": cast("Json", asked), "redacted": False, "answer": None,
        "refused": None, "choices": None,
    }  # fmt: skip
    try:
        record = cast("dict[str, Any]", await desk.house.decisions.show(decision))
    except DecisionRedacted:
        return {**about, "redacted": True}
    candidates = [str(one["id"]) for one in record["candidates"] if one["id"] != NOTHING]
    about["choices"] = await _choices(desk, row, candidates)
    if not any(asked.values()):
        return about
    try:
        change = await _change(desk, row, asked, candidates)
        found = (await desk.house.decisions.counterfactual.ask(row.id, change)).to_json()
    except InvalidInput as fault:
        return {**about, "refused": {"message": fault.message, "remedy": fault.remedy}}
    return {**about, "answer": side_by_side(found), "said": said(asked)}


async def _change(desk: Desk, row: "Row", asked: dict[str, str], candidates: list[str]) -> Change:
    """What the form asks for.

    Raises:
        InvalidInput: a value that is no number, a day that is none, a word that the form does not offer.
    """
    names = _features(desk, row)
    without = [asked["without"]] if asked["without"] else []
    if asked["concept"]:
        without += [name for name in names if _concept(name) == asked["concept"]]
        if not without:
            raise _odd("a kind of information that this decision could look at")
    values: dict[str, float] = {}
    if asked["known_on"]:
        values |= await _known_on(desk, row, asked["known_on"])
    if asked["feature"] or asked["value"]:
        if not (asked["feature"] and asked["value"]):
            raise _odd("a feature and its other value together")
        try:
            values[asked["feature"]] = float(asked["value"])
        except ValueError:
            raise _odd("a number as the other value") from None
    exclude = [asked["exclude"]] if asked["exclude"] else []
    if asked["channel"]:
        exclude += [one for one in candidates if one.rpartition("@")[2] != asked["channel"]]
        if len(set(exclude)) == len(candidates):
            raise _odd("a channel that a candidate was for")
    return Change(
        withdraw=asked["withdraw"] or None, without=tuple(dict.fromkeys(without)), features=values or None,
        exclude=tuple(dict.fromkeys(exclude)), ranker=asked["ranker"] or None,
    )  # fmt: skip


async def _known_on(desk: Desk, row: "Row", day: str) -> dict[str, float]:
    """The features as they were at the end of a day, by what was known then."""
    try:
        moment = datetime.combine(date.fromisoformat(day), time.max, tzinfo=UTC)
    except ValueError:
        raise _odd("a day such as 2026-03-05") from None
    profiles, moment = desk.house.profiles, min(moment, row.at)
    if row.person is None or row.feature_set != profiles.features.digest:
        raise _odd("a decision about somebody, made with the features that are declared today")
    shelved = await desk.house.decisions.shelf.current()
    purpose = shelved.catalogue.placement(row.placement).personalize_under
    async with desk.house.kernel.db.reading() as conn:
        (person,) = (await desk.house.identity.current(conn, [row.person])).values()
        found = await profiles.batch(conn, [person], purpose, moment, known_at=moment)
    return dict(zip(profiles.features.names, found.rows[0].tolist(), strict=True)) if len(found.people) else {}


async def _choices(desk: Desk, row: "Row", candidates: list[str]) -> Json:
    """What the form offers."""
    names = _features(desk, row)
    concepts = sorted({one for name in names if (one := _concept(name)) is not None})
    models = [
        {"digest": one["digest"], "rows": one["rows"], "at": one["trained_at"]}
        for one in await desk.house.learning.status()
        if one["placement"] == row.placement and one["digest"] != row.model
    ]
    place = (await desk.house.decisions.shelf.by_digest(row.catalogue)).placement(row.placement)
    purposes = dict.fromkeys([*(place.purpose_on(one) for one in place.channels), place.personalize_under])
    return {
        "purposes": list[Json](purposes), "concepts": [{"key": one, "words": told(one)} for one in concepts],
        "features": list[Json](names), "channels": sorted({one.rpartition("@")[2] for one in candidates}),
        "candidates": list[Json](candidates), "models": cast("Json", models), "day": row.at.date().isoformat(), "rules": RULES,
    }  # fmt: skip


def _features(desk: Desk, row: "Row") -> list[str]:
    """Features that the decision looked at; none where others are declared by now."""
    declared = desk.house.profiles.features
    return list(declared.names) if row.feature_set == declared.digest else []


def _concept(feature: str) -> str | None:
    rule = rule_of(feature)
    return rule.concept if rule is not None else None


def side_by_side(found: Any) -> Json:
    """Each candidate before and after, those first whose fate is another."""
    was, now = found["was"], found["would_be"]
    after = {one["id"]: one for one in now["candidates"]}
    rows = [{"id": one["id"], "was": one, "now": after[one["id"]], "moved": _moved(one, after[one["id"]])} for one in was["candidates"]]  # fmt: skip
    return {
        "differs": found["differs"],
        "was": {name: was[name] for name in ("choice", "channel", "propensity", "ranked_by", "withheld")},
        "now": {name: now[name] for name in ("choice", "channel", "propensity", "ranked_by", "withheld")},
        "rows": sorted(rows, key=lambda one: not one["moved"]),
    }


def _moved(was: Any, now: Any) -> bool:
    return bool((was["stage"], was["reason"], was["propensity"]) != (now["stage"], now["reason"], now["propensity"]))


def said(asked: dict[str, str]) -> Json:
    """The change in words."""
    parts = [
        asked["withdraw"] and f"the purpose {asked['withdraw']} taken back",
        asked["concept"] and f"without {told(asked['concept'])}",
        asked["without"] and f"without the feature {asked['without']}",
        asked["feature"] and f"{asked['feature']} = {asked['value']}",
        asked["channel"] and f"on {asked['channel']} only",
        asked["exclude"] and f"without the candidate {asked['exclude']}",
        asked["known_on"] and f"with what was known at the end of {asked['known_on']}",
        asked["ranker"] and ("ranked by the declared rules" if asked["ranker"] == RULES else "ranked by another model"),
    ]
    return [one for one in parts if one]


def _odd(wanted: str) -> InvalidInput:
    return InvalidInput(f"expected {wanted}, got something else", remedy="Choose from what the form offers.")
