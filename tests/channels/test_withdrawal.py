"""A withdrawal that was acknowledged before the send stops it, however the two race (spec channels.A11)."""

import asyncio
import random
import time

import pytest

from channels.connector import Message
from channels.ledger import State
from kernel.settings import KernelSettings
from tests.channels.conftest import Recorder, World, delivery

pytestmark = pytest.mark.anyio


@pytest.fixture
def kernel_settings(kernel_settings: KernelSettings) -> KernelSettings:
    """Room for senders and for withdrawals that wait for them."""
    return kernel_settings.model_copy(update={"pool_size": 16})


async def test_what_was_withdrawn_after_the_decision_is_withheld_and_frees_its_cap(world: World) -> None:
    recorder = Recorder()
    channels = world.channels(recorder)
    person, contact = await world.person()
    (id_,) = await world.reserve(channels, delivery(person, contact))
    await world.withdraw(contact)
    report = await channels.dispatch()
    assert report.states == {"withheld": 1}
    assert report.reasons == {"withdrawn.channel": 1}
    assert recorder.sent == []
    assert (await channels.show(id_)).reason == "withdrawn.channel"
    assert "delivery.withheld" in await world.tags()
    assert "delivery.intent" not in await world.tags()


async def test_a_withdrawal_between_claim_and_send_is_honoured(world: World) -> None:
    recorder = Recorder()
    channels = world.channels(recorder)
    person, contact = await world.person()
    (id_,) = await world.reserve(channels, delivery(person, contact))
    dispatcher = channels._dispatcher
    claim = dispatcher._claim

    async def claim_then_withdraw(*args: object) -> object:
        claimed = await claim(*args)
        if claimed[0]:
            await world.withdraw(contact)
        return claimed

    dispatcher._claim = claim_then_withdraw
    report = await channels.dispatch()
    assert recorder.sent == []
    assert report.states == {"withheld": 1}
    assert [s.state for s in await channels.history(id_)] == [State.RESERVED, State.INTENT, State.WITHHELD]


async def test_a_withdrawal_waits_for_the_message_that_is_leaving(world: World) -> None:
    acknowledged = asyncio.Event()
    leaving: list[asyncio.Task[None]] = []

    async def withdraw() -> None:
        await world.withdraw(contact)
        acknowledged.set()

    async def during(_message: Message) -> None:
        leaving.append(asyncio.create_task(withdraw()))
        await asyncio.sleep(0.3)
        assert not acknowledged.is_set()

    recorder = Recorder(during=during)
    channels = world.channels(recorder)
    person, contact = await world.person()
    await world.reserve(channels, delivery(person, contact))
    assert (await channels.dispatch()).states == {"accepted": 1}
    await asyncio.wait_for(leaving[0], 5)
    assert acknowledged.is_set()


async def test_nothing_leaves_after_an_acknowledgement_in_two_hundred_races(world: World) -> None:
    """The moment of a send is that of its first byte; the moment of an acknowledgement, that of the answer."""
    rng = random.Random(7)
    sent: dict[str, float] = {}
    acknowledged: dict[str, float] = {}

    async def during(message: Message) -> None:
        await asyncio.sleep(rng.uniform(0, 0.004))
        sent[message.to] = time.monotonic()

    channels = world.channels(Recorder(during=during))
    other = world.channels(Recorder(during=during))
    people = [await world.person(str(n)) for n in range(200)]
    await world.reserve(channels, *(delivery(person, contact) for person, contact in people))

    order = list(range(200))
    rng.shuffle(order)

    async def withdraw_some() -> None:
        while order:
            n = order.pop()
            await asyncio.sleep(rng.uniform(0, 0.2))
            await world.withdraw(people[n][1])
            acknowledged[f"ada{n}@example.org"] = time.monotonic()

    async def work(worker: object) -> None:
        while (await worker.dispatch(20)).total:
            await asyncio.sleep(0)

    await asyncio.gather(work(channels), work(other), *(withdraw_some() for _ in range(6)))
    late = [to for to, at in sent.items() if at > acknowledged[to]]
    assert late == []
    states = await channels.counts()
    assert states["accepted"] == len(sent)
    assert sum(states.values()) == 200
    assert states["accepted"] > 10, "no race: the withdrawals came first"
    assert states["withheld"] > 10, "no race: the sends came first"
