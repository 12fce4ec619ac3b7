"""Campaigns: pause, resume and kill at any instruction; nobody gets two, nobody is passed over (spec channels.A36)."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest

from audit.tags import Tag
from kernel.errors import Unavailable
from orchestration.decision.errors import UnknownPlacement
from orchestration.triggers.errors import CampaignStands, UnknownCampaign
from tests.orchestration.triggers.conftest import MINUTE, again

pytestmark = pytest.mark.anyio

PEOPLE = 24


@pytest.fixture(autouse=True)
async def people(ring):
    await ring.shop.people({f"p{n}": 30.0 for n in range(PEOPLE)})


class Killed(BaseException):
    """The process is gone."""


def other(ring, **settings):
    return again(ring.shop, campaign_batch=5, **settings).campaigns


async def deliveries(ring) -> Counter:
    """Messages by person."""
    rows = await ring.shop.rows("SELECT person FROM channels.deliveries WHERE state <> 'cancelled'")
    return Counter(row["person"] for row in rows)


async def test_everyone_gets_one_decision_and_one_message(ring):
    await ring.shop.person("eve", agree=())
    mine = other(ring)
    begun = await mine.start("open", actor="staff:ann")
    assert (begun.people, begun.state) == (PEOPLE + 1, "running")
    assert (await mine.carry_out("open")).state == "done"
    found = await mine.status("open")
    assert (found.state, found.people, found.left, len(found.decisions)) == ("done", PEOPLE + 1, 0, PEOPLE + 1)
    assert (found.arms, found.channels) == ({"nothing": 1, "plain": PEOPLE}, {"email": PEOPLE, "none": 1})
    assert list(found.withheld) == ["consent.missing"] or list(found.withheld.values()) == [1]
    assert found.deliveries == {"accepted": PEOPLE}
    assert set((await deliveries(ring)).values()) == {1}
    shown = await ring.shop.decisions.show(found.example)
    assert shown["trigger"] == "campaign:open"
    tags = [one["tag"] for one in await ring.shop.rows("SELECT tag FROM audit.entries")]
    assert tags.count(Tag.CAMPAIGN_CHANGED) == 2


async def test_a_limit_and_a_source_say_who_is_meant(ring):
    mine = other(ring)
    assert (await mine.start("open", limit=3, source="shop", actor="staff:ann")).people == 3
    await mine.carry_out("open")
    assert (await mine.start("open", source="nowhere", actor="staff:ann")).people == 0
    assert (await mine.carry_out("open")).state == "done"
    assert [one.people for one in await mine.listed()] == [0, 3]
    assert (await mine.status("open")).people == 0


async def test_started_again_it_is_gone_on_with_and_once_done_it_is_a_new_one(ring):
    mine = other(ring)
    first = await mine.start("open", actor="staff:ann")
    await mine.work("open")
    assert (await mine.start("open", actor="staff:bob")).campaign_id == first.campaign_id
    await mine.carry_out("open")
    assert set((await deliveries(ring)).values()) == {1}
    second = await mine.start("open", actor="staff:ann")
    assert second.campaign_id != first.campaign_id
    await mine.carry_out("open")
    assert set((await deliveries(ring)).values()) == {2}
    assert len((await mine.status("open")).decisions) == PEOPLE


async def test_paused_nobody_further_is_decided_for_and_resumed_everybody_is(ring):
    mine = other(ring)
    await mine.start("open", actor="staff:ann")
    await mine.work("open")
    await mine.pause("open", actor="staff:ann")
    assert await mine.work("open") == 0
    assert (await mine.carry_out("open")).state == "paused"
    found = await mine.status("open")
    assert (found.state, found.left, len(found.decisions)) == ("paused", PEOPLE - 5, 5)
    for act in (mine.pause, mine.start):
        with pytest.raises(CampaignStands):
            await act("open", actor="staff:ann")
    await mine.resume("open", actor="staff:ann")
    await mine.carry_out("open")
    assert (await mine.status("open")).left == 0
    assert sorted((await deliveries(ring)).values()) == [1] * PEOPLE


async def test_killed_what_waits_gets_nothing_and_what_is_queued_is_called_off(ring):
    mine = other(ring)
    await mine.start("open", actor="staff:ann")
    await mine.work("open")
    assert (await ring.shop.channels.dispatch(2)).states == {"accepted": 2}
    await mine.kill("open", actor="staff:ann")
    found = await mine.status("open")
    assert (found.state, found.left) == ("killed", 0)
    assert found.deliveries == {"accepted": 2, "cancelled": 3}
    assert found.called_off == {"campaign_killed": PEOPLE - 5}
    assert (await ring.shop.channels.dispatch()).total == 0
    assert await mine.work_all() == 0
    for act in (mine.kill, mine.pause, mine.resume):
        with pytest.raises(CampaignStands):
            await act("open", actor="staff:ann")


@pytest.mark.parametrize("moment", ["before", "half", "after", "ending"])
async def test_a_worker_killed_at_any_instruction_doubles_nobody_and_forgets_nobody(ring, monkeypatch, moment):
    mine = other(ring)
    await mine.start("open", actor="staff:ann")
    decide_many = ring.shop.decisions.decide_many

    async def dying(requests, **more):
        if moment in {"half", "after"}:
            await decide_many(requests[: 2 if moment == "half" else None], **more)
        raise Killed

    async def dying_late(conn, ends, *_, **__):
        if ends:
            raise Killed

    with monkeypatch.context() as patched:
        if moment == "ending":
            patched.setattr("orchestration.triggers.campaign_store.end", dying_late)
        else:
            patched.setattr(ring.shop.decisions, "decide_many", dying)
        with pytest.raises(Killed):
            await mine.work("open")
    assert (await mine.status("open")).left == PEOPLE
    ring.shop.clock.advance(timedelta(seconds=61))
    assert (await other(ring).carry_out("open")).state == "done"
    assert sorted((await deliveries(ring)).values()) == [1] * PEOPLE
    assert len(await ring.shop.rows("SELECT 1 FROM decision.decisions")) == PEOPLE


async def test_killing_a_campaign_whose_worker_died_takes_up_what_it_left(ring, monkeypatch):
    mine = other(ring)
    await mine.start("open", actor="staff:ann")
    decide_many = ring.shop.decisions.decide_many

    async def dying(requests, **more):
        await decide_many(requests[:2], **more)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(ring.shop.decisions, "decide_many", dying)
        with pytest.raises(Killed):
            await mine.work("open")
    killing = asyncio.create_task(mine.kill("open", actor="staff:ann"))
    await asyncio.sleep(0.3)
    assert not killing.done()  # the worker may be alive until its lease is over
    ring.shop.clock.advance(timedelta(seconds=61))
    await killing
    found = await mine.status("open")
    assert (found.left, found.deliveries) == (0, {"cancelled": 2})


async def test_four_workers_and_staff_who_change_their_mind_reach_everybody_once(ring):
    """Pauses and resumptions fall between the instructions of four workers."""
    mine = other(ring)
    await mine.start("open", actor="staff:ann")
    drawn, over = random.Random(5), asyncio.Event()

    async def works():
        one = other(ring)
        while not over.is_set():
            if not await one.work("open"):
                await asyncio.sleep(0.01)

    async def changes():
        for _ in range(6):
            await asyncio.sleep(drawn.uniform(0, 0.05))
            try:
                await mine.pause("open", actor="staff:ann")
            except CampaignStands:
                return
            await mine.resume("open", actor="staff:ann")

    workers = [asyncio.create_task(works()) for _ in range(4)]
    await changes()
    await asyncio.wait_for(mine.carry_out("open"), 60)
    over.set()
    await asyncio.gather(*workers)
    assert sorted((await deliveries(ring)).values()) == [1] * PEOPLE
    assert (await mine.status("open")).state == "done"


async def test_who_becomes_one_person_meanwhile_gets_one_message(ring):
    mine = other(ring, claim_batch=1)
    await mine.start("open", actor="staff:ann")
    await ring.merge(ring.shop.made["p0"], ring.shop.made["p1"])
    await ring.merge(ring.shop.made["p2"], ring.shop.made["p23"])
    await mine.carry_out("open")
    found = await mine.status("open")
    assert found.called_off == {"once_per": 2}
    assert sorted((await deliveries(ring)).values()) == [1] * (PEOPLE - 2)


async def test_who_is_erased_meanwhile_gets_nothing(ring):
    mine = other(ring)
    await mine.start("open", actor="staff:ann")
    async with ring.shop.kernel.db.transaction() as conn:
        await ring.triggers.erase(conn, ring.shop.made["p3"])
        await ring.shop.identity.erase(conn, ring.shop.made["p4"])
    await mine.carry_out("open")
    found = await mine.status("open")
    assert (found.called_off, found.arms) == ({"erased": 1}, {"plain": PEOPLE - 2})


async def test_a_part_that_is_down_is_waited_for(ring, monkeypatch):
    mine = other(ring)
    await mine.start("open", actor="staff:ann")
    down = Unavailable("expected an answer, got none", code="down", remedy="Wait.")

    async def failing(requests, **_):
        return [down for _ in requests]

    with monkeypatch.context() as patched:
        patched.setattr(ring.shop.decisions, "decide_many", failing)
        assert await mine.work("open") == 5
    assert (await mine.status("open")).left == PEOPLE
    ring.shop.clock.advance(MINUTE)
    await mine.carry_out("open")
    assert sorted((await deliveries(ring)).values()) == [1] * PEOPLE


async def test_a_server_goes_on_with_what_a_terminal_began(ring):
    await other(ring).start("open", actor="staff:ann")
    stop = asyncio.Event()
    server = again(ring.shop, poll_seconds=0.05)
    running = asyncio.create_task(server.run_worker(stop))
    for _ in range(400):
        if (await server.campaigns.status("open")).state == "done":
            break
        await asyncio.sleep(0.02)
    stop.set()
    await running
    assert sorted((await deliveries(ring)).values()) == [1] * PEOPLE


async def test_what_is_not_there_is_told(ring):
    mine = other(ring)
    with pytest.raises(UnknownPlacement, match="did you mean 'open'"):
        await mine.start("opne", actor="staff:ann")
    for act in (mine.pause, mine.resume, mine.kill):
        with pytest.raises(UnknownCampaign):
            await act("cart", actor="staff:ann")
    with pytest.raises(UnknownCampaign):
        await mine.status("cart")
