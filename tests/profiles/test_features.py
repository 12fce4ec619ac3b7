"""Features: one code path, equal in bits, order-free, honest about the odd (features.V5, F44, F45, F50)."""

import dataclasses
import math
import random
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from identity.people import Contact
from profiles.consent_filter import see
from profiles.declarations import Condition, parse
from profiles.errors import DeclarationInvalid, OutOfTime
from profiles.features import FeatureSet
from profiles.hot import HotProfile, pack, reach, unpack
from profiles.store import arrow_table, rows_digest, without, write_parquet
from tests.profiles import making
from tests.profiles.making import AT, event, raw, record, state

YAML = """
version: t
features:
  - {name: age, take: numeric, trait: age}
  - {name: is_member, take: boolean, trait: member}
  - {name: interest, take: category, trait: interest, values: [books, garden, sport]}
  - {name: orders_30d, take: count, event: Order Completed, window_days: 30}
  - {name: days_since_order, take: days_since, event: Order Completed}
  - {name: spend, take: sum, event: Order Completed, property: revenue}
  - {name: views, take: decayed, event: Product Viewed, half_life_days: 7}
  - {name: big_orders, take: count, event: Order Completed, where: {size: big}}
  - {name: recency, take: recency, event: Order Completed, half_life_days: 30}
  - {name: mean_order, take: mean, event: Order Completed, property: revenue}
  - {name: faded, take: faded, event: "*"}
  - {name: rate, take: rate, event: Order Completed, of: Product Viewed, window_days: 90}
  - {name: likes, take: affinity, property: revenue, value: "12.5", events: [{event: Product Viewed}, {event: Order Completed, weight: 3}]}
  - {name: newest, take: latest, event: "*", property: revenue, values: ["yes", "no", "19.99"]}
  - {name: visit, take: count, event: "*", session: true}
  - {name: hour, take: hour, zone: Europe/Berlin}
  - {name: identity_sure, take: sure}
segments:
  - {name: lapsed, all: [{feature: days_since_order, over: 20}]}
  - {name: strangers, all: [{feature: days_since_order, known: false}]}
"""
SET = FeatureSet(parse(YAML))
YES = state(("marketing.personalize", "granted"))


def evaluate(profile, at=AT, consent=YES):
    return SET.evaluate(see(profile, consent, "marketing.personalize", at), at)


def bits(row):
    return [value.hex() for value in row.tolist()]


def hot_of(found) -> HotProfile:
    return HotProfile(
        person="per_1", purpose="marketing.personalize", at=AT, until=AT, feature_set=SET.digest, rules="sha256:rules", graph_version=3,
        consent_version=2, profile_version=7, permitted=True, features=tuple(found.row.tolist()), permissions={},
        reach={"email": "idn_1"}, sure=0.1, segments=found.segments, origins=found.origins,
    )  # fmt: skip


@settings(max_examples=300)
@given(making.profiles, making.states, st.randoms())
def test_batch_and_hot_are_equal_in_bits_whatever_the_traits_and_events(
    tmp_path_factory, profile, consent, rng: random.Random
):
    seen = see(profile, consent, "marketing.personalize", AT)
    online = SET.evaluate(seen, AT)
    hot = unpack(pack(hot_of(online)))
    shuffled = dataclasses.replace(
        profile,
        records=tuple(rng.sample(profile.records, len(profile.records))),
        events=tuple(rng.sample(profile.events, len(profile.events))),
    )
    batch = np.array([SET.row(see(shuffled, consent, "marketing.personalize", AT), AT)])
    table = arrow_table(["per_1"], SET.names, batch)
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    back = parquet.read_table(pa.BufferReader(sink.getvalue()))
    offline = np.array([back.column(name)[0].as_py() for name in SET.names], dtype=np.float64)
    assert bits(online.row) == bits(hot.row()) == bits(batch[0]) == bits(offline)
    assert hot == unpack(pack(hot)) or any(math.isnan(v) for v in hot.features)
    assert pack(hot) == pack(hot_of(online))


@given(making.profiles, making.states)
def test_no_number_is_infinite_and_nothing_raises(profile, consent):
    assert not np.isinf(evaluate(profile, consent=consent).row).any()


@given(making.profiles, st.floats(0, 30))
def test_the_past_does_not_know_the_future(profile, days):
    past = AT - timedelta(days=days)
    known = dataclasses.replace(
        profile,
        events=tuple(e for e in profile.events if e.event_time <= past and e.known_time <= past),
        records=tuple(r for r in profile.records if r.observed_at <= past and r.recorded_at <= past),
    )
    assert bits(evaluate(profile, past).row) == bits(evaluate(known, past).row)


def test_what_each_kind_takes():
    events = [
        event("Order Completed", 10, n=1, revenue=19.99, size="big"),
        event("Order Completed", 40, n=2, revenue="5.01"),
        event("Order Completed", 50, n=3, revenue=1, machine=True),
        event("Product Viewed", 7, n=4),
        event("Product Viewed", 0, n=5),
    ]
    found = evaluate(raw([record(1, {"age": "33", "member": "Yes", "interest": " Garden"})], events, sure=0.75))
    assert dict(zip(SET.names, found.row.tolist(), strict=True)) == {
        "recency": pytest.approx(2 ** (-1 / 3), rel=1e-9), "mean_order": 12.5, "faded": 3.439, "rate": 1.0, "likes": 0.0, "newest": 2.0, "visit": 1.0,
        "hour": 1.0, "age": 33.0, "is_member": 1.0, "interest": 1.0, "orders_30d": 1.0, "days_since_order": 10.0, "spend": 25.0,
        "views": 1.5, "big_orders": 1.0, "identity_sure": 0.75,
    }  # fmt: skip
    assert found.odd == {}
    assert found.segments == frozenset()
    origin = next(o for o in found.origins if o.feature == "spend")
    assert (origin.trait, origin.source, origin.count, origin.act) == ("Order Completed", "web", 2, "act_0")
    assert next(o for o in found.origins if o.feature == "age").record_id == "rec_1"


def test_what_is_made_of_events_names_every_record_that_had_a_part():
    """A false merge: the older order, and what it is measured against, are somebody else's (consent.D6)."""
    theirs = [
        dataclasses.replace(one, record_id="rec_2")
        for one in (event("Order Completed", 5, revenue=3), event("Product Viewed", 4))
    ]
    found = evaluate(raw([record(1, {"age": 3})], [event("Order Completed", 1, n=1, revenue=5), *theirs]))
    rests = {one.feature: {one.record_id, *one.also} for one in found.origins}
    for name in ("orders_30d", "spend", "mean_order", "days_since_order", "recency", "rate", "likes", "faded"):
        if name in rests:
            assert rests[name] == {"rec_1", "rec_2"}, name
    assert {"orders_30d", "spend", "rate"} <= rests.keys()
    assert rests["age"] == {"rec_1"}
    assert rests["views"] == {"rec_2"}


@pytest.mark.parametrize(
    ("trait", "value", "feature", "number", "why"),
    [
        ("age", "old", "age", math.nan, "not_a_finite_number"),
        ("age", "inf", "age", math.nan, "not_a_finite_number"),
        ("age", "NaN", "age", math.nan, "not_a_finite_number"),
        ("member", "perhaps", "is_member", math.nan, "not_boolean"),
        ("interest", "knitting", "interest", -1.0, "unknown_category"),
    ],
)
def test_the_odd_follows_its_rule_and_is_counted(trait, value, feature, number, why):
    found = evaluate(raw([record(1, {trait: value})]))
    assert bits(found.row)[SET.names.index(feature)] == number.hex()
    assert found.odd == {f"{feature}:{why}": 1}


def test_somebody_unpermitted_looks_like_somebody_unknown():
    full = raw([record(1, {"age": 3})], [event("Order Completed", 1, revenue=5)], sure=0.4)
    assert bits(evaluate(full, consent=state()).row) == bits(evaluate(raw(), consent=state()).row)
    assert evaluate(full, consent=state()).origins == ()


def test_a_row_is_not_made_beyond_the_profile():
    with pytest.raises(OutOfTime):
        SET.row(see(raw(), YES, "marketing.personalize", AT), AT + timedelta(1))


def test_the_digest_is_of_what_is_declared_not_of_how():
    spaced = YAML.replace("{name: age, take: numeric, trait: age}", "{take: numeric,   trait: age, name: age}  # same")
    assert FeatureSet(parse(spaced)).digest == SET.digest
    assert FeatureSet(parse(YAML.replace("30", "31"))).digest != SET.digest


@pytest.mark.parametrize(
    "feature",
    [
        "{name: a, take: numeric}",
        "{name: a, take: count, trait: age}",
        "{name: a, take: sum, event: X}",
        "{name: a, take: decayed, event: X}",
        "{name: a, take: category, trait: x}",
        "{name: a, take: numeric, trait: x, window_days: 3}",
        "{name: A b, take: sure}",
        "{name: a, take: nothing}",
        "{name: a, take: sure, colour: red}",
    ],
)
def test_a_declaration_that_does_not_hold_together_is_refused(feature):
    with pytest.raises(DeclarationInvalid):
        parse(f"version: x\nfeatures: [{feature}]")


def test_segments_ask_for_declared_features_only():
    with pytest.raises(DeclarationInvalid, match="not declared"):
        parse("version: x\nfeatures: [{name: a, take: sure}]\nsegments: [{name: s, all: [{feature: b, over: 1}]}]")
    assert evaluate(raw(events=[event("Order Completed", 30)])).segments == {"lapsed"}
    assert evaluate(raw()).segments == {"strangers"}
    assert not Condition(feature="a", over=1).holds(math.nan)


def test_a_contact_point_on_which_she_said_yes_comes_first():
    held = [Contact("idn_new", "email"), Contact("idn_old", "email"), Contact("idn_login", "login_id")]
    channels = {"email": ("email",), "web": ("anonymous_id", "login_id"), "push": ("device_id",)}
    assert reach(held, [], channels) == {"email": "idn_new", "web": "idn_login"}
    assert reach(held, [("email", "idn_old")], channels)["email"] == "idn_old"


def test_an_erasure_takes_her_rows_out_of_a_file(tmp_path):
    file = tmp_path / "t.parquet"
    rows = np.array([[1.0, np.nan], [2.0, 3.0]])
    write_parquet(file, arrow_table(["per_1", "per_2"], ["a", "b"], rows))
    assert without(file, ["per_3"]) is None
    taken, digest, left = without(file, ["per_1", "per_0"])
    assert (taken, left) == (1, 1)
    assert digest == rows_digest(["per_2"], ["a", "b"], rows[1:])
    assert without(tmp_path / "none.parquet", "per_1") is None


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(-1e6, 1e6)), min_size=3, max_size=30), st.randoms())
def test_sums_and_decays_do_not_depend_on_the_order_of_events(happened, rng: random.Random):
    events = [
        event(name, days, n=place, revenue=amount)
        for place, (days, amount) in enumerate(happened)
        for name in ("Order Completed", "Product Viewed")
    ]
    shuffled = rng.sample(events, len(events))
    assert bits(evaluate(raw(events=events)).row) == bits(evaluate(raw(events=shuffled)).row)
