"""`candor staff …`: the people who act in the console and approve subject requests. Every act in the log names one."""

from typing import Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house, scopes_of


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("add")(add)
    app.add("list")(list_staff)
    app.add("remove")(remove)


def add(
    name: Annotated[str, typer.Argument(help="Login name.")],
    scope: Annotated[list[str], typer.Option("--scope", help="officer, auditor, operate, decide or send; repeatable.")],
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            confirmation_prompt=True,
            hide_input=True,
            envvar="CANDOR_STAFF_PASSWORD",
            help="Asked for when left out.",
        ),
    ],
) -> None:
    """Add a staff member."""
    scopes = scopes_of(scope)
    made = in_house(lambda house: house.access.add_staff(name, password, scopes, actor=actor()))
    output.say(f"{made.name} may now log in as {made.staff_id}.")


def list_staff(as_json: Json = False) -> None:
    """Everyone with a login."""
    staff = in_house(lambda house: house.access.staff())
    if as_json:
        output.emit_json(staff)
        return
    output.table("Staff", ("id", "name", "scopes"), [(s.staff_id, s.name, ", ".join(sorted(s.scopes))) for s in staff])


def remove(staff: Annotated[str, typer.Argument(help="Id, as `candor staff list` shows it.")]) -> None:
    """End a login; what the person did stays in the log."""
    in_house(lambda house: house.access.remove_staff(staff, actor=actor()))
    output.say(f"{staff} can no longer log in.")
