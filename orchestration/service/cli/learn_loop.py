"""`candor learn rewards|weekly`: what decisions earned, and the job that learns from it."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from orchestration.learning.book import Earned
    from orchestration.learning.shadow import Shadowed
    from orchestration.learning.weekly import Week
    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands of the learning loop."""
    app.add("rewards")(rewards)
    app.add("weekly")(weekly)
    app.add("shadow")(shadow)


def rewards(
    placement: Annotated[str, typer.Argument(help="A placement of the catalogue.")],
    recompute: Annotated[bool, typer.Option("--recompute", help="Count anew first, as a new version.")] = False,
    show: Annotated[int, typer.Option(min=0, max=1000, help="Newest decisions to list.")] = 5,
    as_json: Json = False,
) -> None:
    """What each decision of a placement earned, by arm.

    Outcomes are credited once, to what was shown before them. A version never changes: later outcomes count when it is counted anew.
    """

    async def work(house: "House") -> "Earned":
        if recompute:
            await house.learning.rewards.recompute(actor=actor())
        return await house.learning.rewards.earned(placement, show=show)

    found = in_house(work)
    if as_json:
        output.emit_json(found)
        return
    run = found.run
    output.facts(
        f"{placement}: rewards, version {run.version}",
        [
            ("digest", run.digest),
            ("known by", f"{run.as_of:%Y-%m-%d %H:%M}"),
            ("one unit", found.unit),
            ("window", f"{found.window_days:g} days"),
            ("all placements", ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in run.facts.items())),
        ],
    )
    output.table(
        "By arm",
        ("arm", "decisions", "seen", "open", "rewarded", "mean", "credited"),
        [
            (
                one.arm,
                one.decisions,
                one.seen,
                one.open,
                one.rewarded,
                f"{one.mean:+.4f}",
                ", ".join(f"{event} {credit:g}" for event, credit in one.credits.items()),
            )
            for one in found.arms
        ],
    )
    if found.newest:
        output.table(
            "Newest decisions",
            ("decision", "arm", "at", "seen", "reward"),
            [
                (
                    one.decision,
                    one.arm,
                    f"{one.at:%Y-%m-%d %H:%M}",
                    f"{one.seen_at:%Y-%m-%d %H:%M}" if one.seen_at else "",
                    f"{one.reward:+.4f}" + (" (open)" if one.closes_at > run.as_of else ""),
                )
                for one in found.newest
            ],
        )


def weekly(
    placement: Annotated[
        str | None, typer.Argument(help="A placement; all that can be learned from by default.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also where this week's job is done.")] = False,
    as_json: Json = False,
) -> None:
    """Count rewards, train, and begin the rollout of a model that beats the current one; the first model rules at once.

    What the schedule does once a week. Killed half-way, it goes on where it stood; a week that is done is told, not done again.
    """

    async def work(house: "House") -> "list[Week]":
        from orchestration.learning.weekly import weekly as job

        names = [placement] if placement is not None else None
        return await job(house.learning, actor=actor(), placements=names, again=again)

    found = in_house(work)
    if as_json:
        output.emit_json(found)
        return
    output.table(
        "The weekly job",
        ("placement", "week", "outcome", "decisions", "model", "alarms"),
        [
            (one.placement, one.week, one.outcome, one.rows, (one.model or "")[:19], "; ".join(one.alarms))
            for one in found
        ],
    )


def shadow(
    placement: Annotated[str, typer.Argument(help="A placement of the catalogue.")],
    model: Annotated[str, typer.Argument(help="Digest of a registered model.")],
    days: Annotated[float, typer.Option(min=0.01, help="Decisions so many days back.")] = 7.0,
    as_json: Json = False,
) -> None:
    """What a model would have chosen at every decision of late, and what that would have earned.

    Nobody is touched: each decision is decided again in memory, and the ruling model's bytes are compared with those that were kept.
    """
    found = in_house(lambda house: _shadow(house, placement, model, days))
    if as_json:
        output.emit_json(found.to_json())
        return
    gain = found.gain
    output.facts(
        f"{placement}: {model[:19]} in the shadow, {days:g} days",
        [
            ("decisions", f"{found.decisions:,}, the ruling model's bytes again for {found.served_same:,}"),
            ("would differ", f"{found.disagreed:,}"),
            ("time a decision", f"{found.milliseconds:.2f} ms"),
            ("could not rank", f"{found.done_without:,}" + (f"; not to be decided again any more {found.skipped:,}" if found.skipped else "")),
            ("gain a decision", f"{gain.value:+.4f}, 95 % interval {gain.low:+.4f} to {gain.high:+.4f}" if gain else f"not said: {found.to_json()['reason']}"),
        ],
    )  # fmt: skip
    output.table("Otherwise", ("served", "in the shadow", "decisions"), [(*pair, count) for pair, count in found.otherwise.items()])  # fmt: skip


async def _shadow(house: "House", placement: str, model: str, days: float) -> "Shadowed":
    return await house.learning.ramping.shadow(placement, model, days=days)
