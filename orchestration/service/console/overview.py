"""The first page: what was decided and why not, what was sent, which model rules and by how much, what waits, whether the log is signed.

Enters: a `Desk`. Leaves: counts only, never a person.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from explain.standing import of_explanations
from kernel.canonical import Json
from kernel.errors import NotFound
from orchestration.decision import reading_store
from orchestration.decision.catalogue import NOTHING
from orchestration.learning.errors import NoRewardsYet
from orchestration.service.checks import ready
from orchestration.service.console.guard import STAFF, AtDesk
from orchestration.service.console.pages import View, page

if TYPE_CHECKING:
    from orchestration.wiring import House

DAYS: Final = (7, 30, 90)


@page("", "overview.html", *STAFF)
async def overview(desk: AtDesk, days: int = 30) -> View:
    """What happened lately."""
    house = desk.house
    days = days if days in DAYS else 30
    since = house.kernel.clock.now() - timedelta(days=days)
    counts = await house.decisions.counts(since)
    async with house.kernel.db.reading() as conn:
        by_day = await reading_store.by_day(conn, since)
    withheld, channels, choices = Counter[str](), Counter[str](), Counter[str]()
    for row in counts:
        n = int(cast("int", row["n"]))
        if row["withheld"] is not None:
            withheld[str(row["withheld"])] += n
        elif row["channel"] is not None:
            channels[str(row["channel"])] += n
            choices[f"{row['variant']}"] += n
        else:
            choices[NOTHING] += n
    backlog = await house.channels.backlog()
    return {
        "days": days,
        "decisions": sum(int(cast("int", row["n"])) for row in counts),
        "chosen": sum(channels.values()),
        "by_day": _every_day(by_day, since, days),
        "withheld": _ranked(withheld),
        "channels": _ranked(channels),
        "choices": _ranked(choices),
        "deliveries": _ranked(Counter(await house.channels.counts())),
        "waiting": sum(backlog.open.values()),
        "uncertain": sum(count for (_, state), count in backlog.open.items() if state == "uncertain"),
        "queue_age_seconds": round(backlog.oldest_due_seconds),
        "models": await _models(house),
        "earned": await _earned(house),
        "reasons": await _reasons(house),
        "log": await _log(house),
        "health": await _health(house),
    }


def _every_day(found: list[reading_store.Day], since: datetime, days: int) -> Json:
    """Days without any decision too, so that the picture has no gaps."""
    known = {one.day: one for one in found}
    every = [(since + timedelta(days=n)).astimezone(UTC).date().isoformat() for n in range(days + 1)]
    rows = [known.get(day, reading_store.Day(day, 0, 0)) for day in every]
    return [{"day": one.day, "chosen": one.chosen, "nothing": one.nothing} for one in rows]


def _ranked(counts: "Counter[str]") -> Json:
    return [{"name": name, "count": count} for name, count in counts.most_common()]


async def _models(house: "House") -> Json:
    """The model that rules each placement, and what the gate measured of it against chance and the best fixed choice."""
    found: list[Json] = []
    for one in await house.learning.status():
        if not one["active"]:
            continue
        judged = cast("dict[str, Any]", one["evaluation"])
        found.append({
            "placement": one["placement"], "digest": one["digest"], "rows": one["rows"], "trained_at": one["trained_at"],
            "vs_uniform": _against(judged.get("vs_uniform")), "vs_best_fixed": _against(judged.get("vs_best_fixed")),
            "best_fixed": judged.get("best_fixed"),
        })  # fmt: skip
    return found


def _against(judged: Any) -> Json:
    if not isinstance(judged, dict) or not all(name in judged for name in ("diff", "low", "high")):
        return None
    return {"diff": judged["diff"], "low": judged["low"], "high": judged["high"]}


async def _earned(house: "House") -> Json:
    """What each arm earned, by the newest count of outcomes; nothing where nobody counted yet."""
    found: list[Json] = []
    for placement in await _placements(house):
        try:
            earned = await house.learning.rewards.earned(placement, show=0)
        except NoRewardsYet:
            return []
        if earned.arms:
            found.append({
                "placement": placement, "as_of": earned.run.as_of.isoformat(), "window_days": earned.window_days,
                "unit": earned.unit,
                "arms": [
                    {"arm": arm.arm, "decisions": arm.decisions, "seen": arm.seen, "open": arm.open,
                     "rewarded": arm.rewarded, "mean": arm.mean} for arm in earned.arms
                ],
            })  # fmt: skip
    return found


async def _reasons(house: "House") -> Json:
    """Whether what people were told held: the newest trial, and what levers promised."""
    async with house.kernel.db.reading() as conn:
        found = await of_explanations(conn, house.kernel.clock.now())
    return {**cast("dict[str, Any]", found.to_json()), "honesty": (await house.explain.honesty()).as_json()}


async def _placements(house: "House") -> list[str]:
    try:
        return await house.learning.placements()
    except NotFound:  # no catalogue was published yet
        return []


async def _log(house: "House") -> Json:
    size, waiting = await house.audit.standing()
    told: dict[str, Json] = {"entries": size, "waiting": waiting, "origin": house.audit.settings.origin, "size": None}
    try:
        shown = await house.audit.checkpoint()
    except NotFound:  # an empty log has no checkpoint
        return told
    return {**told, "size": shown.size, "root": shown.root.hex()}


async def _health(house: "House") -> Json:
    checks = [{"name": one.name, "ok": one.ok, "state": one.state, "remedy": one.remedy} for one in await ready(house)]
    for channel, faults in house.channels.faults().items():
        told = "; ".join(fault.what for fault in faults) or house.channels.connectors[channel].name
        remedy = " ".join(fault.remedy for fault in faults)
        checks.append({"name": f"channel {channel}", "ok": not faults, "state": told, "remedy": remedy})
    return cast("Json", checks)
