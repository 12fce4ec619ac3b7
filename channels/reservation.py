"""Reserving: a message takes its places under the caps and its row in the ledger, in the decision's own commit, or is withheld.

Enters: `NewDelivery`s of many decisions. Leaves: one `DeliveryId` or `Withheld` each. Conditional SQL only, so that one refusal harms no
neighbour of a group commit; nothing raises for one item. Follows DESIGN 5.1, spec channels.A31, operations.B1.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from audit.tags import Tag
from channels import caps_store, forms, store
from channels.advice import Advisor
from channels.caps import CapRule, Window, window
from channels.caps_store import Place
from channels.content import pack
from channels.deliveries import Delivery, NewDelivery, No, Withheld
from channels.ledger import State
from channels.moving import Mover
from channels.store import Row
from channels.suppression import Suppressions, bars
from identity.service import Identity
from kernel.db import Conn
from kernel.errors import InvalidInput
from kernel.ids import DecisionId, DeliveryId, KeyId, PersonId, new_id
from kernel.kernel import Kernel

_RESERVED = {State.RESERVED: Tag.DELIVERY_RESERVED}


@dataclass(frozen=True, slots=True)
class _Wish:
    row: Row
    places: tuple[Place, ...]


class Reservations:
    """Reserves. `channels` are those that have a connector."""

    def __init__(
        self, kernel: Kernel, identity: Identity, suppressions: Suppressions, mover: Mover, channels: frozenset[str],
        advisor: Advisor,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._identity = identity
        self._suppressions = suppressions
        self._mover = mover
        self._channels = channels
        self._advisor = advisor

    async def reserve(self, conn: Conn, deliveries: Sequence[NewDelivery]) -> list[DeliveryId | Withheld]:
        """See `Channels.reserve`."""
        if not deliveries:
            return []
        answers: dict[DecisionId, DeliveryId | Withheld] = {
            **await store.of_decisions(conn, [one.decision_id for one in deliveries])
        }
        fresh = {one.decision_id: one for one in deliveries if one.decision_id not in answers}
        wishes: dict[DecisionId, _Wish] = {}
        for decision, found in (await self._judged(conn, list(fresh.values()))).items():
            if isinstance(found, Withheld):
                answers[decision] = found
            else:
                wishes[decision] = found
        self._advisor.forget(conn, [wish.row.delivery.person for wish in wishes.values()])
        full = await _take(conn, list(wishes.values()))
        kept = {decision: wish for decision, wish in wishes.items() if wish.row.delivery.delivery_id not in full}
        answers |= {decision: Withheld(No.CAP) for decision in wishes.keys() - kept.keys()}
        stored = await store.insert(conn, [wish.row for wish in kept.values()])
        mine = [wish for decision, wish in kept.items() if stored[decision] == wish.row.delivery.delivery_id]
        # Another commit reserved for the same decision meanwhile: its delivery stands, our places are free again.
        await caps_store.give_back(conn, [_held(p) for wish in kept.values() if wish not in mine for p in wish.places])
        await self._mover.remember(conn, [(wish.row.delivery, State.RESERVED, None) for wish in mine], tags=_RESERVED)
        answers |= stored
        return [answers[one.decision_id] for one in deliveries]

    async def _judged(self, conn: Conn, fresh: Sequence[NewDelivery]) -> dict[DecisionId, _Wish | Withheld]:
        if not fresh:
            return {}
        now = self._kernel.clock.now()
        named = await self._keys(conn, fresh)
        keys = await self._kernel.vault.unwrap(set(named.values()))
        hashes = await self._suppressions.hashes(conn, [one.identifier_id for one in fresh])
        await store.lock_contacts(conn, list(hashes.values()), shared=True)
        barred = await store.suppressions(conn, list(hashes.values()))
        found: dict[DecisionId, _Wish | Withheld] = {}
        for one in fresh:
            key = keys.get(named[one.decision_id]) if one.decision_id in named else None
            contact = hashes.get(one.identifier_id)
            at = max(one.deliver_after or now, now)
            if one.channel not in self._channels:
                found[one.decision_id] = Withheld(No.NO_CONNECTOR)
            elif one.expires_at <= at:
                found[one.decision_id] = Withheld(No.EXPIRED)
            elif contact is None:
                found[one.decision_id] = Withheld(No.CONTACT_GONE)
            elif bars(barred.get(contact, {}), one.channel):
                found[one.decision_id] = Withheld(No.SUPPRESSED)
            elif key is None:
                found[one.decision_id] = Withheld(No.NO_KEY)
            else:
                try:
                    forms.check(one.content, one.channel)
                    windows = windows_of(one.cap_rules, at)
                except InvalidInput as fault:  # a refusal of the words or of a cap, by its code
                    found[one.decision_id] = Withheld(fault.code.removeprefix("channels."))
                    continue
                delivery = _delivery(one, key.id, [w.key for w in windows], at=at, now=now)
                sealed = key.seal("channels.deliveries", "content", delivery.delivery_id, pack(one.content))
                places = tuple(
                    Place(
                        person=one.person,
                        delivery_id=delivery.delivery_id,
                        at=at,
                        window=w,
                        kept_from=w.before(at - now),
                    )
                    for w in windows
                )
                found[one.decision_id] = _Wish(Row(delivery=delivery, content=sealed), places)
        return found

    async def _keys(self, conn: Conn, fresh: Sequence[NewDelivery]) -> Mapping[DecisionId, KeyId]:
        """The key that seals each content: the decision's, else the first of the person's own."""
        named = {one.decision_id: one.key_id for one in fresh if one.key_id is not None}
        open_ = [one for one in fresh if one.key_id is None]
        held = await self._identity.members(conn, sorted({one.person for one in open_})) if open_ else {}
        return named | {
            one.decision_id: min(held[one.person].key_ids)
            for one in open_
            if one.person in held and held[one.person].key_ids
        }


def windows_of(rules: Sequence[CapRule], at: datetime) -> list[Window]:
    """The windows a message for `at` counts in: each once, under the strictest of the rules that share it."""
    strictest: dict[str, Window] = {}
    for rule in rules:
        one = window(rule, at)
        held = strictest.get(one.key)
        if held is None or one.limit < held.limit:
            strictest[one.key] = one
    return list(strictest.values())


async def _take(conn: Conn, wishes: Sequence[_Wish]) -> set[DeliveryId]:
    """Take every place or none, for each; answers those for whom there was no room.

    The first round touches every counter that the group needs, in one order, so two groups never wait for each other.
    """
    lines: dict[tuple[PersonId, str], list[Place]] = defaultdict(list)
    for wish in wishes:
        for place in wish.places:
            lines[place.person, place.window.key].append(place)
    taken: set[tuple[DeliveryId, str]] = set()
    for turn in zip_longest(*lines.values()):
        taken |= await caps_store.take_places(conn, [place for place in turn if place is not None])
    short = [w for w in wishes if any((p.delivery_id, p.window.key) not in taken for p in w.places)]
    partial = [_held(p) for w in short for p in w.places if (p.delivery_id, p.window.key) in taken]
    if not partial:
        return {w.row.delivery.delivery_id for w in short}
    # Somebody's half stood in another's way: those who were refused try once more, one by one, on counters we hold.
    await caps_store.give_back(conn, partial)
    full: set[DeliveryId] = set()
    for wish in short:
        got = await caps_store.take_places(conn, wish.places)
        if len(got) < len(wish.places):
            await caps_store.give_back(conn, [_held(p) for p in wish.places if (p.delivery_id, p.window.key) in got])
            full.add(wish.row.delivery.delivery_id)
    return full


def _held(place: Place) -> tuple[PersonId, str, DeliveryId]:
    return place.person, place.window.key, place.delivery_id


def _delivery(new: NewDelivery, key_id: KeyId, cap_keys: Sequence[str], *, at: datetime, now: datetime) -> Delivery:
    return Delivery(
        delivery_id=new_id("dlv"),
        decision_id=new.decision_id,
        person=new.person,
        identifier_id=new.identifier_id,
        channel=new.channel,
        purpose=new.purpose,
        state=State.RESERVED,
        key_id=key_id,
        deliver_after=at,
        expires_at=new.expires_at,
        reserved_at=now,
        changed_at=now,
        generation=0,
        attempts=0,
        cap_keys=tuple(cap_keys),
        connector=None,
        provider_id=None,
        reason=None,
    )
