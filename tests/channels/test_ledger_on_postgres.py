"""The delivery ledger under accidents: killed workers, stale leases, lost answers, two workers on one delivery."""

import asyncio
import itertools
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from channels import store
from channels.connector import Answer, Outcome
from channels.errors import IllegalStep
from channels.ledger import Receipt, State, Step
from channels.receiving import NewReceipt
from kernel.engines import Addresses
from tests.channels.conftest import Recorder, World, delivery

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[2]
QUICK = {"claim_batch": 1, "senders": 1, "send_timeout": 0.5, "lease_seconds": 1.0}

WORKER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from kernel.engines import Addresses
from kernel.kernel import open_at
from kernel.settings import KernelSettings
from kernel.clock import FrozenClock
from tests.channels.conftest import NOW, Recorder, World
from audit.service import Audit
from consent.service import Consent
from consent.requests import Rights
from events.service import Events
from identity.service import Identity
from profiles.service import Profiles

async def main():
    said = json.loads(sys.argv[1])
    async def die(message):
        Path(said["mark"]).write_text(message.delivery_id)
        os.kill(os.getpid(), signal.SIGKILL)
    settings = KernelSettings(data_dir=said["data"], kek_file=said["kek"], pool_size=4)
    clock = FrozenClock(NOW)
    async with open_at(settings, Addresses(**said["addresses"]), clock=clock) as kernel:
        audit = Audit(kernel); identity = Identity(kernel, audit); consent = Consent(kernel, audit, identity)
        events = Events(kernel, audit, identity, consent)
        world = World(kernel, clock, audit, identity, consent, events, Profiles(kernel, identity, consent, events),
                      Rights(kernel, audit, identity, consent))
        await world.channels(Recorder(during=die), **said["quick"]).dispatch()

asyncio.run(main())
"""


async def test_a_worker_killed_while_sending_leaves_an_uncertain_delivery_that_is_never_sent_again(
    world: World, addresses: Addresses, tmp_path: Path
) -> None:
    import json
    from dataclasses import asdict

    recorder = Recorder()
    channels = world.channels(recorder, **QUICK)
    person, contact = await world.person()
    (id_,) = await world.reserve(channels, delivery(person, contact))
    settings = world.kernel.settings
    said = {
        "mark": str(tmp_path / "left"),
        "data": str(settings.data_dir),
        "kek": str(settings.kek_file),
        "addresses": asdict(addresses),
        "quick": QUICK,
    }
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", WORKER, json.dumps(said)], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (tmp_path / "left").read_text() == id_
    assert (await channels.show(id_)).state is State.INTENT
    await asyncio.sleep(1.1)
    assert (await channels.dispatch()).states == {"uncertain": 1}
    for _ in range(3):
        world.clock.advance(timedelta(hours=1))
        assert (await channels.dispatch()).total == 0
    assert recorder.sent == []
    found = await channels.show(id_)
    assert (found.state, found.reason) == (State.UNCERTAIN, "lease_over")
    # The provider's late word settles it.
    settled = await channels.receive(
        id_, NewReceipt(event_id="e1", receipt=Receipt.DELIVERED, at=world.clock.now()), actor="provider"
    )
    assert settled.state is State.DELIVERED


async def test_a_stale_lease_touches_no_row(world: World) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    (id_,) = await world.reserve(channels, delivery(person, contact))
    now = world.clock.now()
    async with world.kernel.db.transaction() as conn:
        first = (await store.claim(conn, [id_], ["a"], lease_seconds=0, now=now))[id_]
    async with world.kernel.db.transaction() as conn:
        assert not await store.hold(conn, id_, first), "the lease is over"
        assert await store.step(conn, id_, Step.DEFER, generation=first, now=now)
        second = (await store.claim(conn, [id_], ["b"], lease_seconds=60, now=now))[id_]
        for step in (Step.ACCEPT, Step.REJECT, Step.LOSE, Step.DEFER):
            assert not await store.step(conn, id_, step, generation=first, now=now)
        assert not await store.hold(conn, id_, first)
        assert await store.hold(conn, id_, second)
        assert await store.step(conn, id_, Step.ACCEPT, generation=second, now=now)


async def test_many_workers_send_each_message_once(world: World) -> None:
    recorder = Recorder()
    workers = [world.channels(recorder) for _ in range(4)]
    person, contact = await world.person()
    ids = await world.reserve(workers[0], *(delivery(person, contact) for _ in range(40)))
    await asyncio.gather(*(worker.dispatch(40) for worker in workers))
    assert sorted(message.delivery_id for message in recorder.sent) == sorted(ids)
    assert await workers[0].counts() == {"accepted": 40}


@pytest.mark.parametrize(
    ("accident", "reason"), [(RuntimeError("lost"), "connector_raised"), (None, "timeout")], ids=["raises", "hangs"]
)
async def test_no_answer_is_uncertain_and_not_tried_again(
    world: World, accident: Exception | None, reason: str
) -> None:
    tries: list[str] = []

    async def during(message: object) -> None:
        tries.append(message.delivery_id)
        if accident is not None:
            raise accident
        await asyncio.sleep(30)

    channels = world.channels(Recorder(during=during), **QUICK)
    person, contact = await world.person()
    (id_,) = await world.reserve(channels, delivery(person, contact))
    assert (await channels.dispatch()).reasons == {reason: 1}
    assert (await channels.dispatch()).total == 0
    assert tries == [id_]
    assert (await channels.show(id_)).state is State.UNCERTAIN


async def test_a_deferred_message_waits_as_long_as_the_provider_says(world: World) -> None:
    recorder = Recorder(answer=Outcome(answer=Answer.DEFERRED, reason="too_many", retry_after=90))
    channels = world.channels(recorder, max_attempts=2)
    person, contact = await world.person()
    (id_,) = await world.reserve(channels, delivery(person, contact))
    assert (await channels.dispatch()).states == {"reserved": 1}
    assert (await channels.dispatch()).total == 0
    world.clock.advance(timedelta(seconds=91))
    assert (await channels.dispatch()).reasons == {"too_many_attempts": 1}
    assert (await channels.show(id_)).state is State.REJECTED
    assert (await world.tags()).count("delivery.deferred") == 1


async def test_only_an_unclaimed_message_is_called_off(world: World) -> None:
    recorder = Recorder()
    channels = world.channels(recorder)
    person, contact = await world.person()
    first, second = await world.reserve(channels, delivery(person, contact), delivery(person, contact))
    assert (await channels.cancel(first)).state is State.CANCELLED
    await channels.dispatch()
    with pytest.raises(IllegalStep):
        await channels.cancel(second)
    assert [message.delivery_id for message in recorder.sent] == [second]


async def test_receipts_end_in_one_state_whatever_their_order(world: World) -> None:
    channels = world.channels(Recorder())
    words = [Receipt.ACCEPTED, Receipt.DEFERRED, Receipt.DELIVERED, Receipt.BOUNCED]
    orders = list(itertools.permutations(words))
    people = [await world.person(str(n)) for n in range(len(orders))]
    ids = await world.reserve(channels, *(delivery(p, c) for p, c in people))
    await channels.dispatch(100)
    for id_, order in zip(ids, orders, strict=True):
        for word in (*order, *order):
            receipt = NewReceipt(event_id=f"{id_}-{word}", receipt=word, at=world.clock.now())
            await channels.receive(id_, receipt, actor="provider")
        assert (await channels.show(id_)).state is State.BOUNCED
    assert (await world.tags()).count("delivery.receipt") == len(orders) * len(words)


async def test_a_final_bounce_silences_the_contact(world: World) -> None:
    channels = world.channels(Recorder())
    person, contact = await world.person()
    (id_,) = await world.reserve(channels, delivery(person, contact))
    await channels.dispatch()
    bounce = NewReceipt(event_id="b", receipt=Receipt.BOUNCED, at=world.clock.now(), permanent=True)
    await channels.receive(id_, bounce, actor="provider")
    (again,) = await world.reserve(channels, delivery(person, contact))
    assert again.reason == "suppressed"
