"""Cart abandoned: one email after an hour, none if something was bought meanwhile (spec channels.A39)."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest

from consent.requests import Rights
from kernel.errors import Unavailable
from tests.orchestration.conftest import NOW
from tests.orchestration.triggers.conftest import CART, HOUR, MINUTE, again

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def published(ring):
    await ring.triggers.publish(CART, actor="staff:ann")


async def test_one_email_leaves_an_hour_after_the_cart_was_filled(ring):
    ada = await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    assert await ring.work(59 * MINUTE) == []
    (run,) = await ring.work(MINUTE)
    assert (run.state, run.person, run.settled_at) == ("sent", ada, NOW + HOUR)
    assert (await ring.shop.channels.dispatch()).states == {"accepted": 1}
    shown = await ring.shop.decisions.show(run.decision_id)
    assert shown["trigger"] == "cart"
    assert [(s.state, s.reason) for s in await ring.triggers.history(run.run_id)] == [
        ("waiting", "event"), ("deciding", "due"), ("sent", run.reason),
    ]  # fmt: skip
    assert run.reason in {"plain@email", "offer@email"}
    assert await ring.work(5 * HOUR) == []


async def test_nothing_leaves_when_she_bought_meanwhile(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    ring.shop.clock.advance(40 * MINUTE)
    await ring.happens("ada", "Order Completed", source="till")
    (run,) = await ring.work(20 * MINUTE)
    assert (run.state, run.reason) == ("called_off", "happened:Order Completed")
    assert run.decision_id is None
    assert await ring.deliveries() == 0


async def test_an_order_of_before_does_not_count(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Order Completed")
    ring.shop.clock.advance(MINUTE)
    await ring.happens("ada", "Product Added")
    assert [one.state for one in await ring.work(HOUR)] == ["sent"]


async def test_two_carts_are_one_email_an_hour_after_the_last(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    ring.shop.clock.advance(30 * MINUTE)
    await ring.happens("ada", "Product Added")
    (run,) = await ring.work(30 * MINUTE)
    assert (run.state, run.reason, run.due_at) == ("waiting", "not_due", NOW + HOUR + 30 * MINUTE)
    (run,) = await ring.work(30 * MINUTE)
    assert run.state == "sent"
    assert await ring.deliveries() == 1


async def test_a_cart_after_an_order_is_a_cart_again(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    ring.shop.clock.advance(10 * MINUTE)
    await ring.happens("ada", "Order Completed")
    ring.shop.clock.advance(10 * MINUTE)
    await ring.happens("ada", "Product Added")
    await ring.work(40 * MINUTE)
    assert await ring.runs() == [("waiting", "not_due")]
    await ring.work(20 * MINUTE)
    assert [state for state, _ in await ring.runs()] == ["sent"]


async def test_the_delay_may_run_from_the_first(ring):
    await ring.triggers.publish(CART.replace("delay: PT1H", "delay: PT1H, counted_from: first"), actor="staff:ann")
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    ring.shop.clock.advance(30 * MINUTE)
    await ring.happens("ada", "Product Added")
    assert [one.state for one in await ring.work(30 * MINUTE)] == ["sent"]


async def test_once_a_person_and_window(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    await ring.work(HOUR)
    await ring.happens("ada", "Product Added")
    (run,) = await ring.work(HOUR)
    assert (run.state, run.reason) == ("called_off", "once_per")
    ring.shop.clock.advance(timedelta(days=1))
    await ring.happens("ada", "Product Added")
    assert [one.state for one in await ring.work(HOUR)] == ["sent"]


async def test_two_people_who_turn_out_to_be_one_get_one_email(ring):
    ada, lovelace = await ring.shop.person("ada"), await ring.shop.person("lovelace")
    await ring.happens("ada", "Product Added")
    await ring.happens("lovelace", "Product Added")
    ring.shop.clock.advance(30 * MINUTE)
    await ring.merge(ada, lovelace)
    done = await ring.work(30 * MINUTE)
    assert sorted((one.state, one.reason == "once_per") for one in done) == [("called_off", True), ("sent", False)]
    assert {one.person for one in done if one.state == "sent"} == {min(ada, lovelace)}
    assert await ring.deliveries() == 1


async def test_an_order_under_her_other_name_counts_once_they_are_one(ring):
    ada, lovelace = await ring.shop.person("ada"), await ring.shop.person("lovelace")
    await ring.happens("ada", "Product Added")
    ring.shop.clock.advance(10 * MINUTE)
    await ring.happens("lovelace", "Order Completed")
    await ring.merge(ada, lovelace)
    (run,) = await ring.work(50 * MINUTE)
    assert (run.state, run.reason) == ("called_off", "happened:Order Completed")


async def test_an_order_that_is_told_late_counts_if_it_is_told_in_time(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    ring.shop.clock.advance(59 * MINUTE)
    await ring.happens("ada", "Order Completed", at=NOW + 5 * MINUTE)
    (run,) = await ring.work(MINUTE)
    assert (run.state, run.reason) == ("called_off", "happened:Order Completed")


async def test_history_that_is_told_late_sets_nothing_off(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added", at=NOW - timedelta(days=3))
    assert await ring.runs() == []
    await ring.happens("ada", "Product Added", at=NOW - 2 * HOUR)  # late, but not too late
    assert [one.state for one in await ring.work()] == ["sent"]


async def test_a_senders_clock_that_is_ahead_moves_nothing_into_the_future(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added", at=NOW + timedelta(days=300))
    assert [one.state for one in await ring.work(HOUR)] == ["sent"]


async def test_a_server_that_slept_too_long_does_not_write_of_yesterdays_cart(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    (run,) = await ring.work(timedelta(days=1))
    assert (run.state, run.reason) == ("called_off", "too_late")


async def test_without_permission_the_decision_withholds_and_says_why(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added")
    await ring.shop.withdraw("ada")
    (run,) = await ring.work(HOUR)
    assert run.state == "withheld"
    assert "withdrawn" in run.reason
    assert (await ring.shop.decisions.show(run.decision_id))["trigger"] == "cart"
    assert await ring.deliveries() == 0


async def test_a_cap_holds_for_triggers_too(ring):
    await ring.triggers.publish(CART.replace("placement: open", "placement: cart\n    once_per: 1h"), actor="staff:ann")
    await ring.shop.person("ada")
    for _ in range(3):
        await ring.happens("ada", "Product Added")
        await ring.work(HOUR)
        ring.shop.clock.advance(HOUR)
    assert await ring.runs() == [
        ("sent", (await ring.runs())[0][1]), ("withheld", "cap:placement:cart"), ("withheld", "cap:placement:cart"),
    ]  # fmt: skip


async def test_what_was_not_collected_for_this_sets_nothing_off_and_says_so(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added", source="till")
    (run,) = await ring.work(HOUR)
    assert (run.state, run.reason) == ("called_off", "not_collected_for:marketing.email")


async def test_what_may_serve_personal_choices_sets_off_for_those_who_permit_them(ring):
    await ring.shop.person("ada")
    await ring.happens("ada", "Product Added", source="site")
    assert [one.state for one in await ring.work(HOUR)] == ["sent"]
    await ring.shop.person("bob")
    await ring.happens("bob", "Product Added", source="site")
    await ring.shop.withdraw("bob", "marketing.personalize")
    (run,) = await ring.work(HOUR)
    assert (run.state, run.reason) == ("called_off", "not_collected_for:marketing.email")


async def test_an_event_told_again_sets_off_nothing_again(ring):
    await ring.shop.person("ada")
    call = await ring.happens("ada", "Product Added")
    from events.log import CollectContext

    (answer,) = await ring.shop.events.collect([call], CollectContext(source="cart", kind="track"))
    assert answer.status == "duplicate"
    await ring.work(HOUR)
    (answer,) = await ring.shop.events.collect([call], CollectContext(source="cart", kind="track"))
    assert await ring.work(2 * HOUR) == []
    assert await ring.deliveries() == 1


# killed


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
    told = await rights.open("access", ada, actor="person")
    assert [one["trigger"] for one in (await rights.run(told.id, actor="staff:a")).package["triggers"]] == [
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
