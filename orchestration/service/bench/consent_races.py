"""Withdrawals against sends, on real Postgres: once a withdrawal is acknowledged, nothing leaves (consent.C13, channels.A11).

Enters: how many races, a seed. Leaves: ``Races``. Every race is one person with one message that is due, and one withdrawal of hers; two dispatchers and
six who withdraw work through them in orders of their own. The connector notes the moment at which the first byte would leave; everything before it is real.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from channels.connector import Answer, Message, Outcome
from channels.content import Action, Content
from channels.deliveries import NewDelivery
from channels.service import Channels
from channels.settings import ChannelsSettings
from consent.acts import NewAct, Notice
from consent.gate import permission
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.ids import DecisionId, DeliveryId, IdentifierId, PersonId, new_id
from orchestration.service.bench import harness
from orchestration.service.bench.figures import Spread, spread
from orchestration.wiring import House

PURPOSE: Final = "marketing.email"
_SOURCE: Final = "bench"
_ACTOR: Final = "system:bench"
_ROUND: Final = 250  # races that run together
_WITHDRAWING: Final = 6
_DISPATCHED: Final = 20  # messages a worker takes at a time
_PAUSE: Final = 0.08  # seconds at most between two withdrawals of one who withdraws
_LEAVING: Final = 0.004  # and that a message takes to leave
_CONTENT: Final = Content(
    content_id="bench", subject="Spring is here", heading="Spring is here", paragraphs=("The garden is open.",),
    action=Action(label="Have a look", url="https://shop.example/garden"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Races:
    """``late``: sends after the acknowledgement; ``permitted``: people whom the gate permits afterwards; ``withdrawal``: asked to acknowledged."""

    races: int
    sent: int
    withheld: int
    late: int
    permitted: int
    withdrawal: Spread


@dataclass
class _Post:
    """Takes every message and notes when it left."""

    draw: random.Random
    left: dict[str, float] = field(default_factory=dict)
    name: str = "bench"
    channel: str = "email"

    async def send(self, message: Message, delivery_id: DeliveryId, deadline: datetime) -> Outcome:  # noqa: ARG002
        """Leave within a few milliseconds."""
        await asyncio.sleep(self.draw.uniform(0, _LEAVING))
        self.left[message.to] = time.monotonic()
        return Outcome(answer=Answer.ACCEPTED, provider_id=delivery_id)

    async def forget(self, delivery_id: DeliveryId, reserved_at: datetime) -> bool:  # noqa: ARG002
        """It keeps no copy."""
        return False


@dataclass(frozen=True, slots=True)
class _Racer:
    person: PersonId
    contact: IdentifierId
    address: str


async def run(*, races: int, seed: int = 1, told: Callable[[str], None] = lambda _: None) -> Races:
    """Race on engines of its own."""
    draw = random.Random(seed)  # noqa: S311 - who is early and who is late
    post, acknowledged, took = _Post(draw), dict[str, float](), list[float]()
    permitted = 0
    async with harness.rig() as rig, rig.house() as house:
        for start in range(0, races, _ROUND):
            count = min(_ROUND, races - start)
            told(f"races {start + 1} to {start + count}")
            racers = await _crowd(house, start, count)
            await _race(house, racers, post, acknowledged, took, draw)
            permitted += await _permitted(house, racers)
    late = sum(at > acknowledged[to] for to, at in post.left.items())
    return Races(races, len(post.left), races - len(post.left), late, permitted, spread(took))


async def _race(
    house: House, racers: Sequence[_Racer], post: _Post, acknowledged: dict[str, float], took: list[float], draw: random.Random
) -> None:  # fmt: skip
    settings = ChannelsSettings()
    rooms = (house.kernel, house.audit, house.identity, house.consent, house.events, house.profiles, settings, [post])
    workers = [Channels(*rooms), Channels(*rooms)]
    now = house.kernel.clock.now()
    wanted = [
        NewDelivery(
            decision_id=DecisionId(new_id("dec")), person=one.person, identifier_id=one.contact, channel="email",
            purpose=PURPOSE, content=_CONTENT, expires_at=now + timedelta(days=2),
        )
        for one in racers
    ]  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        await workers[0].reserve(conn, wanted)
    waiting = draw.sample(list(racers), len(racers))

    async def withdraw() -> None:
        while waiting:
            one = waiting.pop()
            await asyncio.sleep(draw.uniform(0, _PAUSE))
            asked = time.monotonic()
            async with house.kernel.db.transaction() as conn:
                await house.consent.withdraw(conn, one.contact, PURPOSE, "email", mechanism="one_click", actor="person")
            acknowledged[one.address] = time.monotonic()
            took.append(acknowledged[one.address] - asked)

    async def work(worker: Channels) -> None:
        while True:
            if not (await worker.dispatch(_DISPATCHED)).total:
                return
            await asyncio.sleep(draw.uniform(0, _PAUSE))

    try:
        await asyncio.gather(*(work(worker) for worker in workers), *(withdraw() for _ in range(_WITHDRAWING)))
    finally:
        for worker in workers:
            await worker.close()


async def _permitted(house: House, racers: Sequence[_Racer]) -> int:
    """Everybody has withdrawn by now."""
    async with house.kernel.db.reading() as conn:
        states = await house.consent.states(conn, [one.person for one in racers])
    now = house.kernel.clock.now()
    return sum(permission(state, PURPOSE, "email", now).granted for state in states.values())


async def _crowd(house: House, start: int, count: int) -> list[_Racer]:
    """People who agreed to offers by email a day ago."""
    now = house.kernel.clock.now()
    notice = Notice.of("May we write to you?", version="v1", language="en")
    contacts = [Identifier("email", f"racer{number}@example.org") for number in range(start, start + count)]
    records = [
        NewRecord(
            source=_SOURCE, source_key=one.value, identifiers=(one,), traits={}, kinds={}, observed_at=now - timedelta(days=30),
            purpose="service", basis="contract",
        )
        for one in contacts
    ]  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        await house.identity.add_records(conn, records)
        ids = await house.identity.register_identifiers(conn, contacts)
        acts = [
            NewAct(
                subject=id_, purpose=PURPOSE, status="granted", channel=None, basis="consent", jurisdiction="gdpr",
                notice=notice, mechanism="form", actor=_ACTOR, given_at=now - timedelta(days=1),
            )
            for id_ in ids
        ]  # fmt: skip
        await house.consent.record(conn, acts)
        found = await house.identity.resolve(conn, [[one] for one in contacts])
    return [
        _Racer(who.person, id_, one.value)
        for who, id_, one in zip(found, ids, contacts, strict=True)
        if who.person is not None
    ]
