"""Aims weighed against each other: terms that add up, levers as data, fatigue, freshness, activation, shares of a page. decision.D12, D38, D48."""

import json
import math
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.decision.arbitration import Activation, Arbitration, Diversity, Fatigue, Freshness, Lever
from orchestration.decision.balance import Balance, Boost, terms
from orchestration.decision.catalogue import parse
from orchestration.decision.eligibility import Stage
from orchestration.decision.engine import decide
from orchestration.decision.errors import CatalogueInvalid
from orchestration.decision.inputs import BRAND_FULL, CATEGORY_FULL, SHOWN, from_json
from orchestration.decision.record import Record
from orchestration.decision.slate import Slate
from tests.orchestration.decision.support import Linear, arm, inputs

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
HOUR = 3_600_000_000  # in microseconds
amounts = st.floats(0, 10, allow_nan=False)
factors = st.floats(0.01, 100)


def linear(**weights):
    return Linear(list(weights), list(weights.values()))


@st.composite
def weighed(draw):
    arms = [
        arm(f"v{place}", draw(st.sampled_from(["email", "web"])), place, value=draw(amounts), cost=draw(amounts))
        for place in range(draw(st.integers(1, 5)))
    ]
    ids = [one.id for one in arms]
    named = st.one_of(st.none(), st.lists(st.sampled_from(ids), min_size=1, unique=True).map(tuple))
    boosts = draw(st.lists(st.builds(Boost, st.sampled_from("abc"), st.just("lever"), factors, named), max_size=4))
    return inputs(
        arms,
        feature_names=("x",),
        features=(draw(amounts),),
        balance=Balance(
            unit="EUR",
            boosts=tuple(boosts),
            channel_costs=draw(st.dictionaries(st.sampled_from(["email", "web"]), amounts)),
            fatigue=draw(st.dictionaries(st.sampled_from(["email"]), amounts)),
        ),
    )


@settings(max_examples=60)
@given(weighed(), st.booleans())
def test_every_utility_is_its_terms_to_the_last_bit_and_their_logarithms_add_up(state, ruled):
    model = Linear(["x", "variant=v0", "channel=web"], [0.05, 0.5, 0.25]) if ruled else None

    made = decide(state, "s", model=model)

    for one in made.judged[:-1]:
        told = terms(state.balance, one.arm, one.score)
        assert told.utility == one.utility
        logs = [said["log"] for said in told.shown()["factors"]]
        if told.gain > 1e-300 and None not in logs:
            assert math.fsum(logs) == pytest.approx(math.log(told.gain), abs=1e-12)


@settings(max_examples=40)
@given(weighed())
def test_a_record_keeps_its_balance_and_its_terms_and_replays(state):
    record = Record(decision_id="dec_1", seed="s", inputs=state, outcome=decide(state, "s"))
    read = from_json(json.loads(state.canonical))
    again = Record(decision_id="dec_1", seed="s", inputs=read, outcome=decide(read, "s"))

    assert read.balance == state.balance
    assert read.canonical == state.canonical
    assert again.canonical() == record.canonical()
    kept = json.loads(record.canonical())
    assert kept["v"] == 2
    best = max((one for one in record.outcome.judged if one.arm), key=lambda one: one.utility)
    assert set(kept["terms"]) <= {best.id, record.outcome.choice}
    assert best.id in kept["terms"]


def test_a_record_from_before_there_was_a_balance_has_the_bytes_it_had():
    state = inputs([arm("a", value=2.0, cost=0.5)])

    kept = json.loads(Record(decision_id="dec_1", seed="s", inputs=state, outcome=decide(state, "s")).canonical())

    assert kept["v"] == 1
    assert "terms" not in kept
    assert b"balance" not in state.canonical


def test_a_unit_of_cost_takes_exactly_a_unit_of_utility_and_shifts_the_choice_where_predicted():
    """D12: the policy turns at the cost at which the treatments are worth the same, and nowhere else."""
    model = linear(**{"variant=a": 0.18, "variant=nothing": 0.11})
    for cost, best in [(0.0, "a@email"), (0.6999, "a@email"), (0.7001, "nothing"), (1.0, "nothing")]:
        state = inputs([arm("a", value=10.0)], nothing_value=10.0, balance=Balance(channel_costs={"email": cost}))
        made = decide(state, "s", model=model)
        assert max(made.judged, key=lambda one: one.propensity).id == best
        assert made.judged[0].utility == 10.0 * 0.18 - 0.0 - cost


def test_the_channel_of_a_treatment_is_chosen_by_what_it_costs_there():
    both = [arm("a", "email", 0, value=3.0), arm("a", "web", 1, value=3.0)]

    def best(**costs):
        made = decide(inputs(both, balance=Balance(**costs)), "s")
        return max(made.judged, key=lambda one: one.propensity).id

    assert best() == "a@email"
    assert best(channel_costs={"email": 0.1}) == "a@web"
    assert best(channel_costs={"web": 0.2}, fatigue={"email": 0.1}) == "a@email"
    assert best(channel_costs={"web": 5.0, "email": 5.0}) == "nothing"


@pytest.mark.parametrize(
    ("lever", "named"),
    [
        ({}, ["a", "b"]),
        ({"active": False}, []),
        ({"factor": 1.0}, []),
        ({"variants": ["a"]}, ["a"]),
        ({"categories": ["shoes"]}, ["b"]),
        ({"brands": ["acme"]}, ["b"]),
        ({"tags": ["winter", "other"]}, ["a"]),
        ({"channels": ["web"]}, ["b"]),
        ({"placements": ["home"]}, []),
        ({"placements": ["cart"], "tags": ["winter"]}, ["a"]),
        ({"since": NOW + timedelta(seconds=1)}, []),
        ({"until": NOW}, []),
        ({"since": NOW, "until": NOW + timedelta(seconds=1)}, ["a", "b"]),
        ({"when": {"daypart": ["evening"]}}, ["a", "b"]),
        ({"when": {"daypart": ["morning"]}}, []),
        ({"when": {"weather": ["rain"]}}, []),
    ],
)  # fmt: skip
def test_a_lever_moves_what_it_names_where_and_when_it_holds(lever, named):
    arms = [arm("a", "email", tags=("winter",)), arm("b", "web", category="shoes", brand="acme")]
    rules = Arbitration(levers=(Lever(**{"name": "l", "factor": 2.0} | lever),))

    found = rules.boosts("cart", arms, {}, at=NOW, context={"daypart": "evening"})

    moved = [one.variant for one in arms if any(b.arms is None or one.id in b.arms for b in found)]
    assert moved == named
    assert all(one.kind == ("context" if "when" in lever else "lever") for one in found)


def test_fatigue_counts_messages_by_age_and_channel():
    rule = Fatigue(cost=2.0, half_life=3600, elsewhere=0.5)
    at = 100 * HOUR
    recent = {"email": [at, at - HOUR], "push": [at - 2 * HOUR]}

    charged = rule.charge(recent, ["email", "push", "web"], at)

    assert charged == {
        "email": 2.0 * (1.5 + 0.5 * 0.25), "push": 2.0 * (0.25 + 0.5 * 1.5), "web": pytest.approx(2.0 * 0.5 * 1.75),
    }  # fmt: skip
    assert rule.charge({}, ["email"], at) == {}
    assert Fatigue(cost=2.0, active=False).charge(recent, ["email"], at) == {}
    later = rule.charge(recent, ["email"], at + HOUR)
    assert later["email"] == pytest.approx(charged["email"] / 2)


def test_what_is_new_is_worth_more_for_a_while():
    rules = Arbitration(freshness=Freshness(factor=3.0, half_life=24 * 3600))
    arms = [arm("new"), arm("day", order=1), arm("old", order=2), arm("unknown", order=3)]
    published = {"new": NOW, "day": NOW - timedelta(days=1), "old": NOW - timedelta(days=40)}

    found = rules.boosts("cart", arms, published, at=NOW, context={})

    assert {one.arms: one.factor for one in found} == {("new@email",): 3.0, ("day@email",): 2.0}


def test_below_the_signals_only_what_suits_everybody_may_be_chosen():
    arms = [arm("hers", personal=True), arm("everybodys", order=1, personal=False)]
    rule = Activation(features=("views", "orders"), least=3)
    assert rule.signals({"views": 2.0, "orders": math.nan}) == 2.0

    quiet = decide(inputs(arms, balance=Balance(signals=2.0, least_signals=3.0)), "s")
    known = decide(inputs(arms, balance=Balance(signals=3.0, least_signals=3.0)), "s")

    lost = next(one for one in quiet.judged if one.id == "hers@email")
    assert (lost.rejection.stage, lost.rejection.reason) == (Stage.SURE, "too_few_signals")
    assert sum(one.propensity for one in quiet.judged) == pytest.approx(1, abs=1e-12)
    assert next(one for one in known.judged if one.id == "hers@email").propensity > 0


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(["acme", "best", None])), min_size=1, max_size=12),
    st.floats(0.05, 1),
    st.floats(0.05, 1),
    st.integers(1, 8),
)
def test_a_page_never_shows_more_of_a_kind_than_its_share_and_nothing_twice(things, of_category, of_brand, size):
    """D38: 100 %, whatever is drawn."""
    arms = [
        arm(f"v{place}", order=place, category=kind, brand=brand, value=5.0)
        for place, (kind, brand) in enumerate(things)
    ]
    kinds = {one.variant: (one.category, one.brand) for one in arms}
    slate = Slate(size, Diversity(category=of_category, brand=of_brand), kinds.__getitem__)
    shown = []
    for place in range(size):
        beside = slate.beside()
        no = {one.id: why for one in arms if (why := beside.refusal(one)) is not None}
        made = decide(inputs(arms, refused=no), f"s{place}")
        assert all(
            one.rejection.stage is Stage.DIVERSITY
            for one in made.judged
            if one.rejection is not None and one.rejection.reason in {SHOWN, CATEGORY_FULL, BRAND_FULL}
        )
        assert math.fsum(one.propensity for one in made.judged) == pytest.approx(1, abs=1e-12)
        variant = made.arm.variant if made.arm else None
        assert slate.room(variant)
        slate.add(variant)
        shown += [variant] if variant else []
    assert len(set(shown)) == len(shown)
    for part, share in ((0, of_category), (1, of_brand)):
        counts = [kinds[one][part] for one in shown if kinds[one][part]]
        assert all(counts.count(name) <= max(1, share * size + 1e-9) for name in counts)


def test_a_choice_holds_on_every_channel_until_something_stops_it():
    """D48."""
    arms = [arm("a", "email", 0), arm("a", "web", 1), arm("b", "email", 2, value=9.0), arm("b", "web", 3, value=9.0)]
    held = Balance(holds="a")

    def lost(**changes):
        made = decide(inputs(arms, balance=held, **changes), "s")
        assert math.fsum(one.propensity for one in made.judged) == pytest.approx(1, abs=1e-12)
        return {one.id: one.rejection.reason for one in made.judged if one.propensity == 0 and one.rejection}

    other = {"b@email": "another_choice_holds", "b@web": "another_choice_holds"}
    assert lost() == other
    assert lost(refused={"a@email": "cap:all"}) == other | {"a@email": "cap:all"}
    assert lost(refused={"a@email": "cap:all", "a@web": "missing_variable"}) == {
        "a@email": "cap:all", "a@web": "missing_variable",
    }  # fmt: skip
    state = inputs(arms, balance=held)
    assert from_json(json.loads(state.canonical)).balance == held


MINIMAL = """
contents: [{id: c, variants: [{id: v, label: V, channels: [web], body: words}]}]
placements: [{name: home, purpose: marketing.web, channels: [web], variants: [v]}]
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arbitration: {levers: [{name: a, factor: 0}]}", "greater than 0"),
        ("arbitration: {levers: [{name: a, factor: 2}, {name: a, factor: 3}]}", "every lever once, got again: a"),
        (
            "arbitration: {levers: [{name: a, factor: 2, variant: [v]}]}",
            "unknown key 'variant'; did you mean 'variants'?",
        ),
        (
            "arbitration: {channel_costs: {email: -1}}",
            "channel_costs/email: Input should be greater than or equal to 0",
        ),
        ("arbitration: {channel_costs: {pigeon: 1}}", "'web', 'email' or 'push'"),
        ("page: {category: 0}", "greater than 0"),
    ],
)
def test_a_file_that_weighs_by_nonsense_is_refused_with_its_place(text, said):
    with pytest.raises(CatalogueInvalid, match=re.escape(said)):
        parse(MINIMAL + text)


def test_switching_a_lever_is_another_catalogue():
    on = parse(MINIMAL + "arbitration: {levers: [{name: a, factor: 2}]}")
    off = parse(MINIMAL + "arbitration: {levers: [{name: a, factor: 2, active: false}]}")

    assert on.digest != off.digest


def test_one_item_in_two_templates_or_two_wordings_is_one_item_of_a_page():
    """D48: what stands on its own on two pages does not stand twice where both placements meet."""
    slate = Slate(4, None, lambda _: (None, None))
    slate.add("card~s1~aaaaaaaaaa")
    assert not slate.room("tile~s1~aaaaaaaaaa")
    assert not slate.room("card~s1~bbbbbbbbbb")
    assert slate.room("card~s2~aaaaaaaaaa")
    assert slate.room("card")
    assert slate.room(None)
