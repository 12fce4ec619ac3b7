"""Calls, segments, calendars, pauses and publication, on real stores."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from audit.tags import Tag
from kernel.errors import NotFound
from orchestration.decision.request import DecisionRequest
from orchestration.triggers.errors import NotCallable, TriggerPaused, TriggersInvalid, UnknownRun, UnknownTrigger
from orchestration.triggers.runs import State
from tests.orchestration.conftest import NOW
from tests.orchestration.triggers.conftest import CART, HOUR, MINUTE, again

pytestmark = pytest.mark.anyio

CALL = (
    "triggers: [{name: call, placement: open, when: api}, {name: later, placement: open, when: {api: true, delay: 2h}}]"
)
SEGMENT = "triggers: [{name: adults, placement: open, when: {segment: grown_up}}]"
MONDAY = 'triggers: [{name: monday, placement: open, when: {schedule: "0 9 * * mon", zone: Europe/Berlin}}]'


def about(name: str, **more) -> DecisionRequest:
    return DecisionRequest(placement="", person=f"email:{name}@example.org", actor="key:stock", **more)


async def tags(shop) -> list[str]:
    return [one["tag"] for one in await shop.rows("SELECT tag FROM audit.entries ORDER BY entry_id")]


# calls


async def test_a_call_is_decided_before_it_is_answered(ring):
    ada = await ring.shop.person("ada")
    await ring.triggers.publish(CALL, actor="staff:ann")
    made = await ring.triggers.fire("call", about("ada"))
    assert (made.run.state, made.run.person, made.repeated) == ("sent", ada, False)
    assert (await ring.shop.channels.show(made.run.delivery_id)).decision_id == made.run.decision_id


async def test_a_call_told_again_changes_nothing_and_its_key_is_kept_as_a_hash(ring):
    await ring.shop.person("ada")
    await ring.triggers.publish(CALL, actor="staff:ann")
    made = await asyncio.gather(*(again(ring.shop).fire("call", about("ada"), key="ada@example.org") for _ in range(5)))
    assert len({one.run.run_id for one in made}) == 1
    assert sorted(one.repeated for one in made) == [False, True, True, True, True]
    assert await ring.deliveries() == 1
    assert "example.org" not in str(await ring.shop.rows("SELECT * FROM triggers.runs"))
    other = await ring.triggers.fire("call", about("ada"), key="another")
    assert (other.repeated, other.run.state) == (False, "sent")


async def test_a_call_may_wait(ring):
    await ring.shop.person("ada")
    await ring.triggers.publish(CALL, actor="staff:ann")
    made = await ring.triggers.fire("later", about("ada"))
    assert (made.run.state, made.run.due_at) == ("waiting", NOW + 2 * HOUR)
    assert [one.state for one in await ring.work(2 * HOUR)] == ["sent"]


async def test_what_cannot_be_called_says_why(ring):
    await ring.shop.person("ada")
    await ring.triggers.publish(CALL, actor="staff:ann")
    with pytest.raises(UnknownTrigger, match="did you mean 'call'"):
        await ring.triggers.fire("cal", about("ada"))
    with pytest.raises(NotFound):
        await ring.triggers.fire("call", about("nobody"))
    await ring.triggers.pause("call", actor="staff:ann")
    with pytest.raises(TriggerPaused):
        await ring.triggers.fire("call", about("ada"))
    await ring.triggers.publish(CART, actor="staff:ann")
    with pytest.raises(NotCallable, match="waits for event"):
        await ring.triggers.fire("cart", about("ada"))
    with pytest.raises(UnknownRun):
        await ring.triggers.run("trg_nonsense")
    assert await ring.runs() == []


# segments


async def test_who_enters_a_segment_is_written_to_once_and_who_was_in_it_is_not(ring):
    await ring.shop.person("old", age=40)
    await ring.shop.person("young", age=17)
    await ring.triggers.publish(SEGMENT, actor="staff:ann")
    assert await ring.work() == []
    await ring.shop.person("new", age=30)
    assert await ring.work() == []  # nothing happened to her yet, and it is not time to ask everybody
    (run,) = await ring.work(16 * MINUTE)
    assert (run.state, run.kind, run.person) == ("sent", "segment", ring.shop.made["new"])
    assert await ring.work(16 * MINUTE) == []


async def test_an_event_makes_it_known_at_once(ring, tmp_path):
    ada = await ring.shop.person("ada", age=12)
    await ring.triggers.publish(SEGMENT, actor="staff:ann")
    await ring.work()
    await ring.happens("ada", "Product Viewed")
    assert await ring.work(timedelta(seconds=6)) == []
    call = {"type": "identify", "userId": "ada", "traits": {"age": 18}, "messageId": "birthday"}
    from events.log import CollectContext

    await ring.shop.events.collect([call], CollectContext(source="cart", kind="identify"))
    (run,) = await ring.work(timedelta(seconds=6))
    assert (run.state, run.person) == ("sent", ada)


async def test_who_left_it_before_the_delay_was_over_is_not_written_to(ring, monkeypatch):
    await ring.triggers.publish(SEGMENT.replace("grown_up", "grown_up, delay: 1h"), actor="staff:ann")
    await ring.work()
    await ring.shop.person("ada", age=30)
    await ring.work(16 * MINUTE)
    assert [one.state for one in await ring.triggers.runs()] == ["waiting"]
    await ring.shop.withdraw(
        "ada", "marketing.personalize"
    )  # the purpose sees nothing of her any more: she is in no segment
    (run,) = await ring.work(HOUR)
    assert (run.state, run.reason) == ("called_off", "left_segment")


async def test_somebody_of_whom_nothing_may_be_known_enters_nothing(ring):
    await ring.triggers.publish(SEGMENT, actor="staff:ann")
    await ring.work()
    await ring.shop.person("ada", agree=("marketing.email",), age=30)
    assert await ring.work(16 * MINUTE) == []


async def test_a_merge_is_no_entry(ring):
    first = await ring.shop.person("young", age=17)
    second = await ring.shop.person("old", age=40)
    await ring.triggers.publish(SEGMENT, actor="staff:ann")
    await ring.work()
    await ring.merge(first, second)
    hot = await ring.shop.profiles.hot(first, "marketing.personalize", fresh=True)
    assert "grown_up" in hot.segments
    assert await ring.work(16 * MINUTE) == []
    assert await ring.runs() == []


async def test_another_segment_under_an_old_name_begins_anew(ring):
    await ring.shop.person("ada", age=17)
    await ring.triggers.publish(SEGMENT, actor="staff:ann")
    await ring.work()
    await ring.shop.person("bob", age=30)
    await ring.triggers.publish(SEGMENT.replace("placement: open", "placement: cart"), actor="staff:ann")
    assert await ring.work(16 * MINUTE) == []  # bob is in it, and was when it was published
    assert await ring.work(16 * MINUTE) == []


# calendars


async def test_monday_at_nine_everyone_gets_a_decision_once(ring):
    await ring.shop.people({"ada": 30.0, "bob": 40.0})
    await ring.shop.person("eve", agree=())
    await ring.triggers.publish(MONDAY, actor="staff:ann")
    assert await ring.work() == []
    monday = datetime(2026, 3, 9, 8, tzinfo=UTC)  # nine in Berlin
    assert await ring.work(monday - NOW - timedelta(seconds=1)) == []
    done = await ring.work(timedelta(seconds=1))
    assert sorted(one.state for one in done) == ["sent", "sent", "withheld"]
    assert {one.at for one in done} == {monday}
    assert await again(ring.shop).work() == []
    assert await ring.work(timedelta(days=7) - MINUTE) == []
    assert len(await ring.work(MINUTE)) == 3


async def test_two_servers_carry_a_calendar_out_once(ring):
    await ring.shop.people({f"p{n}": 30.0 for n in range(20)})
    await ring.triggers.publish(MONDAY, actor="staff:ann")
    ring.shop.clock.advance(datetime(2026, 3, 9, 8, tzinfo=UTC) - NOW)
    await asyncio.gather(*(again(ring.shop).work() for _ in range(4)))
    while await ring.triggers.work():
        continue
    assert await ring.deliveries() == 20
    assert len(await ring.triggers.runs()) == 20


async def test_an_hour_that_was_missed_by_far_is_not_made_up_for(ring):
    await ring.shop.person("ada")
    await ring.triggers.publish(MONDAY, actor="staff:ann")
    assert (
        await ring.work(datetime(2026, 3, 23, 14, 1, tzinfo=UTC) - NOW) == []
    )  # two Mondays ago, one, and six hours ago
    assert len(await ring.work(datetime(2026, 3, 30, 12, 0, tzinfo=UTC) - ring.shop.clock.now())) == 1


# pausing and publishing


async def test_a_paused_trigger_rests_and_goes_on_where_it_is_not_too_late(ring):
    await ring.shop.person("ada")
    await ring.shop.person("bob")
    await ring.triggers.publish(CART, actor="staff:ann")
    await ring.happens("ada", "Product Added")
    assert await ring.triggers.pause("cart", actor="staff:ann")
    assert not await ring.triggers.pause("cart", actor="staff:ann")
    await ring.happens("bob", "Product Added")
    assert await ring.work(2 * HOUR) == []
    assert await again(ring.shop).work() == []
    assert [(one.rule.name, one.paused, dict(one.runs)) for one in await ring.triggers.listed()] == [("cart", True, {"waiting": 1})]  # fmt: skip
    assert (await ring.triggers.waiting()) == ({"cart": 1}, 0.0)
    assert await ring.triggers.resume("cart", actor="staff:ann")
    assert [one.state for one in await ring.work()] == ["sent"]
    found = await tags(ring.shop)
    assert (found.count(Tag.TRIGGER_CHANGED), found.count(Tag.TRIGGERS_PUBLISHED)) == (2, 1)
    with pytest.raises(UnknownTrigger):
        await ring.triggers.pause("crat", actor="staff:ann")


async def test_a_trigger_that_was_taken_out_calls_off_what_waits(ring):
    await ring.shop.person("ada")
    await ring.triggers.publish(CART, actor="staff:ann")
    await ring.happens("ada", "Product Added")
    assert (await ring.triggers.publish(CALL, actor="staff:ann")).changed
    assert not (await ring.triggers.publish(CALL, actor="staff:ann")).changed
    (run,) = await ring.work(HOUR)
    assert (run.state, run.reason) == ("called_off", "trigger_gone")


async def test_a_file_that_names_what_is_not_there_changes_nothing(ring):
    await ring.triggers.publish(CART, actor="staff:ann")
    with pytest.raises(TriggersInvalid, match=r"line 4 .*did you mean 'open'"):
        await ring.triggers.publish(CART.replace("placement: open", "placement: opne"), actor="staff:ann")
    assert [one.rule.placement for one in await ring.triggers.listed()] == ["open"]


async def test_a_placement_that_went_away_is_a_failure_that_says_so(ring):
    from tests.orchestration.conftest import CATALOGUE

    await ring.shop.person("ada")
    await ring.triggers.publish(CART, actor="staff:ann")
    await ring.happens("ada", "Product Added")
    assert await ring.triggers.faults() == []
    await ring.shop.publish(CATALOGUE.replace("name: open", "name: shut"))
    (fault,) = await ring.triggers.faults()
    assert fault.startswith("cart: expected a placement of the catalogue, got 'open'")
    (run,) = await ring.work(HOUR)
    assert (run.state, run.reason) == ("failed", "unknown_placement")


# looking


async def test_a_rehearsal_tells_what_would_happen_and_writes_nothing(ring):
    await ring.shop.person("ada")
    await ring.triggers.publish(CART, actor="staff:ann")
    made = await ring.triggers.rehearse("cart", about("ada"))
    assert (made.outcome, made.reason) == ("called_off", "nothing_left")
    await ring.happens("ada", "Product Added")
    made = await ring.triggers.rehearse("cart", about("ada"))
    assert (made.outcome, made.due_at) == ("sent", NOW + HOUR)
    await ring.shop.withdraw("ada")
    made = await ring.triggers.rehearse("cart", about("ada"))
    assert made.outcome == "withheld"
    assert await ring.shop.rows("SELECT 1 FROM decision.decisions") == []
    assert await ring.runs() == [("waiting", "event")]


async def test_runs_are_found_by_trigger_state_and_person_under_every_id(ring):
    ada, bob = await ring.shop.person("ada"), await ring.shop.person("bob")
    await ring.triggers.publish(CART, actor="staff:ann")
    await ring.happens("ada", "Product Added")
    await ring.happens("bob", "Product Added")
    assert {one.person for one in await ring.triggers.runs("cart", state=State.WAITING)} == {ada, bob}
    assert [one.person for one in await ring.triggers.runs(person="email:bob@example.org")] == [bob]
    await ring.merge(ada, bob)
    assert len(await ring.triggers.runs(person="email:bob@example.org")) == 2
    assert await ring.triggers.runs("other") == []


async def test_what_ended_long_ago_is_let_go(ring):
    from kernel.holders import Term

    ada = await ring.shop.person("ada")
    await ring.triggers.publish(CART, actor="staff:ann")
    await ring.happens("ada", "Product Added")
    await ring.work(HOUR)
    await ring.happens("ada", "Product Added")
    keeping, before = ring.triggers.keeping, ring.shop.clock.now() + MINUTE
    async with ring.shop.kernel.db.transaction() as conn:
        assert await keeping.overdue(conn, Term("trigger_runs", ring.shop.clock.now() - HOUR)) == 0
        assert await keeping.overdue(conn, Term("trigger_runs", before, people=frozenset({ada}))) == 0
        assert await keeping.overdue(conn, Term("trigger_runs", before)) == 1
        assert await keeping.let_go(conn, Term("trigger_runs", before), 10) == 1
    assert await ring.runs() == [("waiting", "event")]
