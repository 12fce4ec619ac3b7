"""Why somebody is in a segment, or is not (features.V16)."""

from hypothesis import given, settings

from profiles.consent_filter import see
from profiles.declarations import parse
from profiles.features import FeatureSet
from profiles.segments import why
from tests.profiles import making
from tests.profiles.making import AT, event, raw, state

SET = FeatureSet(parse("""
version: t
features:
  - {name: days_since_cart, take: days_since, event: Product Added}
  - {name: orders, take: count, event: Order Completed}
  - {name: device, take: latest, event: "*", property: device, values: [phone, desk]}
segments:
  - {name: abandoned, all: [{feature: days_since_cart, at_most: 3}, {feature: orders, under: 2}]}
  - {name: new, all: [{feature: orders, equals: 0}, {feature: device, known: true}]}
"""))  # fmt: skip
YES = state(("marketing.personalize", "granted"))


def told(*events):
    return why(SET, SET.evaluate(see(raw(events=events), YES, "marketing.personalize", AT), AT))


def test_each_condition_says_what_is_known_and_by_how_much_it_is_missed():
    abandoned, new = told(event("Product Added", 5, n=1, device="phone"), event("Order Completed", 1, n=2))
    assert not abandoned.member
    cart, orders = abandoned.conditions
    assert (cart.asked, cart.value, cart.holds, cart.gap, cart.source) == (
        "days_since_cart <= 3",
        5.0,
        False,
        2.0,
        "web",
    )
    assert (orders.holds, orders.gap) == (True, None)
    assert [one.holds for one in new.conditions] == [False, True]
    assert (new.conditions[0].gap, new.conditions[1].asked, new.conditions[1].word) == (1.0, "device is known", "phone")


def test_nothing_known_is_no_distance():
    (abandoned, new) = told()
    assert (abandoned.conditions[0].value, abandoned.conditions[0].gap, abandoned.member) == (None, None, False)
    assert not new.member


@settings(max_examples=40)
@given(making.profiles)
def test_the_reason_is_never_another_than_the_fact(profile):
    found = SET.evaluate(see(profile, YES, "marketing.personalize", AT), AT)
    assert {one.segment for one in why(SET, found) if one.member} == found.segments
