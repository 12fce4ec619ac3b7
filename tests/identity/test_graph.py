"""The rule of stable ids, as properties."""

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from identity.graph import assign, strongest_path, surety
from identity.people import Edge

RECORDS = [f"rec_{n:02}" for n in range(10)]


@st.composite
def rebuilds(draw):
    old = {r: f"per_{draw(st.integers(0, 5)):02}" for r in RECORDS}
    seen = draw(st.lists(st.sampled_from(RECORDS), unique=True))
    labels = {r: draw(st.integers(0, 5)) for r in seen}
    return old, labels


def run(old, labels):
    fresh = itertools.count()
    return assign(old, labels, lambda: f"per_new{next(fresh):02}")


@given(rebuilds(), st.randoms())
def test_the_rule_is_total_and_row_order_changes_nothing(case, rng: random.Random):
    old, labels = case
    outcome = run(old, labels)
    shuffled = list(labels.items())
    rng.shuffle(shuffled)
    # Labels are names only: other names, same partition, same people.
    renamed = {r: f"x{label * 7 % 11}" for r, label in shuffled}
    assert run(dict(reversed(list(old.items()))), renamed) == outcome
    assert set(outcome.person_of) == set(old)


@given(rebuilds())
def test_labelled_records_are_together_exactly_when_their_labels_are(case):
    old, labels = case
    outcome = run(old, labels)
    for a, b in itertools.combinations(labels, 2):
        assert (labels[a] == labels[b]) == (outcome.person_of[a] == outcome.person_of[b])


@given(rebuilds())
def test_no_id_lives_twice_and_every_retired_id_redirects_to_a_living_one(case):
    old, labels = case
    outcome = run(old, labels)
    living = set(outcome.person_of.values())
    assert not set(outcome.retired) & living
    assert set(outcome.retired.values()) <= living
    assert set(old.values()) <= living | set(outcome.retired)
    assert not set(outcome.created) & set(old.values())


@given(rebuilds())
def test_a_person_whose_records_stay_together_alone_keeps_the_id(case):
    old, labels = case
    outcome = run(old, labels)
    for person in set(old.values()):
        mine = {r for r in labels if old[r] == person}
        groups = {labels[r] for r in mine}
        alone = {r for r in labels if labels[r] in groups} == mine
        if mine and len(groups) == 1 and alone:
            assert {outcome.person_of[r] for r in mine} == {person}


@given(rebuilds())
def test_the_feed_replayed_on_the_old_people_gives_the_new_ones(case):
    old, labels = case
    outcome = run(old, labels)
    state = dict(old)
    for change in outcome.changes:
        for r in change.records:
            assert state[r] == change.person
            state[r] = change.other
    assert state == dict(outcome.person_of)


@given(rebuilds())
def test_running_again_on_the_outcome_changes_nothing(case):
    old, labels = case
    first = run(old, labels)
    again = run(dict(first.person_of), labels)
    assert again.moved == {}
    assert again.retired == {}
    assert again.created == ()


def test_the_oldest_survives_and_most_records_keep_the_id():
    old = {"rec_1": "per_a", "rec_2": "per_b", "rec_3": "per_b", "rec_4": "per_b"}
    merged = run(old, dict.fromkeys(old, 0))
    assert set(merged.person_of.values()) == {"per_a"}
    split = run(old, {"rec_1": 0, "rec_2": 1, "rec_3": 2, "rec_4": 2})
    assert split.person_of == {"rec_1": "per_a", "rec_2": "per_new00", "rec_3": "per_b", "rec_4": "per_b"}


def test_surety_is_the_weakest_link_that_is_needed():
    person_of = dict.fromkeys(["a", "b", "c"], "p") | {"d": "q"}
    links = [Edge("a", "b", 4.0), Edge("b", "c", 1.0), Edge("a", "c", 2.0), Edge("c", "d", -9.0)]
    assert surety(person_of, links) == {"p": 0.8}


def test_the_strongest_path_avoids_the_weak_shortcut():
    links = [Edge("a", "b", 5.0), Edge("b", "c", 4.0), Edge("a", "c", 1.0)]
    assert strongest_path(links, "a", "c") == (links[0], links[1])
    assert strongest_path(links, "a", "z") == ()
