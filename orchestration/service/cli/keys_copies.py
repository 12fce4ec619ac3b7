"""`candor keys copy · copies · copy-gone`: copies of the keys database, and the day on which each goes."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Json, actor, in_house

if TYPE_CHECKING:
    from consent.rights.copies_store import Copy
    from orchestration.wiring import House


def copy(
    place: Annotated[str, typer.Argument(help="The file; with --elsewhere, where else it lies, in words.")],
    elsewhere: Annotated[bool, typer.Option("--elsewhere", help="It is no file of this machine: you remove it, and say so.")] = False,
    made: Annotated[datetime | None, typer.Option(help="When it was made; now when left out.")] = None,
    days: Annotated[int | None, typer.Option(min=0, help="Days for which it is kept; as long as the settings allow when left out.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Note a copy of the keys database. On its day a file of this machine is overwritten and removed, and the log says so."""
    at = None if made is None else made.astimezone() if made.tzinfo is None else made
    one = in_house(
        lambda house: house.rights.copies.note(
            place, actor=actor(), here=not elsewhere, made_at=at.astimezone(UTC) if at else None, days=days
        )
    )
    if as_json:
        output.emit_json(one)
        return
    output.say(f"{one.id} goes on {one.purge_on}.")


def copies(
    purge: Annotated[bool, typer.Option("--purge", help="First remove those whose day has come. A running server does it by itself.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Copies of the keys database, gone ones too. Exit code 1 when one should be gone and is not."""

    async def work(house: "House") -> "tuple[list[Copy], list[Copy]]":
        if purge:
            await house.rights.copies.purge(actor=actor())
        return await house.rights.copies.listed(), await house.rights.copies.overdue()

    found, late = in_house(work)
    bad = {one.id for one in late}
    if as_json:
        output.emit_json({"copies": found, "overdue": sorted(bad)})
    else:
        rows = [
            (one.id, one.place, f"{one.made_at:%Y-%m-%d}", one.purge_on, "overdue" if one.id in bad else one.how or "stands")
            for one in found
        ]  # fmt: skip
        output.table("Copies of the keys database", ("id", "where", "made", "goes on", "state"), rows)
    if bad:
        raise typer.Exit(1)


def copy_gone(name: Annotated[str, typer.Argument(help="Id of the copy (kbk_…).")]) -> None:
    """Say that a copy which lies elsewhere is gone."""
    in_house(lambda house: house.rights.copies.tell_gone(name, actor=actor()))
    output.say(f"{name} is gone; the log has it from you.")
