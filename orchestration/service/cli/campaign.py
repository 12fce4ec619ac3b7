"""`candor campaign …`: decide and send for everyone a placement may be meant for, or only look; pause, go on, end, tell where it stands."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from orchestration.decision.campaign import CampaignReport
    from orchestration.triggers.campaign_store import Campaign
    from orchestration.triggers.campaigns import Standing
    from orchestration.wiring import House

Name = Annotated[str, typer.Argument(help="A placement of the catalogue.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most so many people, the oldest ids first; all when left out.")
]
Source = Annotated[str | None, typer.Option(help="Only people who have a record of this source.")]


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("preview")(preview)
    app.add("start")(start)
    app.add("pause")(pause)
    app.add("resume")(resume)
    app.add("kill")(kill)
    app.add("status")(status)


def preview(name: Name, limit: Limit = 1_000, source: Source = None, as_json: Json = False) -> None:
    """Decide for everyone without keeping or sending anything."""
    report = in_house(lambda house: _look(house, name, limit, source))
    if as_json:
        decisions = [one.decision_id for one in report.decisions]
        output.emit_json({**output.plain(report), "decisions": decisions, "example": None})
        return
    output.facts(f"{report.placement}: {len(report.decisions):,} decisions, nothing kept", [])
    _tables(
        ("By message", "message", report.arms),
        ("By channel", "channel", report.channels),
        ("Nothing, and why", "reason", report.withheld),
        ("Accidents", "code", report.failed),
    )


def start(name: Name, limit: Limit = None, source: Source = None, as_json: Json = False) -> None:
    """Decide for everyone, queue the messages and send them.

    Broken off anywhere, a campaign is gone on with: by this command, by `resume`, or by a running server. Nobody gets two.
    """

    async def work(house: "House") -> "Standing":
        begun = await house.triggers.campaigns.start(name, source=source, limit=limit, actor=actor())
        return await _carry_out(house, begun)

    _print(in_house(work), as_json=as_json)


def pause(name: Name, as_json: Json = False) -> None:
    """Decide for nobody further; what is queued leaves."""

    async def work(house: "House") -> "Standing":
        await house.triggers.campaigns.pause(name, actor=actor())
        return await house.triggers.campaigns.status(name)

    _print(in_house(work), as_json=as_json)


def resume(name: Name, as_json: Json = False) -> None:
    """Go on with a paused campaign."""

    async def work(house: "House") -> "Standing":
        return await _carry_out(house, await house.triggers.campaigns.resume(name, actor=actor()))

    _print(in_house(work), as_json=as_json)


def kill(name: Name, as_json: Json = False) -> None:
    """End a campaign: who waits gets nothing, what is queued is called off."""

    async def work(house: "House") -> "Standing":
        await house.triggers.campaigns.kill(name, actor=actor())
        await house.audit.sequence()
        return await house.triggers.campaigns.status(name)

    _print(in_house(work), as_json=as_json)


def status(
    name: Annotated[str | None, typer.Argument(help="A placement; all campaigns when left out.")] = None,
    as_json: Json = False,
) -> None:
    """Where a campaign stands: who waits, what was sent, why nothing was."""
    if name is not None:
        _print(in_house(lambda house: house.triggers.campaigns.status(name)), as_json=as_json)
        return
    found = in_house(lambda house: house.triggers.campaigns.listed())
    if as_json:
        output.emit_json(found)
        return
    output.table(
        "Campaigns, newest first",
        ("placement", "state", "people", "source", "started", "by"),
        [(o.name, o.state, o.people, o.source, f"{o.started_at:%Y-%m-%d %H:%M}", o.actor) for o in found],
    )


async def _carry_out(house: "House", begun: "Campaign") -> "Standing":
    with Progress(console=output.err, transient=True) as bar:
        task = bar.add_task(f"deciding {begun.name}", total=begun.people)
        await house.triggers.campaigns.carry_out(
            begun.name, told=lambda waiting: bar.update(task, completed=begun.people - waiting)
        )
    await house.audit.sequence()
    return await house.triggers.campaigns.status(begun.name)


async def _look(house: "House", name: str, limit: int | None, source: str | None) -> "CampaignReport":
    from orchestration.decision import campaign

    (await house.decisions.shelf.current()).catalogue.placement(name)  # a misspelt one is told before anybody is read
    async with house.kernel.db.reading() as conn:
        chosen = (await house.identity.people(conn, source=source))[:limit]
    with Progress(console=output.err, transient=True) as bar:
        task = bar.add_task(f"deciding {name}", total=len(chosen))
        return await campaign.run(
            house.decisions, house.channels, name, chosen, trigger=f"campaign:{name}", actor=actor(), send=False,
            dry_run=True, told=lambda done: bar.update(task, completed=done),
        )  # fmt: skip


def _print(found: "Standing", *, as_json: bool) -> None:
    if as_json:
        output.emit_json(found)
        return
    waiting = f", {found.left:,} wait" if found.left else ""
    output.facts(f"{found.placement}: {found.state}, {len(found.decisions):,} of {found.people:,} decided{waiting}", [])
    _tables(
        ("By message", "message", found.arms),
        ("By channel", "channel", found.channels),
        ("Nothing, and why", "reason", found.withheld),
        ("Messages", "state", found.deliveries),
        ("Not decided, and why", "reason", found.called_off),
        ("Accidents", "code", found.failed),
    )
    if found.example:
        output.say(f"why one of them: candor why {found.example}")


def _tables(*parts: "tuple[str, str, object]") -> None:
    from orchestration.service.console.words import reason

    for title, name, counts in parts:
        if isinstance(counts, dict) and counts:
            output.out.print()
            if name == "reason":
                output.table(
                    title, (name, "in words", "count"), [(code, reason(code), n) for code, n in counts.items()]
                )
            else:
                output.table(title, (name, "count"), list(counts.items()))
