"""`candor campaign …`: decide and send for everyone a placement may be meant for, or only look."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from orchestration.decision.campaign import CampaignReport
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


def preview(name: Name, limit: Limit = 1_000, source: Source = None, as_json: Json = False) -> None:
    """Decide for everyone without keeping or sending anything."""
    _print(in_house(lambda house: _run(house, name, limit, source, keep=False)), as_json=as_json)


def start(name: Name, limit: Limit = None, source: Source = None, as_json: Json = False) -> None:
    """Decide for everyone, queue the messages and send them."""
    _print(in_house(lambda house: _run(house, name, limit, source, keep=True)), as_json=as_json)


async def _run(house: "House", name: str, limit: int | None, source: str | None, *, keep: bool) -> "CampaignReport":
    from orchestration.decision import campaign

    (await house.decisions.shelf.current()).catalogue.placement(name)  # a misspelt one is told before anybody is read
    async with house.kernel.db.reading() as conn:
        people = await house.identity.people(conn, source=source)
    chosen = people[:limit] if limit else people
    with Progress(console=output.err, transient=True) as bar:
        task = bar.add_task(f"deciding {name}", total=len(chosen))
        report = await campaign.run(
            house.decisions,
            house.channels,
            name,
            chosen,
            trigger=f"campaign:{name}",
            actor=actor(),
            send=keep,
            dry_run=not keep,
            told=lambda done: bar.update(task, completed=done),
        )
    if keep:
        await house.audit.sequence()
    return report


def _print(report: "CampaignReport", *, as_json: bool) -> None:
    if as_json:
        sent = next((d.decision_id for d in report.decisions if d.delivery_id), None)
        output.emit_json(
            {**output.plain(report), "decisions": [d.decision_id for d in report.decisions], "example": sent}
        )
        return
    output.facts(f"{report.placement}: {len(report.decisions):,} decisions", [])
    for title, name, counts in (
        ("By message", "message", report.arms),
        ("By channel", "channel", report.channels),
        ("Nothing, and why", "reason", report.withheld),
        ("Messages", "state", report.deliveries),
        ("Accidents", "code", report.failed),
    ):
        if counts:
            output.out.print()
            output.table(title, (name, "count"), list(counts.items()))
    shown = next((d for d in report.decisions if d.delivery_id), None)
    if shown:
        output.say(f"why one of them: candor why {shown.decision_id}")
