"""Setting triggers off: by what is collected, in the transaction that stores it.

Enters: events as they are stored. Leaves: runs, durable with their events: an event that was acknowledged has set off what it had to, one that was not has set off nothing. What is
asked here is cheap and final (the name, the properties, the age); everything else is asked when the run is due.
"""

from collections.abc import Sequence

from events.arrivals import read_words
from events.log import Arrival
from identity.service import Identity
from kernel.db import Conn
from kernel.ids import RecordId
from kernel.kernel import Kernel
from orchestration.triggers import store
from orchestration.triggers.rules import OnEvent, Rule
from orchestration.triggers.runs import NewRun
from orchestration.triggers.shelf import Shelf

ACTOR = "system:trigger"


class Arming:
    """Stands at `Events.on_happened`."""

    def __init__(self, kernel: Kernel, identity: Identity, shelf: Shelf) -> None:
        self._clock = kernel.clock
        self._identity = identity
        self._shelf = shelf

    async def happened(self, conn: Conn, stored: Sequence[tuple[RecordId, Arrival]]) -> None:
        """Set off what these events set off."""
        shelved = await self._shelf.current(conn)
        wanted = [
            (record, event, rule)
            for record, event in stored
            for rule in shelved.rules.by_event.get(event.name, ())
            if rule.name not in shelved.paused
            and not event.machine
            and self._timely(rule, event)
            and _fits(rule, event)
        ]
        if not wanted:
            return
        held = await self._identity.subjects(conn, list(dict.fromkeys(record for record, _, _ in wanted)))
        runs = []
        for record, event, rule in sorted(wanted, key=lambda one: (one[1].event_time, one[1].event_id)):
            people = held[record].people if record in held else ()
            if people:
                at = min(
                    event.event_time, event.received_at
                )  # a sender's clock that is ahead moves nothing into the future
                runs.append(
                    NewRun(
                        trigger=rule.name, kind="event", key=event.event_id, person=people[0], at=at,
                        due_at=rule.due(at), event_id=event.event_id, single=True,
                    )
                )  # fmt: skip
        await store.add(conn, runs, actor=ACTOR, now=self._clock.now())

    def _timely(self, rule: Rule, event: Arrival) -> bool:
        """History that is told late, or imported, sets nothing off."""
        return rule.deadline(rule.due(min(event.event_time, event.received_at))) >= self._clock.now()


def _fits(rule: Rule, event: Arrival) -> bool:
    when = rule.when
    if not isinstance(when, OnEvent):
        return False
    return not when.where or when.fits(read_words(event.words).get("properties", {}))
