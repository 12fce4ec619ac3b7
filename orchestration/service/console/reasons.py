"""Reasons over time: which kinds of information come first where, whether they are others than before, whether reasons held when they were tried, which features tell what nobody may decide by.

Enters: a placement, days, day or week. Leaves: counts about nobody. An officer accepts a feature that tells a sensitive attribute here, with a reason that the log keeps.
"""

from datetime import timedelta
from typing import Annotated, Any, Final, Literal, cast

from fastapi import Query
from fastapi.responses import Response

from audit.access.principal import Scope
from explain.standing import of_explanations
from explain.tallies import FEWEST, Course, leading
from kernel.canonical import Json
from orchestration.service.console import words
from orchestration.service.console.guard import AtDesk, Desk
from orchestration.service.console.pages import View, act, page, see
from orchestration.service.console.why import concept

READERS: Final = words.READERS["reasons"]
SPANS: Final = (28, 56, 182)
SEEN: Final = 0.02  # of first reasons: what is told as having moved


@page("/reasons", "reasons.html", *READERS)
async def reasons(
    desk: AtDesk, days: Annotated[int, Query()] = 56, by: Literal["day", "week"] = "week", placement: str = ""
) -> View:
    """What counted, and whether it was true."""
    house, days = desk.house, days if days in SPANS else 56
    now = house.kernel.clock.now()
    courses = await house.explain.tallies.over(now, days=days, by=by)
    async with house.kernel.db.reading() as conn:
        found = await of_explanations(conn, now)
    trials = await house.explain.falsifier.trials(14)
    return {
        "days": days, "by": by, "placement": placement, "fewest": FEWEST, "seen": SEEN, "alarm": house.explain.settings.drift_alarm,
        "newest": house.explain.settings.drift_days, "standing": found.to_json(), "honesty": (await house.explain.honesty()).as_json(), "placements": [one.placement for one in courses],
        "courses": [drawn(one) for one in courses if placement in {"", one.placement}],
        "trials": [{"at": one.at.isoformat(), "holds": one.holds, **one.counts()} for one in trials],
        "late": bool(trials) and now - trials[0].at > timedelta(hours=50), "proxies": await _proxies(desk),
    }  # fmt: skip


@act("/reasons/accept", Scope.OFFICER)
async def accept(desk: AtDesk) -> Response:
    """Let models use a feature although it tells a sensitive attribute."""
    attribute, feature, reason = [await desk.field(name) for name in ("attribute", "feature", "reason")]
    await desk.house.learning.proxies.accept(attribute, feature, actor=desk.principal.actor, reason=reason)
    return see("/console/reasons#proxies")


def drawn(one: Course) -> Json:
    """A course with what a picture of it needs: the shares of the leading kinds of information, stretch by stretch."""
    told = cast("dict[str, Any]", one.to_json())
    names = leading(one)
    told["leading"] = [
        {
            "concept": name, "words": concept(name),
            "first": [part.concepts[name].first if name in part.concepts else 0.0 if part.concepts else None for part in one.stretches],
        }
        for name in names
    ]  # fmt: skip
    told["labels"] = [part.begin.isoformat() for part in one.stretches]
    told["moved"] = [each for each in told["moved"] if abs(each["now"] - each["before"]) >= SEEN]
    for each in told["moved"]:
        each["words"] = concept(each["concept"])
    return cast("Json", told)


async def _proxies(desk: Desk) -> Json:
    """The newest audit of each placement, and what was accepted."""
    proxies = desk.house.learning.proxies
    names = await desk.names()
    accepted = {(one.attribute, one.feature): one for one in await proxies.accepted()}
    placements: list[Json] = []
    for run in await proxies.newest():
        told = cast("list[dict[str, Any]]", [dict(cast("dict[str, Any]", one)) for one in run.findings])
        for one in told:
            word = accepted.get((one["attribute"], one["subject"]))
            one["words"] = concept(one["subject"]) if one["kind"] == "concept" else one["subject"]
            one["accepted"] = None if word is None else {
                "by": names.get(word.actor, word.actor), "at": word.at.isoformat(), "reason": word.reason,
            }  # fmt: skip
        placements.append({
            "placement": run.placement, "at": run.at.isoformat(), "people": run.people, "untried": list(run.untried),
            "findings": cast("Json", told[:40]),
        })  # fmt: skip
    attributes: list[Json] = [{"name": one.name, "because": one.because} for one in proxies.sensitive.attributes]
    return {"placements": placements, "direct": dict(proxies.direct), "attributes": attributes}
