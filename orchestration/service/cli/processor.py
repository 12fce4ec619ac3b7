"""`candor processor …`: those who get data from us, and the letters that ask them to do as people ask."""

import base64
import binascii
from typing import Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("add")(add)
    app.add("list")(list_processors)
    app.add("remove")(remove)
    app.add("letters")(letters)
    app.add("deliver")(deliver)


def add(
    name: Annotated[str, typer.Argument(help="Name of the processor.")],
    url: Annotated[str, typer.Option(help="https address that takes signed letters.")],
    probe: Annotated[str, typer.Option(help="https address that says whether anything is held still.")],
    key: Annotated[str, typer.Option(help="Base64 of the Ed25519 public key that signs its answers.")],
    receives: Annotated[list[str] | None, typer.Option(help="What it gets, in words. Repeatable.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="What for. Repeatable.")] = None,
    contract: Annotated[str, typer.Option(help="Reference of the contract (GDPR Art. 28).")] = "",
) -> None:
    """Note a processor, or change one."""
    public = key_of(key)
    made = in_house(
        lambda house: house.rights.processors.add(
            name, url, probe, public, actor=actor(), receives=receives or (), purposes=purpose or (), contract=contract
        )
    )
    output.say(f"{made.name} hears of requests from now on.")


def list_processors(as_json: Json = False) -> None:
    """Those that get data now."""
    found = in_house(lambda house: house.rights.processors.listed())
    if as_json:
        output.emit_json([{"name": p.name, "url": p.url, "probe_url": p.probe_url, "receives": p.receives, "purposes": p.purposes,
                           "contract": p.contract, "added_at": p.added_at} for p in found])  # fmt: skip
        return
    rows = [(p.name, p.url, ", ".join(p.receives), ", ".join(p.purposes), p.contract) for p in found]
    output.table("Processors", ("name", "url", "receives", "for", "contract"), rows)


def remove(name: Annotated[str, typer.Argument(help="Name of the processor.")]) -> None:
    """It gets nothing any more; of erasures it still hears."""
    if not in_house(lambda house: house.rights.processors.remove(name, actor=actor())):
        output.say(f"no processor {name} gets data.")
        raise typer.Exit(1)
    output.say(f"{name} gets nothing any more.")


def letters(
    request: Annotated[str | None, typer.Argument(help="Id of a request (req_…); the newest of all without.")] = None,
    as_json: Json = False,
) -> None:
    """Letters and where they stand. Exit code 1 when somebody must look at one."""
    from consent.rights.processors import troubled

    found = in_house(lambda house: house.rights.processors.letters(request))
    if as_json:
        output.emit_json([{"id": one.id, "request": one.request, "processor": one.processor, "act": one.act, "state": one.state,
                           "attempts": one.attempts, "fault": one.fault, "acked_at": one.acked_at, "ack": one.ack, "probed_at": one.probed_at,
                           "escalated_at": one.escalated_at} for one in found])  # fmt: skip
    else:
        rows = [
            (one.id, one.processor, one.act, one.state, one.fault or "", one.attempts, "look!" if troubled(one) else "")
            for one in found
        ]
        output.table("Letters", ("letter", "processor", "act", "state", "fault", "attempts", ""), rows)
    if any(troubled(one) for one in found):
        raise typer.Exit(1)


def deliver(as_json: Json = False) -> None:
    """Take every letter whose next step is due one step on; a running server does it by itself."""
    found = in_house(lambda house: house.rights.processors.work(100))
    if as_json:
        output.emit_json(
            [{"id": one.id, "processor": one.processor, "state": one.state, "fault": one.fault} for one in found]
        )
        return
    output.table("Delivered", ("letter", "processor", "state", "fault"), [(one.id, one.processor, one.state, one.fault or "") for one in found])  # fmt: skip


def key_of(text: str) -> bytes:
    """The bytes of a public key."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise typer.BadParameter("expected base64", param_hint="--key") from None
