"""Killed, overtaken, told meanwhile, down, erased: what was broken off is recovered, and nothing is doubled."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest

from consent.requests import Rights
from consent.rights.checks import Method
from kernel.errors import Unavailable
from tests.orchestration.conftest import NOW
from tests.orchestration.triggers.conftest import CART, HOUR, MINUTE, again

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def published(ring):
    await ring.triggers.publish(CART, actor="staff:ann")


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("moment", ["before", "after", "ending"])
async def test_a_server_killed_around_the_decision_is_recovered_and_nothing_is_doubled(ring, monkeypatch, moment):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    decide = ring.shop.decisions.decide

    async def dying(request):
        if moment == "after":
            await decide(request)
        raise Killed

    async def dying_late(*_, **__):
        raise Killed

    with monkeypatch.context() as patched:
        if moment == "ending":
            patched.setattr("orchestration.triggers.store.move", dying_late)
        else:
            patched.setattr(ring.shop.decisions, "decide", dying)
        with pytest.raises(Killed):
            await ring.work(HOUR)
    assert await ring.runs() == [("deciding", "due")]
    other = again(ring.shop)
    assert await other.work() == []  # the lease holds: its worker may be alive
    ring.shop.clock.advance(timedelta(seconds=61))
    (run,) = await other.work()
    assert (run.state, run.generation) == ("sent", 2)
    assert await ring.deliveries() == 1
    assert len(await ring.shop.rows("SELECT 1 FROM decision.decisions")) == 1
    assert [s.reason for s in await other.history(run.run_id)] == ["event", "due", "lease_over", run.reason]


async def test_a_server_killed_between_claim_and_verdict_is_recovered(ring, monkeypatch):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")

    async def dying(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(ring.triggers._working, "_settle", dying)
        with pytest.raises(Killed):
            await ring.work(HOUR)
    ring.shop.clock.advance(timedelta(minutes=2))
    await ring.happens("ada", "Order Completed")
    (run,) = await ring.work()
    assert (run.state, run.reason) == ("called_off", "happened:Order Completed")


async def test_a_worker_that_was_overtaken_decides_nothing_twice(ring, monkeypatch):
    """It wakes up after its lease: the decision is kept under the run's one id already."""
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    decide, woken, asleep = ring.shop.decisions.decide, asyncio.Event(), asyncio.Event()

    async def slow(request):
        if not asleep.is_set():
            asleep.set()
            await woken.wait()
        return await decide(request)

    monkeypatch.setattr(ring.shop.decisions, "decide", slow)
    ring.shop.clock.advance(HOUR)
    first = asyncio.create_task(ring.triggers.work())
    await asyncio.wait_for(asleep.wait(), 10)
    ring.shop.clock.advance(timedelta(seconds=61))
    (run,) = await again(ring.shop).work()
    woken.set()
    assert await first == []
    assert run.state == "sent"
    assert await ring.deliveries() == 1
    assert (await ring.triggers.run(run.run_id)).state == "sent"
    assert len(await ring.shop.rows("SELECT 1 FROM audit.entries WHERE tag = 'decision.made'")) == 1


async def test_what_is_told_while_a_run_is_judged_is_not_lost(ring, monkeypatch):
    """The run is being called off, on a log without the new cart: the cart waits for that and sets off a run of its own."""
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    await ring.happens("ada", "Order Completed", at=NOW + MINUTE)
    working, read, told = ring.triggers._working, asyncio.Event(), asyncio.Event()
    verdict = working._verdict

    async def slow(*args):
        made = await verdict(*args)
        read.set()
        await asyncio.wait_for(told.wait(), 10)
        return made

    monkeypatch.setattr(working, "_verdict", slow)
    ring.shop.clock.advance(HOUR)
    judging = asyncio.create_task(ring.triggers.work())
    await asyncio.wait_for(read.wait(), 10)
    telling = asyncio.create_task(ring.happens("ada", "Product Added"))
    await asyncio.sleep(0.2)
    assert not telling.done()
    told.set()
    await asyncio.gather(judging, telling)
    assert await ring.runs() == [("called_off", "happened:Order Completed"), ("waiting", "event")]
    monkeypatch.undo()
    monkeypatch.setattr("orchestration.decision.service.secrets", SimpleNamespace(token_hex=lambda _: "s1"))
    assert [one.state for one in await ring.work(HOUR)] == ["sent"]


async def test_many_workers_share_the_work_and_double_nothing(ring):
    names = [f"p{n}" for n in range(30)]
    await ring.shop.people(dict.fromkeys(names, 30.0))
    for name in names:
        await ring.happens(name, "Product Added")
    ring.shop.clock.advance(HOUR)
    workers = [again(ring.shop, claim_batch=5) for _ in range(4)]

    async def until_done(one):
        while await one.work():
            continue

    await asyncio.gather(*(until_done(one) for one in workers))
    assert await ring.runs() == [("sent", reason) for _, reason in await ring.runs()]
    assert await ring.deliveries() == 30


async def test_a_part_that_is_down_puts_it_off_and_too_often_is_a_failure(ring, monkeypatch):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")

    async def down(_):
        raise Unavailable("expected an answer, got none", code="down", remedy="Wait.")

    monkeypatch.setattr(ring.shop.decisions, "decide", down)
    made = again(ring.shop, max_attempts=3)
    ring.shop.clock.advance(HOUR)
    for _ in range(3):
        await made.work()
        ring.shop.clock.advance(MINUTE)
    assert await ring.runs() == [("failed", "too_many_attempts")]
    assert [s.reason for s in await made.history((await made.runs())[0].run_id)][1:4] == [
        "due",
        "try_again:down",
        "due",
    ]


# erased


async def test_who_is_erased_meanwhile_gets_nothing_and_leaves_nothing(ring):
    ada = await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    async with ring.shop.kernel.db.transaction() as conn:
        exported = await ring.triggers.export(conn, ada)
        assert exported[0]["trigger"] == "cart"
        assert await ring.triggers.count(conn, [ada]) == {"trigger_runs": 1}
        assert await ring.triggers.erase(conn, ada) == 1
        assert await ring.triggers.export(conn, ada) == []
    assert await ring.work(HOUR) == []
    assert await ring.shop.rows("SELECT 1 FROM triggers.steps") == []


async def test_an_erasure_after_a_merge_takes_what_was_set_off_under_every_id(ring):
    shop = ring.shop
    rights = Rights(shop.kernel, shop.audit, shop.identity, shop.consent)
    for holder in (shop.identity, shop.consent, shop.events, shop.profiles, shop.channels, shop.learning, shop.decisions, ring.triggers):  # fmt: skip
        rights.register(holder)
    ada, bea = await shop.person("ada"), await shop.person("bea")
    await ring.happens("ada", "Product Added")
    await ring.happens("bea", "Product Added")
    await ring.merge(ada, bea)
    told = await rights.open("access", ada, actor="person", check=Method.LOGIN)
    package = (await rights.run(told.id, actor="staff:a")).package
    assert [one["trigger"] for one in package.holdings["triggers"]] == [
        "cart",
        "cart",
    ]
    request = await rights.open("erasure", bea, actor="person")
    await rights.approve(request.id, actor="staff:b")
    assert (await rights.run(request.id, actor="staff:a")).counts["triggers"] == 2
    assert await ring.runs() == []
    assert await ring.work(HOUR) == []


async def test_a_run_of_somebody_whose_identity_is_gone_is_called_off(ring):
    ada = await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    async with ring.shop.kernel.db.transaction() as conn:
        await ring.shop.identity.erase(conn, ada)
    (run,) = await ring.work(HOUR)
    assert (run.state, run.reason) == ("called_off", "erased")
