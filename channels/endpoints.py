"""Routes of deliveries: where one stands, and what its provider says about it.

Enters: HTTP. Leaves: JSON without content or address. The room is found at ``request.app.state.house.channels``.
"""

from typing import Annotated, cast

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from audit.access.endpoints import needs
from audit.access.principal import Principal
from channels.deliveries import Delivery, StepTaken
from channels.ledger import Receipt
from channels.receiving import NewReceipt
from channels.service import Channels
from kernel.ids import DeliveryId

router = APIRouter(prefix="/v1/deliveries", tags=["channels"])


class StepView(BaseModel):
    """One line of the history."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    at: AwareDatetime
    state: str
    reason: str | None


class DeliveryView(BaseModel):
    """Where a delivery stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    delivery_id: str
    decision_id: str
    person: str
    channel: str
    purpose: str
    state: str
    reason: str | None
    attempts: int
    deliver_after: AwareDatetime
    expires_at: AwareDatetime
    connector: str | None
    provider_id: str | None
    history: list[StepView]


class ReceiptBody(BaseModel):
    """What a provider reports. ``event_id`` is the provider's own, so that a repeat is known as one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    event_id: Annotated[str, Field(min_length=1, max_length=200)]
    type: Receipt
    at: AwareDatetime
    permanent: bool = False


@router.get("/{delivery_id}", dependencies=[needs("send")])
async def show(request: Request, delivery_id: str) -> DeliveryView:
    """One delivery and its history."""
    room = _channels(request)
    found = await room.show(DeliveryId(delivery_id))
    return _view(found, await room.history(found.delivery_id))


@router.post("/{delivery_id}/events")
async def receive(
    request: Request, delivery_id: str, body: ReceiptBody, principal: Annotated[Principal, needs("send")]
) -> DeliveryView:
    """Fold a provider's report; order and repetition make no difference. The answer comes after the commit."""
    room = _channels(request)
    receipt = NewReceipt(event_id=body.event_id, receipt=body.type, at=body.at, permanent=body.permanent)
    found = await room.receive(DeliveryId(delivery_id), receipt, actor=principal.actor)
    return _view(found, await room.history(found.delivery_id))


def _channels(request: Request) -> Channels:
    return cast("Channels", request.app.state.house.channels)


def _view(one: Delivery, history: list[StepTaken]) -> DeliveryView:
    return DeliveryView(
        delivery_id=one.delivery_id,
        decision_id=one.decision_id,
        person=one.person,
        channel=one.channel,
        purpose=one.purpose,
        state=one.state,
        reason=one.reason,
        attempts=one.attempts,
        deliver_after=one.deliver_after,
        expires_at=one.expires_at,
        connector=one.connector,
        provider_id=one.provider_id,
        history=[StepView(at=step.at, state=step.state, reason=step.reason) for step in history],
    )
