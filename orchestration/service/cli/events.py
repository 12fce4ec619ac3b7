"""`candor events …`: what was refused at the door, and refused items once more after a fault was corrected."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from datetime import date

    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("refused")(refused)
    app.add("replay")(replay)


def refused(as_json: Json = False) -> None:
    """How many events were refused, by source, day and reason; nothing else is left of one without permission."""
    rows = in_house(_refusals)
    if as_json:
        names = ("source", "day", "reason", "count")
        output.emit_json([dict(zip(names, (a, b.isoformat(), c, d), strict=True)) for a, b, c, d in rows])
    else:
        output.table("Refused", ["source", "day", "reason", "count"], rows)


def replay(
    source: Annotated[str | None, typer.Option(help="Only items of this source.")] = None, as_json: Json = False
) -> None:
    """Send kept items that were faulty through the door once more, after a limit, a source or a line of code was corrected."""
    report = in_house(lambda house: house.events.replay(source=source))
    if as_json:
        output.emit_json(report)
        return
    output.facts(
        "",
        [
            ("accepted", report.accepted),
            ("repeats", report.duplicates),
            ("without permission", report.filtered),
            ("still faulty, kept", report.rejected),
        ],
    )


async def _refusals(house: "House") -> "list[tuple[str, date, str, int]]":
    async with house.kernel.db.reading() as conn:
        return await house.events.refusals(conn)
