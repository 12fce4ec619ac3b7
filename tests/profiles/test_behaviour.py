"""What somebody did as numbers, with known answers: RFM, fading, rates, affinities, the visit, the calendar, and time (features.V18, F45, F47)."""

import dataclasses
import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.consent_filter import see
from profiles.declarations import load, parse
from profiles.errors import DeclarationInvalid
from profiles.features import FeatureSet
from tests.profiles.making import AT, event, raw, state

YES = state(("marketing.personalize", "granted"))


def value(feature: str, *events, at=AT, fade=0.9) -> float:
    declared = parse(f"version: t\nfeatures: [{{name: it, {feature}}}]").faded(fade)
    profile = see(raw(events=events), YES, "marketing.personalize", at)
    return float(FeatureSet(declared).row(profile, at)[0])


ORDERS = (
    event("Order Completed", 60, n=1, revenue=10),
    event("Order Completed", 30, n=2, revenue="30"),
    event("Order Completed", 0, n=3, revenue=50),
)


def test_recency_frequency_and_monetary_value():
    assert value("take: recency, event: Order Completed, half_life_days: 30", *ORDERS) == 1.0
    assert value("take: recency, event: Order Completed, half_life_days: 30", *ORDERS[:2]) == 0.5
    assert value("take: recency, event: Order Completed, half_life_days: 30") == 0.0
    assert value("take: count, event: Order Completed", *ORDERS) == 3.0
    assert value("take: sum, event: Order Completed, property: revenue", *ORDERS) == 90.0
    assert value("take: mean, event: Order Completed, property: revenue", *ORDERS) == 30.0
    assert math.isnan(value("take: mean, event: Order Completed, property: revenue"))


@given(st.lists(st.floats(0, 4000), max_size=6))
def test_a_recency_score_lies_between_nought_and_one(days):
    events = [event("Order Completed", ago, n=place) for place, ago in enumerate(days)]
    assert 0.0 <= value("take: recency, event: Order Completed, half_life_days: 7", *events) <= 1.0


def test_each_older_event_weighs_nine_tenths_of_the_next_newer_and_equal_moments_weigh_the_same():
    """decision.D46."""
    views = [event("Product Viewed", days, n=n) for n, days in enumerate((3, 2, 1))]
    assert value("take: faded, event: Product Viewed", *views) == math.fsum((1.0, 0.9, 0.9**2))
    assert value("take: faded, event: Product Viewed, fade: 0.5", *views) == 1.75
    assert value("take: faded, event: Product Viewed", *views, fade=0.5) == 1.75
    twice = [*views, event("Product Viewed", 1, n=9)]
    assert value("take: faded, event: Product Viewed", *twice) == math.fsum((1.0, 1.0, 0.9, 0.9**2))


def test_how_fast_things_fade_is_part_of_the_declarations_digest():
    declared = load()
    assert declared.faded(0.9).digest != declared.faded(0.8).digest
    assert FeatureSet.open().digest == declared.faded(0.9).digest


def test_an_engagement_rate_is_doing_over_seeing_in_the_window():
    rate = "take: rate, event: Product Added, of: Product Viewed, window_days: 30, where: {category: books}"
    seen = [event("Product Viewed", days, n=days, category="books") for days in (1, 2, 3, 40)]
    done = [event("Product Added", 1, n=90, category="books"), event("Product Added", 1, n=91, category="toys")]
    assert value(rate, *seen, *done) == 1 / 3
    assert math.isnan(value(rate, *done))
    assert value(rate, seen[0], *[event("Product Added", 1, n=100 + n, category="books") for n in range(3)]) == 1.0


AFFINITY = (
    "take: affinity, property: category, value: books, events: ["
    "{event: Product Viewed}, {event: Order Completed, weight: 5}, "
    "{event: Content Rated, weight: 4, where: {thumb: up}}, {event: Content Rated, weight: -4, where: {thumb: down}}]"
)


def test_an_affinity_is_the_faded_share_of_what_was_about_it():
    assert value(AFFINITY) == 0.0
    assert value(AFFINITY, event("Product Viewed", 1, category="Books ")) == 1.0
    toys, books = event("Product Viewed", 1, n=1, category="toys"), event("Order Completed", 2, n=2, category="books")
    assert value(AFFINITY, toys, books) == 4.5 / 5.5
    basket = event("Order Completed", 2, products=[{"category": "toys"}, {"category": "books"}])
    assert value(AFFINITY, basket) == 1.0


def test_a_thumb_moves_an_affinity_at_once_in_its_direction():
    seen = event("Product Viewed", 1, n=1, category="books")
    other = event("Product Viewed", 1, n=2, category="toys")
    before = value(AFFINITY, seen, other)
    up = event("Content Rated", 0, n=3, category="books", thumb="up")
    down = event("Content Rated", 0, n=3, category="books", thumb="down")
    assert value(AFFINITY, seen, other, up) > before > value(AFFINITY, seen, other, down)
    assert value(AFFINITY, down) == -1.0


def row(feature: str, *events) -> list[float]:
    declared = parse(f"version: t\nfeatures: [{{name: it, {feature}}}]").faded(0.9)
    return FeatureSet(declared).row(see(raw(events=events), YES, "marketing.personalize", AT), AT).tolist()


POINT = "take: embedding, dimensions: 4, property: category, events: [{event: Product Viewed}, {event: Order Completed, weight: 5}]"


def test_a_history_is_a_point_that_newer_things_pull_and_order_of_arrival_does_not():
    """features.V18: the embedding of what was bought; any word has a place, nothing is the middle."""
    assert row(POINT) == [0.0] * 4
    (books,) = {tuple(row(POINT, event("Product Viewed", days, n=days, category="Books"))) for days in (1, 9)}
    assert set(map(abs, books)) == {1.0}
    held = [
        event("Product Viewed", days, n=days, category=word)
        for days, word in ((3, "books"), (2, "toys"), (1, "garden"))
    ]
    assert row(POINT, *held) == row(POINT, *reversed(held))
    assert max(map(abs, row(POINT, *held))) <= 1.0
    assert row(POINT, *held) != row(POINT, *held[:2])


def test_the_rate_at_her_favourite_kind():
    rate = "take: top_rate, event: Product Added, of: Product Viewed, property: category, window_days: 30"
    seen = [
        event("Product Viewed", 2, n=n, category=word) for n, word in enumerate(("books", "books", "Books", "toys"))
    ]
    done = [event("Product Added", 1, n=8, category="books"), event("Product Added", 1, n=9, category="toys")]
    assert value(rate, *seen, *done) == 1 / 3
    assert math.isnan(value(rate, *done))


def test_a_number_beyond_what_was_agreed_is_not_believed_and_counted():
    """features.F50: somebody sends cents where euros were agreed; the same path online and offline."""
    declared = parse("version: t\nfeatures: [{name: it, take: sum, event: Order Completed, property: revenue, least: 0, most: 1000},"
                     " {name: wide, take: last, event: '*', property: context.screen.width, least: 1}]")  # fmt: skip
    events = (event("Order Completed", 1, n=1, revenue=20), event("Order Completed", 1, n=2, revenue=2000),
              dataclasses.replace(event("a", 0, n=3), context={"screen": {"width": 390}}))  # fmt: skip
    found = FeatureSet(declared).evaluate(see(raw(events=events), YES, "marketing.personalize", AT), AT)
    assert found.row.tolist() == [20.0, 390.0]
    assert found.odd == {"it:out_of_range": 1}


def test_different_things_of_a_visit_and_the_first_of_all():
    held = [event("Product Viewed", days, n=days, category="books") for days in (9, 3)]
    assert value("take: days_since_first, event: Product Viewed", *held) == 9.0
    assert value("take: distinct, event: Product Viewed, property: category", *held) == 1.0


def minutes(name, ago, n=0, **properties):
    return event(name, ago / 1440, n=n, **properties)


def test_the_visit_is_what_followed_without_a_pause_and_ends_with_one():
    visit = "take: count, event: Product Viewed, session: true"
    held = [minutes("Product Viewed", ago, n=ago) for ago in (100, 55, 30, 5)]
    assert value(visit, *held) == 3.0  # 100 to 55 is a pause of 45 minutes
    assert value(visit, *held[:2]) == 0.0  # nothing for 55 minutes: the visit is over
    assert value("take: sum, event: Product Added, property: price, session: true",
                 minutes("Product Added", 40, n=1, price=9), minutes("Product Viewed", 12, n=2), minutes("Product Added", 2, n=3, price=5)) == 14.0  # fmt: skip


def test_a_visit_with_an_id_is_that_of_the_id():
    visit = 'take: count, event: "*", session: true'
    here = [minutes("Product Viewed", ago, n=ago, session_id="b") for ago in (200, 3)]
    there = minutes("Product Viewed", 4, n=4, session_id="a")
    assert value(visit, *here, there) == 2.0


def test_the_newest_word_of_the_circumstances_is_a_category_and_a_tie_has_one_answer():
    device = 'take: latest, event: "*", property: context.device.type, values: [desktop, mobile]'
    held = [
        dataclasses.replace(minutes("a", ago, n=n), context={"device": {"type": word}})
        for n, (ago, word) in enumerate(((90, "desktop"), (10, "Mobile"), (10, "fridge")))
    ]
    assert value(device, held[0]) == 0.0
    assert value(device, *held[:2]) == 1.0
    assert value(device, *held) == value(device, *reversed(held)) == -1.0
    assert math.isnan(value(device))


def test_hour_and_weekday_are_those_of_a_zone():
    at = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # a Sunday; in Berlin it is Monday
    assert (value("take: hour", at=at), value("take: weekday", at=at)) == (23.0, 6.0)
    berlin = [value(f"take: {take}, zone: Europe/Berlin", at=at) for take in ("hour", "weekday")]
    assert berlin == [0.0, 0.0]


@pytest.mark.parametrize(
    "feature",
    ["take: rate, event: a", "take: affinity, property: x, value: y", "take: recency, event: a", "take: mean, event: a",
     "take: latest, event: a, property: x", "take: hour, zone: Nowhere/Here", "take: hour, window_days: 3", "take: sure, session: true",
     "take: faded, event: a, fade: 1.5", "take: embedding, property: x, events: [{event: a}]", "take: count, event: a, most: 3",
     "take: sum, event: a, property: x, least: 2, most: 1"],
)  # fmt: skip
def test_a_declaration_that_cannot_be_meant_is_refused(feature):
    with pytest.raises(DeclarationInvalid):
        parse(f"version: t\nfeatures: [{{name: it, {feature}}}]")


SHIPPED = FeatureSet.open()
NAMES = ("Order Completed", "Product Viewed", "Product Added", "Products Searched", "Content Viewed", "Content Clicked")


def test_what_was_known_later_leaks_into_no_cell_of_the_past():
    """features.F45, small: a fifth told late, repeats of moments, out of order; rows as of then are the same bits, whenever they are made."""
    rng = random.Random(7)
    events = [
        event(rng.choice(NAMES), rng.randrange(0, 60 * 24) / 24, n=n, late=rng.choice([0, 0, 0, 0, rng.uniform(0, 20)]),
              revenue=rng.randrange(1, 90), price=rng.randrange(1, 50))
        for n in range(400)
    ]  # fmt: skip
    for days in (0, 1, 7, 29):
        then = AT - timedelta(days=days)
        known_then = [e for e in events if e.known_time <= then and e.event_time <= then]
        alone = SHIPPED.row(see(raw(events=known_then), YES, "marketing.personalize", then), then)
        rng.shuffle(events)
        whole = SHIPPED.row(see(raw(events=events), YES, "marketing.personalize", then), then)
        assert [v.hex() for v in alone.tolist()] == [v.hex() for v in whole.tolist()]
        later = SHIPPED.row(see(raw(events=events), YES, "marketing.personalize", then, known_at=AT), then)
        assert days == 0 or [v.hex() for v in later.tolist()] != [v.hex() for v in whole.tolist()]


def test_what_a_source_declared_besides_may_be_seen_and_nothing_else():
    orders = "take: count, event: Order Completed"
    for_service = event("Order Completed", 1, purpose="service")
    assert value(orders, for_service) == 0.0
    assert value(orders, dataclasses.replace(for_service, also_for=("marketing.personalize",))) == 1.0
    assert value(orders, dataclasses.replace(for_service, also_for=("analytics",))) == 0.0
