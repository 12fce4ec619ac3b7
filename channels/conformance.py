"""The connector contract as a check that can be run: by our tests on every connector, and by whoever writes one.

Enters: a connector that may send for real (point it at a sandbox). Leaves: the broken promises, as sentences; none means it conforms.
The promises are those written on `channels.connector.Connector`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import anyio

from channels.connector import Answer, Connector, Message, Outcome
from kernel.ids import DecisionId, DeliveryId, new_id


def sample(to: str, at: datetime) -> Message:
    """A small message with every header, for checks and for `candor channel test`."""
    delivery_id = new_id("dlv")
    return Message(
        delivery_id=delivery_id,
        decision_id=DecisionId(new_id("dec")),
        channel="email",
        to=to,
        sender_name="Candor check",
        sender_address="check@candor.invalid",
        subject="Prüfung of the connector",
        text="A check of this connector.\n",
        html="<p>A check of this connector.</p>",
        reserved_at=at,
        at=at,
        headers={"Message-ID": f"<{delivery_id}@candor.invalid>", "X-Candor-Decision": "check"},
    )


async def broken_promises(connector: Connector, *, to: str, at: datetime, like: Message | None = None) -> list[str]:
    """What the connector does not keep. Sends ten messages to `to`, made like `like` when the sender must be a real one."""
    broken: list[str] = []
    if not connector.name or not connector.channel:
        broken.append("a connector names itself and its channel")
    deadline = at + timedelta(seconds=10)
    message = replace(like or sample(to, at), delivery_id=new_id("dlv"), channel=connector.channel)

    first = await connector.send(message, message.delivery_id, deadline)
    if first.answer not in {Answer.ACCEPTED, Answer.UNCERTAIN}:
        broken.append("a good message is accepted, or honestly uncertain")
    again = await connector.send(message, message.delivery_id, deadline)
    if (again.answer, again.provider_id) != (first.answer, first.provider_id):
        broken.append("a second call with the same delivery id answers as the first did")

    for bad in (replace(message, to="not an address"), replace(message, subject="a\r\nBcc: other@example.org")):
        fresh = replace(bad, delivery_id=new_id("dlv"))
        with _no_exception(broken, "a message that cannot be sent is an answer, not an exception"):
            refused = await connector.send(fresh, fresh.delivery_id, deadline)
            if refused.answer is not Answer.REJECTED:
                broken.append("a bad address or a line break in a header is rejected")

    answers: dict[DeliveryId, Outcome] = {}

    async def one(item: Message) -> None:
        answers[item.delivery_id] = await connector.send(item, item.delivery_id, deadline)

    crowd = [replace(message, delivery_id=new_id("dlv")) for _ in range(8)]
    async with anyio.create_task_group() as group:
        for item in crowd:
            group.start_soon(one, item)
    if len({answer.provider_id for answer in answers.values()}) != len(crowd):
        broken.append("concurrent deliveries have provider ids of their own")

    for item in (message, *crowd):
        await connector.forget(item.delivery_id, item.reserved_at)
    if await connector.forget(message.delivery_id, message.reserved_at):
        broken.append("forgetting is done after the first time")
    return broken


@contextmanager
def _no_exception(broken: list[str], promise: str) -> Iterator[None]:
    try:
        yield
    except Exception as fault:  # noqa: BLE001  # broad: the kit reports what a strange connector raises
        broken.append(f"{promise} ({type(fault).__name__})")
