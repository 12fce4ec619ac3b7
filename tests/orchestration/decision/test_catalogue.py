"""The catalogue file: what is refused, and how helpfully."""

import pytest

from orchestration.decision.candidates import declared
from orchestration.decision.catalogue import parse, refuse_unknown_features
from orchestration.decision.errors import CatalogueInvalid, UnknownPlacement
from orchestration.decision.settings import DecisionSettings

GOOD = """
controller: Blue Shop
contents:
  - id: cart
    category: reminder
    variants:
      - {id: cart_a, label: Plain, channels: [email, web], subject: "Your basket", body: "Hello {{ first_name }}", on_behalf_of: Blue Shop}
      - {id: cart_b, label: Offer, channels: email, subject: "Ten percent", body: "…", cost: 0.5}
placements:
  - name: abandoned_cart
    purpose: {email: marketing.email, web: marketing.web}
    channels: [email, web]
    variants: [cart_a, cart_b]
    segment: {all: lapsed}
    caps: [{limit: 1, window: 7d}]
    epsilon: {email: 0.1}
    holdout: {name: main, share: 0.1}
    trigger: Cart Abandoned
    time_to_live: 36h
    min_sure: 0.8
rewards: {Order Completed: 1.0}
"""


def test_a_catalogue_is_read_with_durations_and_defaults():
    made = parse(GOOD)
    place = made.placement("abandoned_cart")
    assert place.time_to_live == 129_600
    assert place.caps[0].window == 604_800
    assert place.purpose_on("web") == "marketing.web"
    assert made.digest == parse(GOOD).digest
    assert made.digest != parse(GOOD.replace("0.5", "0.6")).digest


def test_arms_are_variants_times_the_channels_both_allow():
    made = parse(GOOD)
    found = declared(made, made.placement("abandoned_cart"), settings=DecisionSettings(), published={"cart_a"})
    assert [(one.id, one.epsilon, one.published) for one in found] == [
        ("cart_a@email", 0.1, True), ("cart_a@web", 0.2, True), ("cart_b@email", 0.1, False),
    ]  # fmt: skip
    only = declared(
        made, made.placement("abandoned_cart"), settings=DecisionSettings(), published=set(), channels={"web"}
    )
    assert [one.id for one in only] == ["cart_a@web"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{limit: 1, window: 7d}", "{limit: 1, window: 7d, zome: UTC}", "did you mean 'zone'?"),
        ("min_sure:", "min_shure:", "unknown key 'min_shure'; did you mean 'min_sure'?"),
        ("variants: [cart_a, cart_b]", "variants: [cart_a, cart_bb]", "did you mean 'cart_b'?"),
        ("window: 7d", "window: soon", "expected a duration such as"),
        ("id: cart_b", "id: cart_a", "every variant id once"),
        ("id: cart_b", "id: nothing", "names the arm that sends nothing"),
        ("share: 0.1", "share: 1.5", "less than 1"),
        ('subject: "Ten percent", ', "", "expected a subject"),
        ("web: marketing.web", "push: marketing.push", "expected a purpose for channel web"),
        ('subject: "Ten percent", ', 'subject: "Ten percent", value: .inf, ', "finite number"),
        ('subject: "Ten percent", ', 'subject: "Ten percent", value: .nan, ', "finite number"),
        ("cost: 0.5", "cost: 1.0e+300", "less than or equal to"),
        ("window: 7d", "window: 99999999999w", "less than or equal to"),
        ("window: 7d", "window: day, zone: Mars/Olympus", "/zone: expected a time zone such as Europe/Berlin"),
        ("window: 7d", "window: day, zone: Europe", "/zone: expected a time zone such as Europe/Berlin"),
        (
            "rewards: {Order Completed: 1.0}",
            "arbitration: {levers: [{name: a, factor: 2, variants: [cart_bb]}]}",
            "did you mean 'cart_b'?",
        ),
        (
            "rewards: {Order Completed: 1.0}",
            "arbitration: {levers: [{name: a, factor: 2, placements: [abandoned]}]}",
            "got 'abandoned'",
        ),
        ("rewards: {Order Completed: 1.0}", "arbitration: {fatigue: {cost: .inf}}", "finite number"),
    ],
)
def test_a_wrong_catalogue_names_the_place_and_the_remedy(old, new, words):
    with pytest.raises(CatalogueInvalid) as caught:
        parse(GOOD.replace(old, new))
    assert words in str(caught.value)
    assert caught.value.problems
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "contents: []\nplacements: []"])
def test_what_is_no_catalogue_is_refused(text):
    with pytest.raises(CatalogueInvalid):
        parse(text)


def test_an_unknown_placement_offers_the_nearest():
    with pytest.raises(UnknownPlacement, match="did you mean 'abandoned_cart'"):
        parse(GOOD).placement("abandoned_card")


def test_a_policy_or_activation_over_a_feature_that_nobody_has_is_refused_with_the_nearest():
    told = GOOD.replace("    trigger:", "    policy: {name: linucb, features: [age, ordrs]}\n    activation: {features: [views], least: 1}\n    trigger:")  # fmt: skip
    made = parse(told)
    refuse_unknown_features(made, ("age", "ordrs", "views"))
    with pytest.raises(CatalogueInvalid) as caught:
        refuse_unknown_features(made, ("age", "orders"))
    assert "got 'ordrs'; did you mean 'orders'?" in str(caught.value)
    assert [one.pointer for one in caught.value.problems] == [
        "/placements/0/policy/features/1", "/placements/0/activation/features/0",
    ]  # fmt: skip
