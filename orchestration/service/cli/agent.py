"""`candor agent …`: who may ask on behalf of people (Data Rights Protocol)."""

from typing import Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.processor import key_of
from orchestration.service.cli.runtime import Commands, Json, actor, in_house


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("add")(add)
    app.add("list")(list_agents)
    app.add("remove")(remove)


def add(
    name: Annotated[str, typer.Argument(help="Id of the agent, as it signs (agent-id).")],
    key: Annotated[str, typer.Option(help="Base64 of its Ed25519 public key.")],
    title: Annotated[str, typer.Option(help="Who they are, in words.")] = "",
) -> None:
    """Note an agent; prints the token that it must send, this once."""
    public = key_of(key)
    token = in_house(lambda house: house.rights.agents.add(name, title or name, public, actor=actor()))
    output.say(f"{name} may ask. Its token, shown this once: {token}")


def list_agents(as_json: Json = False) -> None:
    """Those that may ask."""
    found = in_house(lambda house: house.rights.agents.listed())
    if as_json:
        output.emit_json([{"id": one.id, "name": one.name, "added_at": one.added_at} for one in found])
        return
    output.table("Agents", ("id", "name", "since"), [(one.id, one.name, f"{one.added_at:%Y-%m-%d}") for one in found])


def remove(name: Annotated[str, typer.Argument(help="Id of the agent.")]) -> None:
    """It may not ask any more."""
    if not in_house(lambda house: house.rights.agents.remove(name, actor=actor())):
        output.say(f"no agent {name} may ask.")
        raise typer.Exit(1)
    output.say(f"{name} may not ask any more.")
