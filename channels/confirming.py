"""The mail that asks somebody to confirm a consent, on the ordinary way out: a transactional message in the delivery ledger.

Enters: consent's `Letter`. Leaves: a reserved delivery in the caller's transaction, or a no. It is sent under the purpose of messages that people
need, so it is clear of caps and advertises nothing; suppression, the gate and the fence are asked as for any other.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from channels.content import Action, Content
from channels.deliveries import NewDelivery, Withheld
from consent.confirming import Letter
from kernel.db import Conn
from kernel.ids import DeliveryId, new_id
from kernel.log import get_logger

EMAIL: Final = "email"
SERVICE: Final = "service"
CONTENT_ID: Final = "confirmation"
_log = get_logger("channels.confirming")

Reserve = Callable[[Conn, Sequence[NewDelivery]], Awaitable[list[DeliveryId | Withheld]]]


class Confirming:
    """Posts letters; wiring registers `post` with consent."""

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve

    async def post(self, conn: Conn, letter: Letter) -> bool:
        """Queue the mail; False when nothing may or can be sent there."""
        content = Content(
            content_id=CONTENT_ID,
            subject=letter.subject,
            heading=letter.heading,
            paragraphs=letter.paragraphs,
            action=Action(label=letter.label, url=letter.url),
            locale=letter.language,
            advertisement=False,
            confirms=letter.purpose,
        )
        new = NewDelivery(
            decision_id=new_id("dec"),
            person=letter.person,
            identifier_id=letter.identifier,
            channel=EMAIL,
            purpose=SERVICE,
            content=content,
            expires_at=letter.expires_at,
        )
        (answer,) = await self._reserve(conn, [new])
        if isinstance(answer, Withheld):
            _log.info("confirmation_not_queued", reason=answer.reason)
            return False
        return True
