"""`candor channel …`: which connectors there are, and whether they take a message."""

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.callback()(_group)
    app.add("list")(list_channels)


def _group() -> None:
    """Connectors."""


def list_channels(as_json: Json = False) -> None:
    """The channels that are open, by which connector, and what their deliveries came to."""

    async def work(house):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return house.channels.connectors(), await house.channels.counts()

    connectors, counts = in_house(work)
    if as_json:
        output.emit_json({"connectors": connectors, "deliveries": counts})
        return
    output.table("Channels", ("channel", "connector"), list(connectors.items()))
    output.table("Deliveries", ("state", "count"), list(counts.items()))
