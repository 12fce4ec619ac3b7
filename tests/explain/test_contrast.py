"""Contrasts: differences sum to the gap to the last bit, what both have alike explains nothing, and the weights are those of all orders."""

import math
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explain.attribution import Attribution
from explain.contrast import contrast, product_weight
from explain.errors import Unfaithful, UnknownCandidate
from explain.explanation import compose, read, write
from explain.facts import NOTHING, Candidate, Compared, FeatureValue, Stage, Term, TermKind
from kernel.log import redact
from tests.explain.conftest import facts, gated

NUMBERS = st.floats(-50, 50).map(lambda value: round(value, 3))
BOOSTS = st.floats(0.01, 20)


def candidate(name: str, value: float, score: float, boosts: dict[str, float], off: float, **more) -> Candidate:
    """An arm with terms as decision tells them."""
    running = value * score
    terms = [Term(name="score", kind=TermKind.SCORE, amount=running, value=score, weight=value)]
    for boost, factor in boosts.items():
        terms.append(Term(name=boost, kind=TermKind.BOOST, amount=running * factor - running, value=factor))
        running *= factor
    terms.append(Term(name="cost", kind=TermKind.DEDUCTION, amount=-off, value=off))
    return Candidate(
        candidate_id=name, content=name, channel="email", score=score, compared=running - off, by=Compared.UTILITY,
        terms=tuple(terms), **more,
    )  # fmt: skip


SIDES = st.tuples(
    NUMBERS, NUMBERS, st.dictionaries(st.sampled_from(["spring", "evening", "freshness"]), BOOSTS), NUMBERS
)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES)
def test_differences_sum_to_the_gap_exactly_whatever_the_signs(one, two) -> None:
    a, b = candidate("a", *one), candidate("b", *two, stage=Stage.SCORE, reason="lower_utility")
    made = facts(choice="a", candidates=(a, b))
    found = contrast(made, "a", "b", {})
    assert math.fsum(each.difference for each in found.differences) == found.gap == a.compared - b.compared
    alike = contrast(made, "a", "a", {})
    assert (alike.gap, alike.differences) == (0.0, ())
    other = contrast(made, "b", "a", {})
    assert {each.name: round(each.difference, 6) for each in other.differences} == {
        each.name: round(-each.difference, 6) for each in found.differences
    }


@pytest.mark.parametrize(
    ("worth", "reason", "key"),
    [(0.2, "lower_utility", "worth_more"), (0.5, "lower_utility", "tied"), (0.2, "not_drawn", "drawn"), (0.9, "not_drawn", "drawn")],
)  # fmt: skip
def test_chance_is_named_only_where_chance_decided(worth, reason, key) -> None:
    a, b = candidate("a", 1.0, 0.5, {}, 0.0), candidate("b", 1.0, worth, {}, 0.0, stage=Stage.SCORE, reason=reason)
    made = facts(choice="a", candidates=(a, b))
    assert [contrast(made, *two, {}).key for two in (("a", "b"), ("b", "a"), ("a", "a"), ("b", "b"))] == [
        key, key, "same", "same",
    ]  # fmt: skip


def test_worth_of_tens_of_millions_is_parted_though_two_lie_close_together() -> None:
    a = candidate("a", 3e7, 0.3100000001, {"spring": 1.1, "evening": 1.7}, 0.1)
    for step in range(20):
        score = 0.3100000001 - step * 1.1e-9
        b = candidate("b", 3e7, score, {"evening": 1.7, "spring": 1.1}, 0.1, stage=Stage.SCORE, reason="lower_utility")
        found = contrast(facts(choice="a", candidates=(a, b)), "a", "b", {})
        assert math.fsum(each.difference for each in found.differences) == found.gap


def test_a_factor_that_both_have_explains_nothing() -> None:
    a, b = candidate("a", 2.0, 0.5, {"spring": 3.0}, 0.1), candidate("b", 2.0, 0.2, {"spring": 3.0}, 0.1)
    found = contrast(facts(choice="a", candidates=(a, b)), "a", "b", {})
    assert [each.name for each in found.differences] == ["score"]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4))
@settings(deadline=None, max_examples=25)
def test_a_factor_s_weight_is_the_mean_over_all_orders_of_changing(pairs) -> None:
    for place in range(len(pairs)):
        total, orders = 0.0, list(permutations(range(len(pairs))))
        for order in orders:
            before = set(order[: order.index(place)])
            total += math.prod(a if at in before else b for at, (a, b) in enumerate(pairs) if at != place)
        mine = product_weight([a for a, _ in pairs], [b for _, b in pairs], place)
        assert mine == pytest.approx(total / len(orders), rel=1e-9, abs=1e-6)


def test_scores_are_parted_by_column_and_a_row_that_is_not_the_one_that_scored_is_refused() -> None:
    a, b = (
        candidate("a", 1.0, 0.7, {}, 0.0),
        candidate("b", 1.0, 0.4, {}, 0.0, stage=Stage.SCORE, reason="lower_utility"),
    )
    row = lambda mark: (FeatureValue(name="visits", value=3.0), FeatureValue(name="variant=a", value=mark))  # noqa: E731
    mine, theirs = (
        Attribution(base=0.1, parts=(0.4, 0.2), checked=True),
        Attribution(base=0.1, parts=(0.4, -0.1), checked=True),
    )
    made = facts(choice="a", candidates=(a, b))
    found = contrast(made, "a", "b", {"a": (row(1.0), mine), "b": (row(0.0), theirs)})
    assert [(one.name, one.a, one.b) for one in found.features] == [("variant=a", 1.0, 0.0)]
    assert math.fsum(one.difference for one in found.features) == found.score_gap == 0.7 - 0.4
    assert found.key == "worth_more"
    wrong = replace(theirs, parts=(0.4, -0.2))
    with pytest.raises(Unfaithful):
        contrast(made, "a", "b", {"a": (row(1.0), mine), "b": (row(0.0), wrong)})


def test_a_gate_is_named_with_its_number_and_nobody_else_is_found() -> None:
    made = gated(Stage.CAP, "cap:week")
    found = contrast(made, NOTHING, "offer@email", {})
    assert (found.b.stage, found.b.number, found.b.reason, found.key) == (Stage.CAP, 7, "cap:week", "cap")
    assert (found.gap, found.differences, found.score_gap) == (None, (), None)
    with pytest.raises(UnknownCandidate) as caught:
        contrast(made, NOTHING, "other@email", {})
    assert "it has: offer @ email, nothing" in redact(caught.value.message)  # offer@email would be taken for an address
    assert redact(caught.value.remedy) == caught.value.remedy


OLD = (
    b'{"content":{"base":null,"concepts":[],"contributions":[],"facts":{"advertisement":{"is_advertisement":true,"on_behalf_of":"Blue Shop","paid_by":"Blue Shop"},'
    b'"at":"2026-03-05T12:00:00Z","candidates":[{"candidate_id":"offer@email","channel":"email","content":"offer","probability":0,"reason":"cap:week","score":null,'
    b'"stage":"cap","utility":null},{"candidate_id":"nothing","channel":null,"content":"nothing","probability":1,"reason":null,"score":null,"stage":null,"utility":null}],'
    b'"channel":null,"choice":"nothing","consent_version":0,"decision_id":"dec_1","feature_set_digest":"","features":[],"graph_version":0,"identifier_id":null,"key_id":null,'
    b'"locale":"en","model_digest":null,"permission":null,"person":null,"placement":"open","policy":{"digest":"","epsilon":0,"explored":false,"fallback":null,"holdout":false,'
    b'"name":"epsilon_greedy","ranked_by":"none"},"profile_version":0,"propensity":1,"purpose":"marketing.email","score":null,"seed":"5eed","segments":[],"title":"Ten percent"},'
    b'"levers":[],"procedure":"cap"},"v":1}'
)
"""An explanation as the first version wrote it."""


def test_what_the_first_version_wrote_is_read_as_what_is_written_now() -> None:
    old = read(OLD)
    now = compose(replace(gated(Stage.CAP, "cap:week"), decision_id="dec_1"), None)
    assert old == now
    words, _ = write(now)
    assert read(words) == now
    assert words.endswith(b'"v":2}')
