"""Rows added to a linked table: as if they had been there from the beginning, or nearly."""

import json
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.batch import prepare
from identity.clusters import guarded
from identity.facts import gather
from identity.increments import Rule, anew, drift, link_more
from identity.keying import KeyIndex
from identity.kinds import infer
from identity.link import LinkOptions
from identity.linkage import Edges
from identity.linked import Linked, _taken
from identity.score import score
from kernel.errors import InvalidInput
from tests.identity.linkage_world import world

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def tables():
    """A table in two parts, the second a tenth of it, and the truth."""
    whole = world(people=260, seed=3)
    cut = whole.num_rows * 10 // 11
    truth = np.array(whole.column("who").to_pylist())
    shown = whole.drop_columns(["who"])
    return shown.slice(0, cut), shown.slice(cut), shown, truth


@pytest.fixture(scope="module")
def linked(tables):
    base, more, _, _ = tables
    kinds = infer(base)
    prepared = prepare(base, kinds)
    model = prepared.train(1)
    edges = prepared.edges(model)
    clusters = prepared.cluster(edges, model)
    found = Linked.of(prepared, model, edges, clusters)
    before = found.person.copy()
    increment = found.add(more, kinds)
    found.settle(increment)
    return found, increment, before, model


def test_people_are_as_right_as_after_linking_everything(tables, linked):
    _, _, whole, truth = tables
    found, _, _, model = linked
    anew_ = prepare(whole, infer(whole))
    full = anew_.cluster(anew_.edges(model), model).person
    assert np.array_equal(anew_.order, np.arange(whole.num_rows))  # ids ascend, so rows of both are the same
    mine, theirs = score(found.person, truth)["pairwise"]["f1"], score(full, truth)["pairwise"]["f1"]
    assert mine >= theirs - 0.01
    assert score(found.person, full)["pairwise"]["f1"] >= 0.99


def test_who_no_new_row_reaches_is_where_he_was(linked):
    found, increment, before, _ = linked
    assert all(len(set(f.coded.values)) == len(f.coded.values) for f in found.cleaned.fields.values())
    assert len(increment.edges.weight) <= increment.pairs  # a value counted twice would double its pairs
    untouched = np.setdiff1d(np.arange(increment.first), increment.rows)
    assert len(untouched)
    assert np.array_equal(found.person[untouched], before[untouched])
    assert len(increment.rows) < found.rows


def test_a_row_that_repeats_an_old_one_joins_it(tables, linked):
    base, *_ = tables
    found, *_ = linked
    increment = found.add(base.slice(0, 1), infer(base))
    places = dict(zip(increment.rows.tolist(), increment.person.tolist(), strict=True))
    assert places[increment.first] == found.person[0]


def test_several_batches_are_added_one_after_the_other(tables, linked, tmp_path):
    base, more, whole, truth = tables
    options = LinkOptions(model=linked[3])
    files = [tmp_path / f"{name}.parquet" for name in ("base", "a", "b")]
    for path, table in zip(files, (base, more.slice(0, 30), more.slice(30)), strict=True):
        pq.write_table(table, path)
    said: list[str] = []
    result = link_more(files[:1], files[1:], options, progress=said.append)
    assert result.table.num_rows == whole.num_rows
    assert score(np.array(result.table.column("person_id").to_pylist()), truth)["pairwise"]["f1"] > 0.8
    assert len(said) == 2
    assert json.dumps(result.summary())
    again: list[str] = []
    link_more(files[:1], files[1:], options, progress=again.append, rule=Rule(share=0.01))
    assert "anew (share)" in again[0]


def test_adding_and_one_record_a_file_exclude_each_other(tmp_path):
    with pytest.raises(InvalidInput, match="one-to-one"):
        link_more([tmp_path / "a"], [tmp_path / "b"], LinkOptions(one_to_one=True))


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"age": None}, "no_model"),
        ({"linked": 0}, "no_model"),
        ({"age": 8 * DAY}, "age"),
        ({"new": 101}, "share"),
        ({"added": 250, "new": 60}, "grown"),
        ({"drift": 0.3}, "drift"),
        ({}, None),
    ],
)
def test_the_rule_of_when_everything_is_linked_anew(terms, why):
    assert anew(Rule(), **({"linked": 1000, "added": 0, "new": 10, "age": DAY, "drift": 0.0} | terms)) == why


def test_drift_is_small_between_samples_of_one_distribution_and_large_between_two():
    rng = np.random.default_rng(0)
    one, same, other = rng.normal(0, 1, 5000), rng.normal(0, 1, 5000), rng.normal(1, 1, 5000)
    assert drift(one, same) < 0.05 < Rule().drift < drift(one, other)
    assert drift(one[:5], other) == 0.0


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(0, 40), st.lists(st.integers(0, 6), max_size=10)
)
def test_the_key_index_finds_what_a_comparison_of_everything_finds(old, cut, new):
    cut = min(cut, len(old))
    index = KeyIndex()
    values = np.array(old, np.uint64)
    index.add({"k": values[:cut]})
    index.add({"k": values[cut:]}, cut)
    left, right = index.near({"k": np.array(new, np.uint64)})
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    assert found == {(i, j) for i, a in enumerate(new) for j, b in enumerate(old) if a == b and a}
    assert len(found) == len(left)


def test_the_nearest_are_those_that_share_most_keys():
    index = KeyIndex()
    index.add({"a": np.array([5, 5, 5, 0], np.uint64), "b": np.array([7, 0, 7, 7], np.uint64)})
    asked = {"a": np.array([5, 5], np.uint64), "b": np.array([7, 9], np.uint64)}
    left, right = index.near(asked, 2)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 0), (0, 2), (1, 0), (1, 1)]
    assert len(index.near(asked)[0]) == 7


def test_a_block_that_is_too_large_answers_nobody():
    index = KeyIndex(pairs_a_row=1)
    index.add({"k": np.concatenate([np.full(300, 7), np.arange(10, 60)]).astype(np.uint64)})
    assert index.near({"k": np.array([7, 12], np.uint64)})[1].tolist() == [302]


def test_unknown_columns_of_new_rows_are_left_out_and_missing_ones_are_empty(tables, linked):
    base, more, _, _ = tables
    found, *_ = linked
    odd = more.slice(0, 5).drop_columns(["email"]).append_column("mood", pa.array(["x"] * 5))
    assert found.add(odd, infer(base)).added == 5


def test_twenty_orders_of_the_same_records_give_one_partition(linked):
    """Spec I31: whatever came first, the guard over the same edges says the same of all."""
    found, _, _, model = linked
    edges, rng = found.edges, np.random.default_rng(4)
    partitions = set()
    for _ in range(20):
        order = rng.permutation(found.rows)
        place = np.argsort(order)
        left, right = place[edges.left], place[edges.right]
        moved = Edges(np.minimum(left, right), np.maximum(left, right), edges.weight)
        part, _ = _taken(found.cleaned, order)
        person = guarded(moved, gather(part, model)).person[place]
        groups: dict[int, list[int]] = {}
        for row, label in enumerate(person.tolist()):
            groups.setdefault(label, []).append(row)
        partitions.add(tuple(sorted(map(tuple, groups.values()))))
    assert len(partitions) == 1
