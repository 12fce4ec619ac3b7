"""`candor channel …`: which connectors there are, and whether they take a message."""

from typing import TYPE_CHECKING, Annotated

import typer

from kernel.errors import InvalidInput
from orchestration.service.cli import channel_web, output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house

if TYPE_CHECKING:
    from channels.email.syncing import Synced
    from channels.rehearsing import Rehearsal
    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.callback()(_group)
    app.add("list")(list_channels)
    app.add("test")(rehearse)
    app.add("sync")(sync)
    app.add("web")(channel_web.web)


def _group() -> None:
    """Connectors."""


def list_channels(as_json: Json = False) -> None:
    """The channels that are open, what their connectors lack, and what became of their messages."""

    async def work(house: "House") -> dict[str, object]:
        return {
            "connectors": {channel: one.name for channel, one in house.channels.connectors.items()},
            "faults": {channel: [fault.what for fault in found] for channel, found in house.channels.faults().items()},
            "deliveries": await house.channels.counts(),
            "unmatched": await house.channels.unmatched(),
        }

    told = in_house(work)
    if as_json:
        output.emit_json(told)
        return
    connectors, faults, counts, unmatched = told.values()
    assert isinstance(connectors, dict)
    assert isinstance(faults, dict)
    assert isinstance(counts, dict)
    assert isinstance(unmatched, list)
    rows = [(channel, name, "; ".join(faults[channel]) or "ready") for channel, name in connectors.items()]
    output.table("Channels", ("channel", "connector", "state"), rows)
    output.table("Deliveries", ("state", "count"), list(counts.items()))
    if unmatched:
        output.table("Receipts about nothing here", ("connector", "receipt", "reason", "count"), unmatched)


def rehearse(
    name: Annotated[str | None, typer.Argument(help="A channel or a connector; all of them when absent.")] = None,
    as_json: Json = False,
) -> None:
    """Send a message to nobody through each connector's sandbox, and say what became of it. Exits 1 when one would not leave.

    The web sends nothing: `test web` says whether a page could show something, as `candor channel web` does.
    """
    if name == "web":
        channel_web.web(as_json)
        return

    async def work(house: "House") -> "list[Rehearsal]":
        return await house.channels.rehearse(name)

    found = in_house(work)
    if not found:
        raise InvalidInput(
            f"expected the name of a channel or of a connector, got {name!r}",
            remedy="See `candor channel list`.",
            code="channels.unknown_connector",
        )
    if as_json:
        output.emit_json([{**output.plain(one), "ok": one.ok} for one in found])
    else:
        output.table("Rehearsal", ("channel", "connector", "", "outcome", "what to do"), [_row(one) for one in found])
    if not all(one.ok for one in found):
        raise typer.Exit(1)


def sync(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only; write on neither side.")] = False,
    as_json: Json = False,
) -> None:
    """Exchange opt-outs with SendGrid's suppression lists, both ways. Nothing is ever taken off a list."""

    async def work(house: "House") -> "Synced":
        return await house.channels.sync_lists(dry_run=dry_run, actor=actor())

    done = in_house(work)
    if as_json:
        output.emit_json(done)
        return
    rows = [*((f"on SendGrid's {name}", count) for name, count in done.listed.items()),
            ("suppressed here", done.suppressed), ("withdrawn here", done.withdrawn), ("added there", done.added),
            ("left the group there", done.left), ("said yes here since: take them off there", done.outlived), ("no addresses", done.unreadable)]  # fmt: skip
    output.facts("Would be exchanged" if done.dry_run else "Exchanged", rows)


def _row(one: "Rehearsal") -> tuple[str, str, str, str, str]:
    if one.outcome is None:
        said = "not tried: it has no sandbox"
    else:
        said = " ".join(word for word in (one.outcome.answer, one.outcome.reason) if word)
    wrong = [*(fault.what for fault in one.faults), *one.broken]
    remedy = " ".join(fault.remedy for fault in one.faults)
    return one.channel, one.connector, "ok" if one.ok else "BAD", "; ".join([said, *wrong]), remedy
