"""`candor bench explain`: brute force by the definition, reasons that are said wrongly are counted, bars decide the exit code."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from explain.neutral import expected
from orchestration.learning.ranker import train
from orchestration.learning.settings import LearningSettings
from orchestration.service.bench import explain, explain_brute, explain_direction
from orchestration.service.bench.explain_brute import brute, trees_of
from orchestration.service.bench.explain_direction import Told
from orchestration.service.bench.explain_hillstrom import features_of
from orchestration.service.bench.explain_subject import Subject
from orchestration.service.bench.learning_rows import Row, Section
from orchestration.service.cli.main import build


@pytest.fixture(scope="module")
def subject() -> Subject:
    draw = np.random.default_rng(1)
    rows = np.column_stack([draw.normal(size=600).round(2), draw.integers(0, 2, 600), draw.integers(0, 4, 600)]).astype(
        float
    )
    rows[draw.random(rows.shape) < 0.05] = np.nan
    reward = np.nan_to_num(rows[:, 0] * 2 + rows[:, 1] * (rows[:, 0] > 0))
    settings = LearningSettings(trees=12, leaves=5, rate=0.3)
    model, _ = train(
        rows,
        reward,
        feature_names=("spend_180d", "orders_180d", "visits_30d"),
        feature_set="sha256:x",
        settings=settings,
        categories=(2,),
    )
    return Subject("made", model, rows[:40], rows, {"a": (0,), "b": (1,), "c": (2,)})


def test_the_definition_and_the_library_agree_on_absent_numbers_and_native_categories(subject) -> None:
    trees = trees_of(subject.model.booster)
    for row in subject.rows:
        base, parts = subject.model.contributions(row)
        again, forced = brute(trees, row)
        assert abs(base - again) <= 1e-9
        assert np.abs(parts - forced).max() <= 1e-9


def test_every_leaf_weighed_says_what_a_row_scores_without_some_columns(subject) -> None:
    trees = trees_of(subject.model.booster)
    for row in subject.rows[:10]:
        for columns in ([], [0], [1, 2], [0, 1, 2]):
            by_hand = expected(subject.model, row.tolist(), frozenset(columns))
            assert abs(explain_brute.without(trees, row, frozenset(columns)) - by_hand) <= 1e-9


def turned(one: Told) -> Told:
    """Every reason says the opposite."""
    return replace(
        one, reasons=tuple(replace(each, contribution=-each.contribution, alone=-each.alone) for each in one.reasons)
    )


def test_reasons_that_are_turned_round_or_say_no_way_are_found_out(subject) -> None:
    told = [explain_direction.told_of(subject.model, features_of(subject, row)) for row in subject.rows]
    silent = [replace(one, reasons=tuple(replace(each, alone=0.0) for each in one.reasons)) for one in told]
    good, bad, mute = (
        explain_direction.direction("made", subject.model, each, subject.others)
        for each in (told, [turned(one) for one in told], silent)
    )
    assert [one.ok for one in good] == [True, True, True, True]
    assert [one.ok for one in bad[:2]] == [False, False]
    assert [one.ok for one in mute[:3]] == [False, False, False]


def test_the_command_fails_when_a_bar_is_missed(monkeypatch) -> None:
    bad = Section(
        "bad", "one that does not hold", run=lambda full, told: [Row("explain.X0", "a", "at most 1", "2", False)]
    )
    monkeypatch.setattr(explain.run, "__kwdefaults__", {**explain.run.__kwdefaults__, "sections": (bad,)})
    got = CliRunner().invoke(build(), ["bench", "explain", "--quick", "--json"])
    assert (got.exit_code, json.loads(got.stdout)["rows"][0]["id"]) == (1, "explain.X0")
