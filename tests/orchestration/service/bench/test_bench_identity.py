"""`candor bench identity`: what it judges by, and one small set from a file to a row."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from identity.linkage import Edges
from orchestration.service.bench import identity_sets as sets
from orchestration.service.bench.identity import Plan, run
from orchestration.service.bench.identity_job import pair_figures, pairs_apart, true_labels
from tests.identity.linkage_world import world


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_people_of_one_household_are_counted_by_what_makes_them_hard():
    table = pa.table(
        {
            "household": [1, 1, 1, 1, 2, 2],
            "tag": ["twin", "twin", "twin", "plain", "namesake", "namesake"],
        }
    )
    truth, found = numbers(0, 0, 1, 2, 3, 4), numbers(0, 5, 5, 6, 7, 8)
    got = pairs_apart(table, found, truth)
    assert (got["twins"], got["twins_pairs"]) == (1.0, 1)  # one record of hers is among his
    assert (got["namesakes"], got["namesakes_pairs"]) == (0.0, 1)
    assert (got["households"], got["households_pairs"]) == (0.25, 4)
    assert pairs_apart(table.drop_columns(["tag"]), found, truth) == {}


def test_edges_are_judged_at_our_threshold_and_at_the_best():
    edges = Edges(numbers(0, 1, 0), numbers(1, 2, 3), np.array([9.0, 0.5, -2.0]))
    got = pair_figures(edges, numbers(0, 0, 0, 1), None)
    assert got["pair_f1"] == pytest.approx(0.5)  # one of three
    assert got["pair_best_f1"] == pytest.approx(0.8)
    assert got["pair_best_threshold"] == 0.5
    assert sum(tenth["pairs"] for tenth in got["deciles"]) == 3
    sided = pair_figures(edges, numbers(0, 0, 0, 1), numbers(0, 1, 0, 1))
    assert sided["pair_f1"] == pytest.approx(2 / 3)  # pairs within a source do not count


def test_truth_is_read_out_of_an_id_by_its_pattern():
    table = pa.table({"rec_id": ["rec-1-org", "rec-2-org", "rec-1-dup-0"]})
    assert true_labels(table, "rec_id", r"rec-(\d+)").tolist() == [0, 1, 0]


def test_a_missed_bar_is_missed_and_an_absent_set_is_said(tmp_path):
    bars = sets.bars(sets.SETS[0], {"records": 1000, "f1": 0.5, "threshold_gap": 0.02})
    assert [(bar.what, bar.ok) for bar in bars] == [("fake_1000: f1", False), ("fake_1000: threshold_gap", False)]
    lost = sets.drops([(10, 7, {"f1": 0.98}), (10, 9, {"f1": 0.5}), (100, 7, {"f1": 0.96})])
    assert [(bar.got, bar.ok) for bar in lost] == [(0.02, False)]
    report = run(Plan(shared=tmp_path, sizes=(100,), seeds=(7,)))
    assert report.rows == ()
    assert [one.split(":")[0] for one in report.absent] == [
        "fake_1000", "febrl3", "febrl4", "historical_50k", "people 100 seed 7",
    ]  # fmt: skip


def test_a_file_of_made_people_becomes_a_row(tmp_path):
    made = world(60)
    who = made.column("who")
    hidden = {"cluster": who, "household": who, "tag": pa.array(["plain"] * made.num_rows)}
    table = made.drop_columns(["who"])
    for name, column in hidden.items():
        table = table.append_column(name, column)
    pq.write_table(table, tmp_path / "made.parquet")
    plan = Plan(shared=None, sizes=(1,), seeds=(7,), only=("people",), made=[tmp_path / "made.parquet"], splink=False)
    row = run(plan).rows[0]
    assert row.ours["f1"] > 0.9
    assert row.ours["records"] == made.num_rows
    assert row.ours["peak_mib"] > 50
    assert row.ours["oracle_f1"] >= row.ours["f1"]
    assert row.splink == {}
