"""The route of SendGrid's event webhook. Public: the signature is the right.

Enters: HTTP. Leaves: JSON counts after the commit, or a problem. The body is taken as bytes: what was signed are those, not their JSON.
"""

from typing import Annotated, cast

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict

from channels.email.signature import SIGNATURE, TIMESTAMP
from channels.service import Channels

router = APIRouter(prefix="/webhooks", tags=["channels"])


class TakenView(BaseModel):
    """What became of the events of one post."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    taken: int
    repeated: int
    unmatched: int
    ignored: int


@router.post(
    "/sendgrid",
    responses={403: {"description": "Not signed by a key of the settings, or not now."}},
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": {"type": "array"}}}, "required": True}},
)
async def sendgrid(
    request: Request,
    signature: Annotated[str, Header(alias=SIGNATURE, description="Base64 of the DER signature.")] = "",
    timestamp: Annotated[str, Header(alias=TIMESTAMP, description="Epoch seconds, part of what is signed.")] = "",
) -> TakenView:
    """Fold what SendGrid reports about messages. Verified before it is parsed, answered after the commit."""
    room = cast("Channels", request.app.state.house.channels)
    done = await room.sendgrid.take(await request.body(), signature=signature, timestamp=timestamp)
    return TakenView(taken=done.taken, repeated=done.repeated, unmatched=done.unmatched, ignored=done.ignored)
