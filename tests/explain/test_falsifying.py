"""Reasons that were shown are tried to be proven wrong: what is true holds, what is planted turns a trial red, and nobody is named by it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.tags import Tag
from explain.attribution import attribute
from explain.concepts import told
from explain.explanation import Content, compose, read, write
from explain.facts import Verdict
from explain.falsifying import Found, tried
from explain.forest import without
from explain.levers import Lever
from explain.neutral import expected
from explain.reasons import Controls, Procedure, person_view
from explain.service import _TABLE
from kernel.errors import NotFound
from tests.explain.conftest import NAMES, NOW, ROW, Gbm, facts, model, train
from tests.explain.test_attribution import VALUES


def explained(made=None) -> Content:
    made = made or facts()
    row = np.array([one.value for one in made.features])
    return compose(made, attribute(model(), row, made.score, check=False))


@settings(deadline=None, max_examples=40)
@given(st.lists(VALUES, min_size=len(NAMES), max_size=len(NAMES)))
def test_trees_walked_by_hand_say_what_the_model_says_and_nothing_known_is_the_base(values) -> None:
    gbm, row = model(), np.array(values)
    assert abs(expected(gbm, values, frozenset()) - float(gbm.score(row.reshape(1, -1))[0])) <= 1e-9
    assert abs(expected(gbm, values, frozenset(range(len(values)))) - gbm.contributions(row)[0]) <= 1e-9


def test_categories_are_walked_too() -> None:
    rng = np.random.default_rng(5)
    rows = np.column_stack([rng.integers(0, 8, 800), rng.normal(size=800)]).astype(float)
    import lightgbm as lgb

    options = {"objective": "regression", "num_leaves": 8, "verbose": -1, "num_threads": 1, "min_data_per_group": 5}
    data = lgb.Dataset(rows, rows[:, 0] % 3 + rows[:, 1], categorical_feature=[0])
    gbm = Gbm(lgb.train(options, data, 10), ("kind", "x"), "sha256:kinds")
    for row in [*rows[:20], np.array([np.nan, 0.3]), np.array([99.0, 0.3])]:
        assert abs(expected(gbm, row.tolist(), frozenset()) - float(gbm.score(row.reshape(1, -1))[0])) <= 1e-9
        for columns, said in zip([[0], [1], [0, 1]], without(gbm, row, [[0], [1], [0, 1]]), strict=True):
            assert abs(said - expected(gbm, row.tolist(), frozenset(columns))) <= 1e-12


@settings(deadline=None, max_examples=40)
@given(
    st.lists(VALUES, min_size=len(NAMES), max_size=len(NAMES)),
    st.lists(st.sets(st.integers(0, len(NAMES) - 1)), max_size=6),
)
def test_all_reasons_left_out_at_once_is_each_left_out_by_hand(values, groups) -> None:
    found = without(model(), np.array(values), [sorted(one) for one in groups])
    by_hand = [expected(model(), values, frozenset(one)) for one in groups]
    assert all(abs(a - b) <= 1e-12 for a, b in zip(found, by_hand, strict=True))


def test_a_true_reason_holds_and_a_lie_about_its_direction_is_found() -> None:
    content = explained()
    assert content.procedure is Procedure.MODEL
    assert tried(content, content.facts, model()) is Found.HOLDS
    for place, one in enumerate(told(content.concepts)):
        turned = replace(one, contribution=-one.contribution)
        silent = replace(one, alone=-one.contribution)
        as_before = replace(turned, alone=None)  # kept before it was known what a reason does alone
        for lie in (turned, silent, as_before, replace(turned, alone=-one.alone)):
            concepts = (*content.concepts[:place], lie, *content.concepts[place + 1 :])
            assert tried(replace(content, concepts=concepts), content.facts, model()) is Found.FALSE


def pull(**values: float) -> Content:
    """A choice of a row for which reasons work together."""
    return explained(facts(ROW | values))


def test_where_the_parts_of_a_reason_work_together_no_direction_is_said_and_that_holds() -> None:
    rng = np.random.default_rng(8)
    names = [name for name in ROW if "=" not in name]
    made = [pull(**dict(zip(names, rng.normal(size=len(names)).round(2), strict=True))) for _ in range(40)]
    all_told = [(one, content) for content in made for one in told(content.concepts)]
    together = [(one, content) for one, content in all_told if one.direction == "together"]
    assert 0 < len(together) < len(all_told) / 2
    apart: list[tuple[bool, bool]] = []
    for one, content in together:
        assert one.alone / one.contribution <= 0.5
        assert tried(content, content.facts, model()) is Found.HOLDS
        said = {
            each.key: each.contribution
            for each in person_view(content.facts, content.concepts, (), "en", Controls()).main_parameters
        }
        assert said[one.key] == "This counted together with other things."
        as_before = replace(content, concepts=tuple(replace(each, alone=None) for each in content.concepts))
        apart.append((one.alone * one.contribution <= 0, tried(as_before, content.facts, model()) is Found.HOLDS))
    assert any(turned for turned, _ in apart)
    assert not any(turned and held for turned, held in apart)  # it said a way, and that was not so


def test_what_a_reason_does_alone_is_kept_and_what_was_kept_without_it_keeps_its_bytes() -> None:
    content = explained()
    words, named = write(content)
    assert words.endswith(b'"v":3}')
    assert write(read(words)) == (words, named)
    before = replace(content, concepts=tuple(replace(one, alone=None) for one in content.concepts))
    words, named = write(before)
    assert b'"alone"' not in words
    assert words.endswith(b'"v":2}')
    assert write(read(words)) == (words, named)


def test_what_the_decision_never_looked_at_and_another_score_are_found() -> None:
    content = explained()
    first, *others = content.concepts
    made_up = replace(content, concepts=(replace(first, features=("religion",)), *others))
    assert tried(made_up, content.facts, model()) is Found.FALSE
    assert tried(content, replace(content.facts, score=content.facts.score + 0.01), model()) is Found.SCORE


def test_where_no_model_ruled_there_is_no_reason_to_try() -> None:
    content = replace(explained(), procedure=Procedure.EXPLORATION)
    assert tried(content, content.facts, model()) is None


class Other(Gbm):
    """A model whose trees nobody can read."""

    def __init__(self) -> None:
        super().__init__(train(), digest="sha256:closed")
        self.booster = None
        self._held = train()

    def score(self, rows):
        return np.asarray(self._held.predict(rows, num_threads=1))

    def contributions(self, row):
        parts = self._held.predict(row.reshape(1, -1), num_threads=1, pred_contrib=True)[0]
        return float(parts[-1]), parts[:-1]


def test_a_model_that_tells_no_trees_is_asked_with_nothing_there() -> None:
    assert expected(Other(), [0.0] * len(NAMES), frozenset()) is None
    content = compose(made := facts(), attribute(Other(), np.array(list(ROW.values())), made.score, check=False))
    empty = np.array([[np.nan if name == "spend_180d" else value for name, value in ROW.items()]])
    (spending,) = [one for one in content.concepts if one.key == "spending"]
    assert spending.alone == pytest.approx(made.score - float(model().score(empty)[0]), abs=1e-12)
    assert tried(content, made, Other()) is Found.HOLDS


async def plant(room, decision_id: str, lie: Content) -> None:
    """A lie as if explain had made it: kept, sealed, named by its digest."""
    words, named = write(lie)
    key = (await room.kernel.vault.unwrap([lie.facts.key_id]))[lie.facts.key_id]
    body = key.seal(_TABLE, "body", decision_id, words)
    async with room.kernel.db.transaction() as conn:
        await conn.execute("UPDATE explain.explanations SET body = %s WHERE decision_id = %s", (body, decision_id))
    await as_owner(room, decision_id, named)


async def as_owner(room, decision_id: str, named: str) -> None:
    """The application may not change a digest; whoever plants a lie would have to be the owner."""
    import psycopg

    url = room.owner
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE explain.explanations SET digest = %s WHERE decision_id = %s", (named, decision_id))


@pytest.mark.anyio
async def test_a_planted_lie_turns_the_trial_red_and_a_flat_lever_too(room, addresses) -> None:
    room.owner = addresses.owner
    honest, lying = await room.about("ada@example.org"), await room.about("bob@example.org")
    for one in (honest, lying):
        await room.explain.explain(one.decision_id)
    falsifier = room.explain.falsifier
    first = await falsifier.run()
    assert (first.looked, first.reasons, first.bad, first.holds) == (2, 2, 0, True)
    assert await falsifier.faults() == []

    content = read(write((await room.explain.explain(lying.decision_id)).content)[0])
    top, *others = content.concepts
    lie = replace(
        content,
        concepts=(replace(top, contribution=-top.contribution), *others),
        levers=(Lever(kind="withdraw", subject="marketing.email", choice="nothing", channel=None),),
    )
    await plant(room, lying.decision_id, lie)
    second = await falsifier.run()
    assert (second.reasons, second.falsified, second.levers, second.flat, second.holds) == (2, 1, 1, 1, False)
    (fault,) = await falsifier.faults()
    assert "of 2 explanations 1 told a false reason" in fault
    assert "1 flip nothing" in fault
    entry = (await room.audit.entries(tag=Tag.EXPLANATIONS_TRIED, before=None, limit=1))[0]
    opened = await room.audit.open_entry(entry.entry_id)
    assert opened["falsified"] == 1
    assert opened["ref.decision"] == [lying.decision_id]

    room.decisions.flips["marketing.email"] = Verdict(choice="nothing", channel=None, probability=1.0)
    third = await falsifier.run()
    assert (third.falsified, third.flat) == (1, 0)
    assert await room.rows("SELECT count(*) AS n FROM explain.trials") == [{"n": 3}]
    room.kernel.clock.advance((NOW - NOW).__class__(days=3))
    await room.explain.explain((await room.about("cy@example.org")).decision_id)
    assert await falsifier.faults() == ["reasons that were shown have not been tried for two days"]


@pytest.mark.anyio
async def test_what_a_trial_pulls_counts_for_the_levers_and_one_that_is_gone_stops_none(room, monkeypatch) -> None:
    room.decisions.flips["marketing.email"] = Verdict(choice="nothing", channel=None, probability=1.0)
    kept, gone = await room.about("ada@example.org"), await room.about("bob@example.org")
    for one in (kept, gone):
        assert len((await room.explain.explain(one.decision_id)).content.levers) == 1
    pull, doubtful = room.decisions.again, set()

    async def again(decision_id, change):
        if decision_id == gone.decision_id:
            raise NotFound("expected a model, got none", code="model_unknown")
        verdict = await pull(decision_id, change)
        return replace(verdict, choice="plain@email", told=False) if decision_id in doubtful else verdict

    monkeypatch.setattr(room.decisions, "again", again)
    made = await room.explain.falsifier.run()
    assert (made.looked, made.levers, made.flat) == (2, 1, 0)
    told = await room.explain.honesty()
    assert (told.shown, told.replayed, told.flipped) == (2, 1, 1)
    doubtful.add(kept.decision_id)  # the record cannot tell any more: that is no broken promise
    made = await room.explain.falsifier.run()
    assert (made.levers, made.flat) == (0, 0)
    assert (await room.explain.honesty()).flipped == 1
