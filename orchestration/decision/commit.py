"""One commit: fence, cap, suppression, delivery, audit entry and decision together, or none of them (DESIGN 5.1).

Enters: `Pending` decisions of many requests. Leaves, for each: `Committed`, or `Refused` with what moved since it was made. A refused one has
written nothing and does not harm its neighbours; the caller decides again from scratch, so that recorded probabilities stay true.
Postgres is the authority here; what the hot store said was advice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from audit.access import asking_store
from audit.access.asking import Asked
from audit.entries import NewEntry
from audit.service import Audit
from channels.deliveries import NewDelivery, Withheld
from channels.web.standing import WEB, Elsewhere, Standing
from consent.service import Consent
from kernel.batcher import GroupCommit
from kernel.db import Conn
from kernel.ids import DecisionId, DeliveryId, EntryId, PersonId
from kernel.kernel import Kernel
from orchestration.decision import item_store, quick_store, store
from orchestration.decision.outbound import Outbound
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.store import Row

FENCE, CATALOGUE, WITHHELD, STANDING, TAKEN, ASKED = "fence", "catalogue", "withheld", "standing", "taken", "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A decision ready to be kept. `fences` are the consent versions it rests on, `items` the version of the assortment, where sources were asked.
    `once`: its id came with the request, so there may be a decision under it already.
    """

    row: Row
    entry: NewEntry
    fences: Mapping[PersonId, int]
    delivery: NewDelivery | None = None
    standing: tuple[Standing, DecisionId | None] | None = None
    items: int | None = None
    once: bool = False
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """It is kept."""

    entry_id: EntryId
    delivery_id: DeliveryId | None


@dataclass(frozen=True, slots=True)
class Refused:
    """What moved: the consent or graph of the person, the catalogue, what stands on the page, who has the id, or (`withheld`) a cap or
    suppression, with channels' reason; or it was `asked` before and decided then.
    """

    what: str
    reason: str


class Committer:
    """The group commit of decisions. One per process and event loop."""

    def __init__(
        self, kernel: Kernel, audit: Audit, consent: Consent, channels: Outbound, settings: DecisionSettings
    ) -> None:
        self._clock = kernel.clock
        self._db = kernel.db
        self._audit = audit
        self._consent = consent
        self._channels = channels
        self._group: GroupCommit[Pending, Committed | Refused] = GroupCommit(
            kernel.db,
            self.flush,
            max_items=settings.group_items,
            max_wait=settings.group_wait_ms / 1000,
            pipelined=True,
            short=self.short,
        )

    async def submit(self, item: Pending) -> Committed | Refused:
        """Keep one decision; the answer comes after the commit."""
        return await self._group.submit(item)

    async def close(self) -> None:
        """Finish what waits, take nothing more."""
        await self._group.close()

    async def short(self, items: Sequence[Pending]) -> list[Committed | Refused | None]:
        """Keep plain decisions whose ground holds, in one statement; None for every other one, of which nothing was written: `flush` says why."""
        plain = [item for item in items if _is_plain(item)]
        if not plain:
            return [None] * len(items)
        people = [person for item in plain for person in item.fences]
        made = await self._audit.appending([item.entry for item in plain], kept=quick_store.KEPT)
        entries = {item.row.id: entry for item, entry in zip(plain, made.ids, strict=True)}
        rows = [
            (replace(item.row, entry_id=entries[item.row.id]), next(iter(item.fences.values())), _elsewhere(item.row) is not None)
            for item in plain
        ]  # fmt: skip
        async with self._db.single() as conn:
            kept = await quick_store.keep(
                conn, rows, held=self._consent.holding(people), watching=self._channels.watching(people), entries=made.piece
            )  # fmt: skip
        return [Committed(entries[item.row.id], None) if item.row.id in kept else None for item in items]

    async def flush(self, conn: Conn, items: Sequence[Pending]) -> list[Committed | Refused | Exception]:
        """The writes of a group, in the order: askings, consent fence, catalogue fence, caps and outbox, pages, log, decisions."""
        answers: dict[int, Committed | Refused] = await self._asked_before(conn, items)
        asked = await store.ask_ruling(conn)
        moved = await self._moved(conn, items)
        ruling = await asked()
        offered = await item_store.version(conn) if any(item.items is not None for item in items) else None
        brought = [item.row.id for item in items if item.once]
        taken = await store.taken(conn, brought) if brought else set()
        for place, item in enumerate(items):
            if place in answers:
                continue
            if item.row.id in taken:
                answers[place] = Refused(TAKEN, "decided_already")
            elif any(
                person in moved or version != self._newest(items, person) for person, version in item.fences.items()
            ):
                answers[place] = Refused(FENCE, "consent_or_graph_moved")
            elif item.row.catalogue != ruling:
                answers[place] = Refused(CATALOGUE, "catalogue_moved")
            elif item.items is not None and item.items != offered:
                answers[place] = Refused(CATALOGUE, "items_moved")
        sending = [place for place in range(len(items)) if place not in answers and items[place].delivery is not None]
        reserved: dict[int, DeliveryId] = {}
        wanted = [delivery for place in sending if (delivery := items[place].delivery) is not None]
        given = await self._channels.reserve(conn, wanted) if wanted else []
        for place, answer in zip(sending, given, strict=True):
            if isinstance(answer, Withheld):
                answers[place] = Refused(WITHHELD, answer.reason)
            else:
                reserved[place] = answer
        pages = [place for place in range(len(items)) if place not in answers and items[place].standing is not None]
        wishes = [wish for place in pages if (wish := items[place].standing) is not None]
        for place, stands in zip(pages, await self._channels.stand(conn, wishes) if wishes else [], strict=True):
            if not stands:
                answers[place] = Refused(STANDING, "decided_meanwhile")
        kept = [place for place in range(len(items)) if place not in answers]
        # What was claimed for a decision that is not kept is free again: it is decided anew, and may be the first once more.
        given_up = [
            one.key
            for place, answer in answers.items()
            if isinstance(answer, Refused) and answer.what != ASKED and (one := items[place].asked) is not None
        ]
        await asking_store.release(conn, given_up)
        entries = await self._audit.append(conn, [items[place].entry for place in kept])
        rows: list[Row] = []
        for place, entry_id in zip(kept, entries, strict=True):
            answers[place] = Committed(entry_id, reserved.get(place))
            rows.append(replace(items[place].row, entry_id=entry_id, delivery_id=reserved.get(place)))
        await store.insert(conn, rows)
        if carried := [page for row in rows if (page := _elsewhere(row)) is not None]:
            await self._channels.elsewhere(conn, carried)
        return [answers[place] for place in range(len(items))]

    async def _asked_before(self, conn: Conn, items: Sequence[Pending]) -> dict[int, Committed | Refused]:
        """Claim the askings of the group; a refusal for each that another one was first with."""
        wishes = [(one, items[place].row.id) for place in range(len(items)) if (one := items[place].asked)]
        mine = await asking_store.claim(conn, wishes, self._clock.now())
        return {
            place: Refused(ASKED, "asked_before")
            for place, item in enumerate(items)
            if item.asked is not None and item.row.id not in mine
        }

    async def _moved(self, conn: Conn, items: Sequence[Pending]) -> set[PersonId]:
        fences = {person: self._newest(items, person) for item in items for person in item.fences}
        return await self._consent.fence(conn, fences)

    @staticmethod
    def _newest(items: Sequence[Pending], person: PersonId) -> int:
        """Two decisions of one group may know two versions of one person: only the newest can be the true one."""
        return max(item.fences[person] for item in items if person in item.fences)


def _is_plain(item: Pending) -> bool:
    """It takes no cap, queues nothing, stands on no page, and can be asked for but once."""
    extra = item.delivery is not None or item.standing is not None or item.items is not None
    return (
        not extra and not item.once and item.asked is None and item.entry.key_id is not None and len(item.fences) == 1
    )


def _elsewhere(row: Row) -> Elsewhere | None:
    if row.person is None or row.channel is None or row.channel == WEB:
        return None
    return Elsewhere(person=row.person, placement=row.placement, channel=row.channel, decision_id=row.id)
