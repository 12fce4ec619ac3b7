"""The table of rewards and the sharing of outcomes: ordered as declared, exact, never more than one whole (decision.D41, D46)."""

import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.log import Event
from orchestration.decision.store import Brief
from orchestration.learning import rewards
from orchestration.learning.attribution import Happening, Seen, Touch, share
from orchestration.learning.counting import Judging, judged
from orchestration.learning.errors import RewardsInvalid
from orchestration.learning.rewards import MICRO, Credited, count
from orchestration.learning.settings import LearningSettings
from tests.orchestration.conftest import NOW

TABLE = rewards.load()
REACH = frozenset({"marketing.personalize", "marketing"})
DAY = timedelta(days=1)
RULES = {
    "home": Judging(TABLE, DAY, REACH),
    "cart": Judging(TABLE, 7 * DAY, REACH),
    "one": Judging(TABLE.single("Order Completed"), 7 * DAY, REACH),
}

moments = st.integers(0, 400).map(lambda hours: NOW + timedelta(hours=hours))
touches = st.lists(
    st.builds(
        lambda n, at, later, days, seen: Touch(f"dec_{n}", at, at + timedelta(hours=later), at + timedelta(days=days), seen),
        st.integers(0, 30), moments, st.integers(0, 5), st.integers(1, 8), st.sampled_from(Seen),
    ),
    max_size=9, unique_by=lambda t: t.decision,
)  # fmt: skip


def decision(
    n, placement="cart", *, hours=0.0, variant="plain", channel="email", propensity=0.5, delivery=None
) -> Brief:
    return Brief(
        id=f"dec_{n}", person="per_1", placement=placement, at=NOW + timedelta(hours=hours), variant=variant,
        channel=channel if variant else None, propensity=propensity, delivery_id=delivery,
    )  # fmt: skip


def event(
    n, name, hours, *, names=None, machine=False, purpose="marketing.personalize", also_for=(), **properties
) -> Event:
    at = NOW + timedelta(hours=hours)
    return Event(
        event_id=f"evt_{n:04}", record_id="rec_1", type="track", name=name, event_time=at, known_time=at, received_at=at,
        source="shop", purpose=purpose, basis="consent", properties=properties, traits={}, context={}, machine=machine,
        confidence=0.0, decision_id=names, also_for=also_for,
    )  # fmt: skip


def earned(rows, events, **settings):
    return {one.decision: one for one in judged(rows, events, RULES, LearningSettings(**settings))}


# the table


def test_the_shipped_table_puts_purchase_above_cart_above_view_and_complaints_below_everything():
    worth = {row.event: row.reward for row in TABLE.rows}
    assert worth["Order Completed"] > worth["Product Added"] > worth["Product Viewed"] > 0
    assert worth["Content Viewed"] <= 0
    assert worth["Email Marked as Spam"] < worth["Unsubscribed"] < -0.5
    assert TABLE.unit == "completed order"


def test_a_view_without_engagement_costs_a_little_and_one_that_led_somewhere_costs_nothing():
    viewed, clicked = Credited("Content Viewed", MICRO, -0.005), Credited("Content Clicked", MICRO, 0.05)
    assert count(TABLE, [viewed]).reward == -0.005
    assert count(TABLE, [viewed, clicked]).reward == 0.05


def test_a_rating_is_worth_what_it_says():
    row = TABLE.by_event["Content Rated"]
    assert row.worth({"thumb": "up"}) == row.worth({"rating": 5}) == row.worth({"rating": 5.0}) == 0.1
    assert row.worth({"thumb": "down"}) < 0
    assert row.worth({"rating": "3"}) == row.worth({}) == 0


def test_a_catalogues_numbers_replace_the_list_and_exposures_stay_silent():
    own = TABLE.replaced({"Order Completed": 3.0, "bought": 2.0})
    assert own.names("outcome") == {"Order Completed", "bought"}
    assert own.by_event["Order Completed"].key == "order_id"
    assert all(row.reward == 0 for row in own.rows if row.kind == "exposure")
    assert own.digest != TABLE.digest == rewards.load().digest


@pytest.mark.parametrize(
    "text",
    ["rows: [", "version: a", "{version: a, unit: u, rows: [{event: A, reward: 1}, {event: A, reward: 2}]}",
     "{version: a, unit: u, rows: [{event: A, reward: .nan}]}", "{version: a, unit: u, rows: [{event: A, reward: 1, alone: true}]}",
     "{version: a, unit: u, rows: [{event: A, reward: 1, often: true}]}"],
)  # fmt: skip
def test_a_table_that_says_nothing_sure_is_refused(text):
    with pytest.raises(RewardsInvalid):
        rewards.parse(text)


@given(
    st.lists(
        st.builds(
            Credited,
            st.sampled_from([row.event for row in TABLE.rows]),
            st.integers(0, MICRO),
            st.floats(-2, 2, width=32),
        )
    ),
    st.randoms(),
)
def test_the_reward_of_a_decision_does_not_depend_on_order(credited, rng: random.Random):
    shuffled = rng.sample(credited, len(credited))
    assert count(TABLE, credited).reward.hex() == count(TABLE, shuffled).reward.hex()


# sharing


@given(touches, moments, st.sampled_from(["last", "even"]), st.randoms(), st.booleans())
def test_a_happening_is_shared_whole_or_not_at_all_in_any_order(given_touches, at, rule, rng, named):
    names = given_touches[0].decision if given_touches and named else None
    happening = Happening("Order Completed", at, names)
    found = share(happening, given_touches, rule)
    assert sum(found.values()) in {0, MICRO}
    assert found == share(happening, rng.sample(given_touches, len(given_touches)), rule)
    assert set(found) <= {t.decision for t in given_touches if t.at <= at <= t.until}
    if any(t.since <= at <= t.until for t in given_touches) and names is None:
        assert found


def test_what_was_seen_goes_before_what_was_assumed_and_that_before_nothing():
    at = NOW + timedelta(hours=3)
    nothing, assumed, seen = (
        Touch(f"dec_{place}", NOW, NOW + timedelta(hours=2 - place), NOW + DAY, kind)
        for place, kind in enumerate((Seen.NOTHING, Seen.ASSUMED, Seen.REPORTED))
    )
    for touches_, winner in (((nothing, assumed, seen), seen), ((nothing, assumed), assumed), ((nothing,), nothing)):
        assert share(Happening("x", at), touches_, "even") == {winner.decision: MICRO}


def test_what_does_not_divide_goes_to_the_newest():
    three = [Touch(f"dec_{n}", NOW, NOW + timedelta(hours=n), NOW + DAY, Seen.REPORTED) for n in range(3)]
    assert share(Happening("x", NOW + timedelta(hours=5)), three, "even") == {
        "dec_0": 333_333, "dec_1": 333_333, "dec_2": 333_334,
    }  # fmt: skip


# one person's decisions and events


def test_one_order_is_one_credit_over_two_channels():
    rows = [decision(1, hours=0), decision(2, "home", hours=2, channel="web", variant="banner")]
    order = [event(1, "Order Completed", 5, revenue=20)]
    found = earned(rows, order)
    assert (found["dec_1"].reward, found["dec_2"].reward) == (0.0, 1.0)
    half = earned(rows, order, credit="even")
    assert half["dec_1"].credits == half["dec_2"].credits == {"Order Completed": MICRO // 2}


def test_an_exposure_decides_who_was_seen_and_when_the_window_begins():
    rows = [decision(1, hours=0, delivery="dlv_1"), decision(2, hours=1, delivery="dlv_2")]
    events = [event(1, "Email Sent", 3, names="dec_1"), event(2, "Order Completed", 7 * 24 + 2.5)]
    found = earned(rows, events)
    assert found["dec_1"].seen_at == NOW + timedelta(hours=3)
    assert found["dec_1"].closes_at == NOW + timedelta(hours=3) + 7 * DAY
    assert found["dec_1"].credits["Order Completed"] == MICRO  # the second was never sent: the ledger knows
    assert found["dec_2"].reward == 0


def test_machines_earn_nothing_and_show_nothing():
    rows = [decision(1)]
    told: Counter[str] = Counter()
    events = [
        event(1, "Email Link Clicked", 1, names="dec_1", machine=True), event(2, "Content Viewed", 1, names="dec_1", machine=True),
        event(3, "Order Completed", 2, machine=True),
    ]  # fmt: skip
    (found,) = judged(rows, events, RULES, LearningSettings(), told)
    assert (found.reward, found.seen_at, found.credits) == (0.0, None, {})
    assert told["machine_events"] == 3


def test_too_late_is_nobodys_merit_even_when_it_names_its_decision():
    rows = [decision(1)]
    late = [event(1, "Order Completed", 7 * 24 + 0.1), event(2, "Content Clicked", 8 * 24, names="dec_1")]
    assert earned(rows, late)["dec_1"].credits == {}


def test_one_order_told_twice_is_one():
    rows = [decision(1)]
    twice = [event(1, "Order Completed", 1, order_id="o1"), event(2, "Order Completed", 1.5, order_id="o1")]
    assert earned(rows, twice)["dec_1"].reward == 1.0
    assert earned(rows, [*twice, event(3, "Order Completed", 2, order_id="o2")])["dec_1"].reward == 2.0


def test_what_happens_by_itself_goes_to_the_choice_to_show_nothing_but_not_to_a_holdout():
    order = [event(1, "Order Completed", 1)]
    assert earned([decision(1, variant=None)], order)["dec_1"].reward == 1.0
    assert earned([decision(1, variant=None, propensity=1.0)], order)["dec_1"].reward == 0.0


def test_an_outcome_collected_for_something_else_teaches_nothing_unless_it_answers():
    rows = [decision(1)]
    assert earned(rows, [event(1, "Order Completed", 1, purpose="service")])["dec_1"].reward == 0
    assert earned(rows, [event(1, "Order Completed", 1, purpose="service", names="dec_1")])["dec_1"].reward == 1
    told = event(1, "Order Completed", 1, purpose="service", also_for=("marketing.personalize",))
    assert earned(rows, [told])["dec_1"].reward == 1


def test_a_placement_that_learns_one_outcome_counts_it_once():
    rows = [decision(1, "one")]
    orders = [event(n, "Order Completed", n, order_id=f"o{n}") for n in range(1, 4)]
    assert earned(rows, [*orders, event(9, "Product Added", 1)])["dec_1"].reward == 1.0


people_events = st.lists(
    st.builds(
        lambda n, name, hours, names, machine: event(n, name, hours, names=names, machine=machine, order_id=f"o{n % 4}"),
        st.integers(0, 999), st.sampled_from([row.event for row in TABLE.rows]), st.floats(0, 200),
        st.sampled_from([None, None, "dec_1", "dec_2", "dec_9"]), st.booleans(),
    ),
    max_size=12, unique_by=lambda e: e.event_id,
)  # fmt: skip


@given(people_events, st.sampled_from(["last", "even"]), st.randoms())
def test_counting_is_the_same_in_any_order_and_never_gives_more_than_there_was(events, rule, rng):
    rows = [
        decision(1),
        decision(2, "home", hours=20, variant="banner", channel="web"),
        decision(3, hours=30, variant=None),
    ]
    found = earned(rows, events, credit=rule)
    again = earned(rng.sample(rows, 3), rng.sample(events, len(events)), credit=rule)
    assert found == again
    given_away = sum(found_.credits.get("Order Completed", 0) for found_ in found.values())
    assert given_away <= MICRO * len({e.properties["order_id"] for e in events if e.name == "Order Completed"})
