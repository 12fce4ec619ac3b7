"""What SendGrid reports moves deliveries on, in any order, once, and reaches events, suppressions and consent."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from channels.connector import Answer
from channels.email.errors import NotEvents, NotGenuine, WebhookBusy
from channels.ledger import Receipt, State, fold
from consent.gate import permission
from tests.channels.conftest import World, delivery
from tests.channels.email.conftest import KEY, Mailroom, event, sign

pytestmark = pytest.mark.anyio
EIGHT = ("processed", "deferred", "delivered", "open", "click", "bounce", "dropped", "spamreport")


async def test_a_delivery_walks_through_its_receipts(mailroom: Mailroom) -> None:
    new, one = await mailroom.sent()
    at = mailroom.world.clock.now().timestamp()
    done = await mailroom.post(
        event(one, "delivered", at + 20),
        event(one, "processed", at + 1),
        event(one, "deferred", at + 2, response="400 try again", attempt="1"),
        event(one, "open", at + 60, useragent="Mozilla/5.0", ip="192.0.2.7"),
        event(one, "click", at + 70, useragent="Mozilla/5.0", url="https://shop.example/garden?who=ada#x"),
    )
    assert (done.taken, done.repeated, done.unmatched, done.ignored) == (5, 0, 0, 0)
    assert (await mailroom.room.show(one)).state is State.DELIVERED
    steps = [step.state for step in await mailroom.room.history(one)]
    assert steps[-3:] == [State.ACCEPTED, State.DEFERRED, State.DELIVERED]  # in the order of happening
    events = {e.name: e for e in await mailroom.names(new)}
    assert set(events) == {"Email Sent", "Email Delivered", "Email Opened", "Email Link Clicked"}
    clicked = events["Email Link Clicked"]
    assert clicked.properties["link"] == "https://shop.example/garden"
    assert (clicked.properties["delivery_id"], clicked.machine) == (one, False)
    said = str([e.properties for e in events.values()] + [e.context for e in events.values()])
    assert "192.0.2.7" not in said
    assert "Mozilla" not in said
    assert "ada" not in said


async def test_a_post_that_comes_again_changes_nothing(mailroom: Mailroom) -> None:
    new, one = await mailroom.sent()
    at = mailroom.world.clock.now().timestamp()
    told = [event(one, "delivered", at + 20), event(one, "open", at + 60), event(one, "open", at + 60)]
    assert (await mailroom.post(*told)).taken == 2
    tags, steps = await mailroom.world.tags(), await mailroom.room.history(one)
    again = await mailroom.post(*told)
    assert (again.taken, again.repeated) == (0, 3)
    assert await mailroom.world.tags() == tags
    assert await mailroom.room.history(one) == steps
    assert len(await mailroom.names(new)) == 3


def test_all_orders_of_eight_events_end_in_the_same_state() -> None:
    told = [Receipt.ACCEPTED, Receipt.DEFERRED, Receipt.DELIVERED, Receipt.OPENED, Receipt.CLICKED, Receipt.BOUNCED,
            Receipt.DROPPED, Receipt.COMPLAINED]  # fmt: skip
    for begun in (State.ACCEPTED, State.UNCERTAIN, State.INTENT):
        ends = set()
        for order in permutations(told):
            state = begun
            for receipt in order:
                state = fold(state, receipt)
            ends.add(state)
        assert ends == {State.COMPLAINED}
    calm = [
        Receipt.ACCEPTED,
        Receipt.DEFERRED,
        Receipt.BLOCKED,
        Receipt.DELIVERED,
        Receipt.OPENED,
        Receipt.UNSUBSCRIBED,
    ]
    for order in permutations(calm):
        state = State.ACCEPTED
        for receipt in order:
            state = fold(state, receipt)
        assert state is State.DELIVERED


async def test_orders_in_posts_of_any_size_end_in_the_same_state_on_postgres(mailroom: Mailroom) -> None:
    at = mailroom.world.clock.now().timestamp()
    ends = set()
    for number, shift in enumerate((0, 3, 5, 7)):
        _, one = await mailroom.sent(f"p{number}")
        kinds = EIGHT[shift:] + EIGHT[:shift]
        told = [event(one, kind, at + 10 + EIGHT.index(kind), status="5.1.1") for kind in kinds]
        size = (8, 3, 1, 5)[number]
        for start in range(0, 8, size):
            await mailroom.post(*told[start : start + size])
        ends.add((await mailroom.room.show(one)).state)
    assert ends == {State.COMPLAINED}


async def test_an_uncertain_delivery_is_settled_by_its_receipt(mailroom: Mailroom) -> None:
    _, one = await mailroom.sent(answer=Answer.UNCERTAIN)
    assert (await mailroom.room.show(one)).state is State.UNCERTAIN
    await mailroom.post(event(one, "processed", mailroom.world.clock.now().timestamp() + 3))
    assert (await mailroom.room.show(one)).state is State.ACCEPTED


@pytest.mark.parametrize(
    ("more", "state", "silent"),
    [
        ({"status": "5.1.1", "type": "bounce", "reason": "550 ada1@example.org unknown"}, State.BOUNCED, True),
        ({"type": "bounce"}, State.BOUNCED, True),
        ({"status": "5.7.1", "type": "blocked"}, State.BLOCKED, False),
        ({"status": "4.2.2", "type": "bounce"}, State.BLOCKED, False),
    ],
)
async def test_a_hard_bounce_ends_the_contact_and_a_soft_one_does_not(
    mailroom: Mailroom, more: dict[str, str], state: State, silent: bool
) -> None:
    new, one = await mailroom.sent()
    await mailroom.post(event(one, "bounce", mailroom.world.clock.now().timestamp() + 9, **more))
    assert (await mailroom.room.show(one)).state is state
    async with mailroom.world.kernel.db.reading() as conn:
        barred = await mailroom.room.suppressed(conn, [new.identifier_id], "email")
        stored = await (await conn.execute("SELECT receipt, permanent, code FROM channels.receipts")).fetchall()
    assert bool(barred) is silent
    assert [(r["receipt"], r["permanent"]) for r in stored] == [(str(state), silent)]
    assert "@" not in str(stored)
    bounced = {e.name: e for e in await mailroom.names(new)}["Email Bounced"]
    assert bounced.properties["permanent"] is silent


async def test_a_soft_bounce_that_gets_through_is_delivered(mailroom: Mailroom) -> None:
    _, one = await mailroom.sent()
    at = mailroom.world.clock.now().timestamp()
    await mailroom.post(event(one, "delivered", at + 90))
    await mailroom.post(event(one, "bounce", at + 9, type="blocked", status="4.7.0"))
    assert (await mailroom.room.show(one)).state is State.DELIVERED


@pytest.mark.parametrize(
    ("reason", "silent", "ended"),
    [
        ("Bounced Address", True, False),
        ("Spam Reporting Address", True, False),
        ("Unsubscribed Address", False, True),
        ("Recipient List over Package Quota", False, False),
        ("a new reason of next year", False, False),
    ],
)
async def test_a_drop_says_what_the_providers_lists_hold(
    mailroom: Mailroom, reason: str, silent: bool, ended: bool
) -> None:
    new, one = await mailroom.sent()
    await mailroom.post(event(one, "dropped", mailroom.world.clock.now().timestamp() + 1, reason=reason))
    assert (await mailroom.room.show(one)).state is State.DROPPED
    async with mailroom.world.kernel.db.reading() as conn:
        assert bool(await mailroom.room.suppressed(conn, [new.identifier_id], "email")) is silent
    assert await permitted(mailroom.world, new) is not ended


async def permitted(world: World, new: object) -> bool:
    async with world.kernel.db.reading() as conn:
        states = await world.consent.states(conn, [new.person])
    return permission(states[new.person], new.purpose, "email", world.clock.now()).granted


@pytest.mark.parametrize(("kind", "everywhere"), [("unsubscribe", True), ("group_unsubscribe", False)])
async def test_a_no_to_the_provider_is_a_no_here(mailroom: Mailroom, kind: str, everywhere: bool) -> None:
    new, one = await mailroom.sent()
    waiting = delivery(new.person, new.identifier_id)
    (later,) = await mailroom.world.reserve(mailroom.room, waiting)
    told = event(one, kind, mailroom.world.clock.now().timestamp() + 60)
    await mailroom.post(told)
    assert not await permitted(mailroom.world, new)
    await mailroom.room.dispatch()
    held = await mailroom.room.show(later)
    assert (held.state, held.reason) == (State.WITHHELD, "withdrawn.channel")
    async with mailroom.world.kernel.db.reading() as conn:
        assert bool(await mailroom.room.suppressed(conn, [new.identifier_id], "email")) is everywhere
    assert {e.name for e in await mailroom.names(new)} == {"Email Sent", "Unsubscribed"}

    # She changes her mind here; the provider repeats itself; her later word stands.
    mailroom.world.clock.advance(timedelta(minutes=2))
    async with mailroom.world.kernel.db.transaction() as conn:
        again = replace(mailroom.world.grant(new.identifier_id), given_at=mailroom.world.clock.now())
        await mailroom.world.consent.record(conn, [again])
    assert await permitted(mailroom.world, new)
    assert (await mailroom.post(told)).repeated == 1
    assert await permitted(mailroom.world, new)


async def test_machines_are_told_apart(mailroom: Mailroom) -> None:
    new, one = await mailroom.sent()
    at = mailroom.world.clock.now().timestamp()
    agents = [
        event(one, "open", at + 30, sg_machine_open=True, useragent="Mozilla/5.0"),
        event(one, "click", at + 31, useragent="Barracuda Sentinel (EE)", url="https://shop.example/a"),
        event(one, "click", at + 2, useragent="Mozilla/5.0", url="https://shop.example/b"),
        event(one, "click", at + 90, useragent="Mozilla/5.0", url="https://shop.example/c"),
        event(one, "open", at + 91, useragent="Mozilla/5.0 (via ggpht.com GoogleImageProxy)"),
    ]
    await mailroom.post(*agents)
    found = sorted(
        (e.name, e.properties.get("link", ""), e.machine, round(e.confidence, 2)) for e in await mailroom.names(new)
    )
    assert found == [
        ("Email Link Clicked", "https://shop.example/a", True, 0.95),
        ("Email Link Clicked", "https://shop.example/b", True, 0.85),  # two seconds after it left here
        ("Email Link Clicked", "https://shop.example/c", False, 0.0),
        ("Email Opened", "", False, 0.6),  # a proxy that serves people too: doubted, not filtered
        ("Email Opened", "", True, 0.99),
        ("Email Sent", "", False, 0.0),
    ]
    delivered = await mailroom.room.show(one)
    assert delivered.state is State.DELIVERED  # even a machine's look proves that it arrived


async def test_a_click_on_our_own_links_is_no_interest_and_leaves_no_token(mailroom: Mailroom) -> None:
    new, one = await mailroom.sent()
    at = mailroom.world.clock.now().timestamp()
    base = mailroom.world.kernel.settings.base_url
    await mailroom.post(event(one, "click", at + 60, url=f"{base}/why/v1.secret-token"))
    assert [e.name for e in await mailroom.names(new)] == ["Email Sent"]


async def test_what_belongs_to_nothing_here_is_counted_and_nothing_of_it_is_kept(
    mailroom: Mailroom, world: World
) -> None:
    at = world.clock.now().timestamp()
    person, contact = await world.person("9")
    (waiting,) = await world.reserve(mailroom.room, delivery(person, contact))
    other = world.channels()
    (elsewhere,) = await world.reserve(other, delivery(person, contact))
    await other.dispatch()
    done = await mailroom.post(
        event("dlv_01JABCDEFGHJKMNPQRSTVWXYZ0", "delivered", at),
        event("dlv_01JABCDEFGHJKMNPQRSTVWXYZ0", "delivered", at + 1),
        event("nonsense", "open", at),
        event(elsewhere, "delivered", at),
        event(elsewhere, "levitated", at),
        event(elsewhere, "delivered", at * 1000),
        event(elsewhere, "group_resubscribe", at),
        "not even an object",
    )
    assert (done.taken, done.unmatched, done.ignored) == (0, 7, 1)
    assert waiting
    assert await mailroom.room.unmatched() == [
        ("sendgrid", "delivered", "no_time", 1),
        ("sendgrid", "delivered", "other_connector", 1),
        ("sendgrid", "delivered", "unknown_delivery", 2),
        ("sendgrid", "opened", "no_delivery_id", 1),
        ("sendgrid", "other", "not_an_event", 1),
        ("sendgrid", "other", "unknown_event", 1),
    ]


async def test_an_erased_person_gets_no_event_and_the_post_is_taken(mailroom: Mailroom) -> None:
    new, one = await mailroom.sent()
    async with mailroom.world.kernel.db.transaction() as conn:
        for room in (mailroom.room, mailroom.world.events, mailroom.world.identity):
            await room.erase(conn, new.person)
    at = mailroom.world.clock.now().timestamp()
    done = await mailroom.post(event(one, "delivered", at + 5), event(one, "unsubscribe", at + 9))
    assert done.taken == 2
    assert await mailroom.names(new) == []


async def test_a_strangers_post_is_refused_before_it_is_read(mailroom: Mailroom) -> None:
    now = str(int(mailroom.world.clock.now().timestamp()))
    for raw in (b"[]", b"{not json", b""):
        with pytest.raises(NotGenuine):
            await mailroom.room.sendgrid.take(raw, signature="AAAA", timestamp=now)
    with pytest.raises(NotEvents):
        await mailroom.room.sendgrid.take(b"{not json", signature=sign(KEY, now, b"{not json"), timestamp=now)


async def test_too_many_posts_at_once_are_asked_to_come_back(world: World) -> None:
    import anyio

    mailroom = Mailroom(world, webhook_posts=1, webhook_waiting=1)
    _, one = await mailroom.sent()
    at = world.clock.now().timestamp()
    ends: list[str] = []

    async def post(number: int) -> None:
        try:
            await mailroom.post(event(one, "open", at + number))
            ends.append("taken")
        except WebhookBusy:
            ends.append("busy")

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(post, number)
    assert sorted(ends) == ["busy"] * 4 + ["taken"] * 2
    await post(9)
    assert ends[-1] == "taken"


async def test_hundreds_of_events_in_one_post(mailroom: Mailroom) -> None:
    made = [await mailroom.sent(f"b{n}") for n in range(12)]
    at = mailroom.world.clock.now().timestamp()
    told = [
        event(one, kind, at + 10 + n, sg_event_id=f"{one}-{kind}-{n}")
        for _, one in made
        for n in range(12)
        for kind in ("processed", "deferred", "delivered", "open")
    ]
    done = await mailroom.post(*told)
    assert done.taken == len(told) == 576
    assert {(await mailroom.room.show(one)).state for _, one in made} == {State.DELIVERED}


async def test_the_same_posts_at_the_same_time_are_taken_once(world: World) -> None:
    """SendGrid posts from many servers and repeats what was slow: overlapping posts end as one would."""
    import anyio

    mailroom = Mailroom(world, webhook_posts=2)
    made = [await mailroom.sent(f"c{n}") for n in range(6)]
    at = world.clock.now().timestamp()
    told = [event(one, kind, at + 10 + n) for _, one in made for n, kind in enumerate(EIGHT)]
    taken: list[int] = []

    async def post(shift: int) -> None:
        done = await mailroom.post(*told[shift:], *told[:shift])
        taken.append(done.taken)

    async with anyio.create_task_group() as group:
        for shift in (0, 11, 23, 37):
            group.start_soon(post, shift)
    assert sum(taken) == len(told)
    assert {(await mailroom.room.show(one)).state for _, one in made} == {State.COMPLAINED}
    for new, _ in made:
        assert len(await mailroom.names(new)) == 6  # sent, delivered, opened, clicked, bounced, complained


async def test_a_post_about_a_message_that_is_leaving_is_asked_to_come_back_and_then_taken(world: World) -> None:
    """The provider may be faster than our own record of the hand-over; nobody waits for it, and nothing is lost."""
    import asyncio

    mailroom = Mailroom(world)
    person, contact = await world.person("1")
    (one,) = await world.reserve(mailroom.room, delivery(person, contact))
    told = event(one, "processed", world.clock.now().timestamp() + 1)
    busy, leaving = asyncio.Event(), asyncio.Event()

    async def slowly(_: object) -> None:
        leaving.set()
        await busy.wait()

    mailroom.recorder.during = slowly
    sending = asyncio.create_task(mailroom.room.dispatch())
    await leaving.wait()
    with pytest.raises(WebhookBusy):
        await mailroom.post(told)
    busy.set()
    await sending
    assert (await mailroom.post(told)).taken == 1
    assert (await mailroom.room.show(one)).state is State.ACCEPTED


async def test_what_she_does_with_a_message_is_not_collected_once_her_permission_is_gone(mailroom: Mailroom) -> None:
    new, one = await mailroom.sent()
    at = mailroom.world.clock.now().timestamp()
    await mailroom.post(event(one, "open", at + 60))
    await mailroom.world.withdraw(new.identifier_id)
    done = await mailroom.post(
        event(one, "open", at + 160), event(one, "click", at + 170, url="https://shop.example/a")
    )
    assert done.taken == 2
    assert (await mailroom.room.show(one)).state is State.DELIVERED
    assert sorted(e.name for e in await mailroom.names(new)) == ["Email Opened", "Email Sent"]
