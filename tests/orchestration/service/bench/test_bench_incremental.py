"""`candor bench identity --incremental` on a small world, in this process."""

import numpy as np
import pyarrow.parquet as pq

from orchestration.service.bench import incremental
from tests.identity.linkage_world import world


def test_adding_is_measured_beside_a_full_run(tmp_path):
    whole = world(people=150, seed=5).rename_columns(
        ["rec", "first_name", "surname", "dob", "email", "postcode", "cluster"]
    )
    cut = whole.num_rows - 20
    base, more = tmp_path / "base.parquet", tmp_path / "more.parquet"
    pq.write_table(whole.slice(0, cut), base)
    pq.write_table(whole.slice(cut), more)
    report = incremental.run(base, more)
    assert (report.rows, report.added, report.needless) == (cut, 20, 0)
    assert report.f1 is not None
    assert report.f1 > 0.8
    assert 0.9 < report.equal <= 1
    assert report.asked.n == 20
    assert report.asked_right is not None
    assert report.asked_right >= 0.8
    assert len(report.bars) == 4


def test_rows_that_are_with_others_are_counted():
    one, other = np.array([0, 0, 2, 3, 3]), np.array([7, 7, 7, 9, 9])
    assert incremental._differs(one, other).tolist() == [True, True, True, False, False]
