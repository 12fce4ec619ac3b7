"""Channels as a holder of personal data: what is exported, and what an erasure leaves.

Enters: a person. Leaves: her messages in words; or ledger rows without words, without files, without counters. A delivery belongs to her
when it was made under an id of hers or went to a contact that she alone has. What went to a contact that is somebody else's alone by now is not told to her: they were one when it
was made. Such a message may name both, so its words are told to neither.
"""

from collections.abc import Mapping, Sequence

import orjson

from channels import caps_store, store
from channels.connector import Connector
from channels.deliveries import Delivery, No
from channels.ledger import State, Step
from channels.moving import Move, Mover
from identity.names import names, owners
from identity.service import Identity
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import DecisionId, IdentifierId, PersonId
from kernel.kernel import Kernel

# An intent that nobody finished may have left: the erasure does not know better.
_STEPS: Mapping[State, Step] = {State.RESERVED: Step.CANCEL, State.INTENT: Step.LOSE}


class Holding:
    """Exports and erases."""

    def __init__(self, kernel: Kernel, identity: Identity, mover: Mover, connectors: Mapping[str, Connector]) -> None:
        self._kernel = kernel
        self._identity = identity
        self._mover = mover
        self._connectors = {one.name: one for one in connectors.values()}

    async def export(self, conn: Conn, person: PersonId) -> dict[str, Json]:
        """Every delivery with the words it carried."""
        rows = await self._told(conn, person, await self._hers(conn, person, alone=True))
        keys = await self._kernel.vault.unwrap({d.key_id for d, _ in rows})
        deliveries: list[Json] = []
        for d, sealed in rows:
            key = keys.get(d.key_id)
            words: Json = None
            if key is not None and sealed is not None:
                words = orjson.loads(key.open("channels.deliveries", "content", d.delivery_id, sealed))
            deliveries.append(
                {
                    "delivery_id": d.delivery_id,
                    "decision_id": d.decision_id,
                    "channel": d.channel,
                    "contact": d.identifier_id,
                    "sent_by": d.connector,
                    "purpose": d.purpose,
                    "state": d.state,
                    "reason": d.reason,
                    "reserved_at": d.reserved_at.isoformat(),
                    "changed_at": d.changed_at.isoformat(),
                    "content": words,
                }
            )
        return {"deliveries": deliveries}

    async def erase(self, conn: Conn, person: PersonId) -> int:
        """Call off what waits, delete the copies that connectors keep, blank the words, drop the counters."""
        rows = await self._hers(conn, person, lock=True)
        moves = [Move(delivery=d, step=_STEPS[d.state], reason=No.ERASED) for d, _ in rows if d.state in _STEPS]
        await self._mover.move(conn, moves)
        for d, _ in rows:
            if d.connector in self._connectors:
                await self._connectors[d.connector].forget(d.delivery_id, d.reserved_at)
        await store.blank(conn, [d.delivery_id for d, words in rows if words is not None])
        await caps_store.forget_caps(conn, (await names(conn, [person]))[person].every)
        return sum(words is not None for _, words in rows)

    async def corrected(self, conn: Conn, person: PersonId, decisions: Sequence[DecisionId]) -> Mapping[str, int]:
        """Call off what waits of these decisions: its words are the wrong ones."""
        wrong = set(decisions)
        waiting = [
            Move(delivery=d, step=Step.CANCEL, reason=No.CORRECTED)
            for d, _ in await self._hers(conn, person, lock=True)
            if d.state is State.RESERVED and d.decision_id in wrong
        ]
        await self._mover.move(conn, waiting)
        return {"deliveries_called_off": len(waiting)}

    async def _hers(self, conn: Conn, person: PersonId, *, alone: bool = False, lock: bool = False) -> "_Rows":
        """Under every id that she was ever known by (`alone`: without those under which others stood, too), and to every contact that is hers alone."""
        known = (await names(conn, [person]))[person]
        held = (await self._identity.members(conn, [person])).get(person)
        found = await self._identity.subjects(conn, held.identifiers) if held is not None else {}
        contacts = [IdentifierId(one) for one, subject in found.items() if subject.people == (person,)]
        return await store.of_people(conn, sorted(known.alone if alone else known.every), contacts, lock=lock)

    async def _told(self, conn: Conn, person: PersonId, rows: "_Rows") -> "_Rows":
        """Without what went to somebody else's contact; without the words of what was made for two."""
        holders = await self._identity.subjects(conn, sorted({d.identifier_id for d, _ in rows}))
        told: list[tuple[Delivery, bytes | None]] = []
        for d, words in rows:
            if d.identifier_id in holders and person not in holders[d.identifier_id].people:
                continue
            meant = await owners(conn, d.person, None, d.reserved_at)
            if person in meant or not meant:
                told.append((d, words if meant <= {person} else None))
        return told


_Rows = list[tuple[Delivery, bytes | None]]
