"""Deliveries: the list with its filters in the address, and one with every step it took. No content, no address of a person."""

from typing import Annotated, Final

from fastapi import Query

from channels.deliveries import Delivery
from channels.ledger import State
from kernel import paging
from kernel.canonical import Json
from kernel.ids import DeliveryId
from orchestration.service.console.guard import AtDesk
from orchestration.service.console.pages import View, page
from orchestration.service.console.words import READERS

SEERS: Final = READERS["deliveries"]


@page("/deliveries", "deliveries.html", *SEERS)
async def deliveries(
    desk: AtDesk,
    state: str = "",
    channel: str = "",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MOST)] = paging.DEFAULT,
) -> View:
    """Newest first."""
    room = desk.house.channels
    wanted = State(state) if state in set(State) else None
    async with desk.house.kernel.db.reading() as conn:
        found = await room.listed(
            conn, state=wanted, channel=channel or None, before=paging.read(cursor, 1)[0] if cursor else None, limit=limit + 1
        )  # fmt: skip
    cut = paging.cut(found, limit, lambda one: (one.delivery_id,))
    return {
        "deliveries": [_line(one) for one in cut.items],
        "next": cut.next,
        "state": wanted.value if wanted else "",
        "channel": channel,
        "channels": sorted(room.connectors),
        "states": [one.value for one in State],
        "counts": dict(sorted((await room.counts()).items())),
    }


@page("/deliveries/{delivery}", "delivery.html", *SEERS, api="/v1/deliveries/{delivery}")
async def delivery(desk: AtDesk, delivery: str) -> View:
    """One, with its steps."""
    room = desk.house.channels
    found = await room.show(DeliveryId(delivery))
    await desk.note({"delivery": found.delivery_id, **({"person": found.person} if found.person else {})}, "delivery")
    steps = await room.history(found.delivery_id)
    return {
        **_line(found),
        "deliver_after": found.deliver_after.isoformat(),
        "expires_at": found.expires_at.isoformat(),
        "changed_at": found.changed_at.isoformat(),
        "attempts": found.attempts,
        "connector": found.connector,
        "provider_id": found.provider_id,
        "caps": list(found.cap_keys),
        "steps": [{"at": one.at.isoformat(), "state": str(one.state), "reason": one.reason} for one in steps],
    }


def _line(one: Delivery) -> dict[str, Json]:
    return {
        "id": one.delivery_id, "decision_id": one.decision_id, "person": one.person, "channel": one.channel,
        "purpose": one.purpose, "state": str(one.state), "reason": one.reason, "at": one.reserved_at.isoformat(),
    }  # fmt: skip
