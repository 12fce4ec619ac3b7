"""The filter is the only way to a unified profile, and a purpose sees only what it may (features.V13-V15)."""

import copy
import dataclasses
import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.gate import permission
from profiles.consent_filter import see
from profiles.errors import NotTheFilter
from profiles.profile import UnifiedProfile
from tests.house.tree import ROOT, inside, sources
from tests.profiles import making
from tests.profiles.making import AT, PURPOSES, RULES, event, raw, record, state


@settings(max_examples=300)
@given(making.profiles, making.states, st.sampled_from(PURPOSES))
def test_nothing_is_seen_that_the_gate_or_the_source_forbids(profile, consent, purpose):
    seen = see(profile, consent, purpose, AT)
    if not permission(consent, purpose, None, AT).granted:
        assert seen.traits == {}
        assert seen.events == ()
    allowed = set(RULES.purposes.lineage(purpose))
    assert all(t.purposes & allowed for t in seen.traits.values())
    assert all(e.purpose in allowed and e.event_time <= AT and e.known_time <= AT for e in seen.events)


@given(making.profiles, making.states, st.sampled_from(PURPOSES))
def test_what_may_not_be_seen_changes_nothing_that_is_seen(profile, consent, purpose):
    allowed = set(RULES.purposes.lineage(purpose))
    less = dataclasses.replace(profile, records=tuple(r for r in profile.records if r.purposes & allowed))
    assert see(profile, consent, purpose, AT).traits == see(less, consent, purpose, AT).traits


def test_a_trait_serves_its_purposes_and_those_below_them():
    profile = raw([record(1, {"city": "Kyiv"}, purposes=["service", "marketing"])])
    yes = state(("marketing.email", "granted"), ("marketing.personalize", "granted"))
    assert see(profile, yes, "marketing.email", AT).traits["city"].value == "Kyiv"
    assert see(profile, yes, "service", AT).traits["city"].purposes == {"service", "marketing"}
    assert see(profile, yes, "analytics", AT).traits == {}


def test_the_state_of_somebody_else_permits_nothing():
    profile = raw([record(1, {"city": "Kyiv"})])
    assert (
        see(profile, state(("marketing.personalize", "granted"), person="per_2"), "marketing.personalize", AT).traits
        == {}
    )


def test_looking_back_needs_a_yes_then_and_now():
    profile = raw(events=[event("Order Completed", 200)])
    past = AT.replace(year=2025)
    consent = state(("marketing.personalize", "granted"))  # given 50 days before AT
    assert see(profile, consent, "marketing.personalize", AT).events
    assert see(profile, consent, "marketing.personalize", past, known_at=AT).events == ()


def test_there_is_no_other_constructor():
    seen = see(raw(), state(), "service", AT)
    fields = {f.name: getattr(seen, f.name) for f in dataclasses.fields(seen) if f.init}
    with pytest.raises(NotTheFilter):
        UnifiedProfile(**fields, seal=object())
    with pytest.raises(TypeError):
        UnifiedProfile(**fields)
    with pytest.raises(ValueError, match="seal"):
        dataclasses.replace(seen, person="per_2")
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen.traits = {"city": "Kyiv"}
    assert copy.copy(seen) == seen
    assert pickle.loads(pickle.dumps(seen)) == seen


def test_no_other_module_of_the_house_makes_one():
    made = re.compile(r"\bUnifiedProfile\s*\(|\b_SEAL\b|UnifiedProfile\.__new__")
    makers = {inside(p) for p in sources() if made.search(p.read_text())}
    assert makers == {"profiles/consent_filter.py", "profiles/profile.py"}, f"{ROOT}: only the filter makes profiles"


def test_an_older_version_of_a_row_gives_no_trait_and_the_past_is_as_it_was():
    row = ("shop", "1")
    old = record(1, {"city": "Kyiv"}, row=row, days_ago=40)
    new = record(2, {"city": "Lviv"}, row=row, version=2, days_ago=5)
    consent = state(("marketing.personalize", "granted"))
    profile = raw([old, new])
    assert see(profile, consent, "marketing.personalize", AT).traits["city"].record_id == "rec_2"
    before = AT.replace(month=2, day=10)
    assert see(profile, consent, "marketing.personalize", before).traits["city"].value == "Kyiv"


def test_survivorship_is_declared_and_total():
    from profiles.survivorship import Survivorship

    rules = Survivorship.model_validate(
        {"version": "1", "default": "most_recent",
         "traits": {"name": "most_frequent", "job": {"rule": "most_trusted", "sources": ["crm", "shop"]}}}
    )  # fmt: skip
    people = [
        record(1, {"name": "Ann", "job": "cook", "city": "Kyiv"}, source="shop", days_ago=1),
        record(2, {"name": "Anna", "job": "pilot", "city": "Lviv"}, source="crm", days_ago=9),
        record(3, {"name": "Anna", "job": "judge"}, source="web", days_ago=0.5),
    ]
    for order in (people, people[::-1]):
        profile = dataclasses.replace(raw(order), survivorship=rules)
        traits = see(profile, state(("marketing.personalize", "granted")), "marketing.personalize", AT).traits
        assert {n: (t.value, t.source) for n, t in traits.items()} == {
            "name": ("Anna", "web"),
            "job": ("pilot", "crm"),
            "city": ("Kyiv", "shop"),
        }
