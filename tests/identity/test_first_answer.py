"""Who somebody unseen is, at once: as the scorer says to the last digit, and as the batch says of most."""

import numpy as np
import pyarrow as pa
import pytest

from identity.batch import prepare
from identity.comparisons import linkage_input
from identity.few import said
from identity.first_answer import FirstAnswers
from identity.kinds import infer
from identity.linkage import readings
from identity.linked import Linked
from identity.weights import Against, Weights
from tests.identity.linkage_world import world


@pytest.fixture(scope="module")
def house():
    """A linked table without some of its rows, and those rows."""
    whole = world(people=220, seed=9)
    cut = whole.num_rows - 40
    shown = whole.drop_columns(["who"])
    base, kinds = shown.slice(0, cut), infer(shown.slice(0, cut))
    prepared = prepare(base, kinds)
    model = prepared.train(1)
    edges = prepared.edges(model)
    linked = Linked.of(prepared, model, edges, prepared.cluster(edges, model))
    return linked, kinds, shown.slice(cut), np.array(whole.column("who").to_pylist())


def test_a_pair_weighs_what_the_scorer_says_or_is_rightly_left_out(house):
    linked, *_ = house
    weights = Weights(linked.model.settings, linked.model.kin, readings(linked.model))
    filled = {name: int(counts.sum()) for name, counts in linked.counts.items()}
    rows = linkage_input(linked.cleaned).to_pylist()

    def rarity(column: str, value: str) -> float | None:
        name = column.removeprefix("x_")
        return int(linked.counts[name][linked.code(name, value)]) / filled[name]

    compared = 0
    for left in rows[:12]:
        against = Against(weights, left, rarity, 1 / max(filled.values()))
        for right in rows[::7]:
            expected = weights.weight(left, right, rarity)
            for least in (-30.0, 1.0):
                found = against.weight(right, least)
                assert found == (None if expected < least else pytest.approx(expected, abs=1e-6))
                compared += found is not None
    assert compared > 100


def test_the_first_answer_is_the_right_person_for_most_and_nobody_for_strangers(house):
    linked, kinds, more, truth = house
    first = FirstAnswers(linked)
    known = truth[: linked.rows]  # ids ascend: rows of the linked table are those of the table
    right = 0
    for row in range(more.num_rows):
        answer, who = first.ask(more.slice(row, 1), kinds), truth[linked.rows + row]
        right += (answer.group is None) == (who not in known) and (answer.group is None or known[answer.group] == who)
    assert right >= 0.8 * more.num_rows


def test_what_rows_say_is_what_the_linkage_compares(house):
    linked, *_ = house
    told = [
        {k: v for k, v in row.items() if v is not None and k != "row"}
        for row in linkage_input(linked.cleaned).to_pylist()
    ]
    assert said(linked.cleaned, range(linked.rows)) == told


def test_nothing_is_remembered_of_who_asked(house):
    linked, kinds, more, _ = house
    before = {name: len(values) for name, values in linked._place.items()}
    stranger = {
        name: pa.array([value])
        for name, value in zip(
            more.column_names, ["r9", "Zyxw", "Qwerty", "1901-02-03", "zz@zz.zz", "99999"], strict=True
        )
    }
    answer = FirstAnswers(linked).ask(pa.table(stranger), kinds)
    assert (answer.group, answer.weight, answer.refused) == (None, None, False)
    assert {name: len(values) for name, values in linked._place.items()} == before
