"""Cart abandoned: one email after an hour, none if something was bought meanwhile (spec channels.A39)."""

from datetime import timedelta

import pytest

from tests.orchestration.conftest import NOW
from tests.orchestration.triggers.conftest import CART, HOUR, MINUTE

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
