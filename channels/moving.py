"""Steps of deliveries, as they are written: the row, the history, the cap's place, the log. All in the caller's transaction.

Enters: `Move`s. Leaves: the deliveries that moved; one whose state or generation is not the one its step needs is not touched
and leaves no trace in the history or the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from channels import caps_store, figures, store
from channels.advice import Advisor
from channels.deliveries import Delivery
from channels.ledger import FROM, UNSENT, State, Step
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.kernel import Kernel

TAGS: Final[Mapping[State, Tag]] = {
    State.INTENT: Tag.DELIVERY_INTENT,
    State.RESERVED: Tag.DELIVERY_DEFERRED,
    State.ACCEPTED: Tag.DELIVERY_ACCEPTED,
    State.REJECTED: Tag.DELIVERY_REJECTED,
    State.UNCERTAIN: Tag.DELIVERY_UNCERTAIN,
    State.CANCELLED: Tag.DELIVERY_CANCELLED,
    State.WITHHELD: Tag.DELIVERY_WITHHELD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A step that one delivery is to take. `generation` fences a worker; None is for steps that no worker takes."""

    delivery: Delivery
    step: Step
    reason: str | None = None
    generation: int | None = None
    provider_id: str | None = None
    deliver_after: datetime | None = None


class Mover:
    """Writes steps."""

    def __init__(self, kernel: Kernel, audit: Audit, identity: Identity, advisor: Advisor) -> None:
        self._kernel = kernel
        self._identity = identity
        self._advisor = advisor
        self._audit = audit

    async def move(self, conn: Conn, moves: Sequence[Move], *, actor: str = "system") -> list[tuple[Delivery, State]]:
        """Take the steps that may be taken; what was taken."""
        now = self._kernel.clock.now()
        taken: list[Move] = [
            one
            for one in moves
            if await store.step(
                conn, one.delivery.delivery_id, one.step, generation=one.generation, now=now, reason=one.reason,
                provider_id=one.provider_id, deliver_after=one.deliver_after,
            )
        ]  # fmt: skip
        unsent = [one.delivery for one in taken if FROM[one.step][1] in UNSENT and one.delivery.cap_keys]
        if unsent:  # her places went along when her id was merged into another
            live = await self._identity.current(conn, sorted({d.person for d in unsent}))
            holder = {d.delivery_id: live.get(d.person, d.person) for d in unsent}
            await caps_store.give_back(
                conn, [(holder[d.delivery_id], key, d.delivery_id) for d in unsent for key in d.cap_keys]
            )
            self._advisor.forget(conn, list(holder.values()))
        moved = [(one.delivery, FROM[one.step][1]) for one in taken]
        reasons = [one.reason for one in taken]
        await self.remember(conn, [(d, s, r) for (d, s), r in zip(moved, reasons, strict=True)], actor=actor)
        return moved

    async def remember(
        self, conn: Conn, moved: Sequence[tuple[Delivery, State, str | None]], *, actor: str = "system",
        tags: Mapping[State, Tag] = TAGS,
    ) -> None:  # fmt: skip
        """The history and the log of states that deliveries have reached."""
        if not moved:
            return
        figures.count(conn, moved)
        now = self._kernel.clock.now()
        await store.write_steps(conn, [(d.delivery_id, now, state, d.generation, why) for d, state, why in moved])
        # A person who was erased has no key any more; what became of her delivery is remembered under our own.
        alive = await self._kernel.vault.unwrap({d.key_id for d, _, _ in moved})
        await self._audit.append(
            conn,
            [
                NewEntry(
                    tags[state],
                    {"delivery": d.delivery_id, "decision": d.decision_id, "person": d.person},
                    _facts(d, why),
                    key_id=d.key_id if d.key_id in alive else None,
                    actor=actor,
                )
                for d, state, why in moved
            ],
        )


def _facts(delivery: Delivery, reason: str | None) -> dict[str, Json]:
    facts: dict[str, Json] = {
        "channel": delivery.channel,
        "purpose": delivery.purpose,
        "generation": delivery.generation,
    }
    return facts if reason is None else facts | {"reason": reason}
