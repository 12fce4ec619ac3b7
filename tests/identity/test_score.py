"""Scores agree with counting every pair and every record by hand."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.score import score, score_file
from kernel.errors import InvalidInput

labels = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30)


@given(labels)
def test_equal_to_counting_by_hand(rows):
    found, truth = zip(*rows, strict=True)
    n = range(len(rows))
    pairs = [(i, j) for i in n for j in n if i < j]
    said = [p for p in pairs if found[p[0]] == found[p[1]]]
    real = [p for p in pairs if truth[p[0]] == truth[p[1]]]
    right = len(set(said) & set(real))
    cell = [sum(found[i] == found[j] and truth[i] == truth[j] for j in n) for i in n]
    result = score(np.array(found), np.array(truth))
    assert result["pairwise"]["precision"] == pytest.approx(right / len(said) if said else 1, abs=1e-6)
    assert result["pairwise"]["recall"] == pytest.approx(right / len(real) if real else 1, abs=1e-6)
    assert result["bcubed"]["precision"] == pytest.approx(
        np.mean([cell[i] / found.count(found[i]) for i in n]), abs=1e-6
    )
    assert result["bcubed"]["recall"] == pytest.approx(np.mean([cell[i] / truth.count(truth[i]) for i in n]), abs=1e-6)
    assert result["max_cluster"] == max(found.count(f) for f in found)
    assert result["clusters"] == len(set(found))
    assert result["impure_clusters"] == sum(len({t for f, t in rows if f == c}) > 1 for c in set(found))
    assert result["records"] == len(rows)


def test_file_and_shape(tmp_path):
    path = tmp_path / "out.parquet"
    pq.write_table(pa.table({"person_id": ["p1", "p1", "p2", "p3"], "who": ["a", "a", "a", None]}), path)
    result = score_file(path, truth="who")
    assert json.loads(json.dumps(result)) == {
        "pairwise": {"precision": 1.0, "recall": pytest.approx(1 / 3, abs=1e-6), "f1": 0.5},
        "bcubed": {"precision": 1.0, "recall": pytest.approx(5 / 9, abs=1e-6), "f1": pytest.approx(0.714286)},
        "clusters": 2, "max_cluster": 2, "impure_clusters": 0, "records": 3,
    }  # fmt: skip


def test_unknown_columns_and_missing_people_are_refused(tmp_path):
    path = tmp_path / "out.parquet"
    pq.write_table(pa.table({"person_id": ["p1", None], "who": ["a", "a"]}), path)
    with pytest.raises(InvalidInput, match="nobody"):
        score_file(path, truth="nobody")
    with pytest.raises(InvalidInput, match="without"):
        score_file(path, truth="who")
