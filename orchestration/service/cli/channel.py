"""`candor channel …`: which connectors there are, and whether they take a message."""

from typing import TYPE_CHECKING

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from orchestration.wiring import House


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.callback()(_group)
    app.add("list")(list_channels)


def _group() -> None:
    """Connectors."""


def list_channels(as_json: Json = False) -> None:
    """The channels that are open, and what became of their messages."""

    async def work(house: "House") -> tuple[dict[str, str], dict[str, int]]:
        named = {channel: type(one).__name__ for channel, one in house.channels.connectors.items()}
        return named, await house.channels.counts()

    connectors, counts = in_house(work)
    if as_json:
        output.emit_json({"connectors": connectors, "deliveries": counts})
        return
    output.table("Channels", ("channel", "connector"), list(connectors.items()))
    output.table("Deliveries", ("state", "count"), list(counts.items()))
