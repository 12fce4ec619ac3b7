"""`candor bench churn`: what it counts as a change, a redirect and a needless change; and one small file from end to end."""

from dataclasses import replace
from itertools import count

import pyarrow.parquet as pq

from kernel.ids import PersonId
from orchestration.service.bench.churn import Rerun, bars, compared, partition_hash
from orchestration.service.bench.churn_job import Job, link
from tests.identity.linkage_world import world

FIRST = {"a": "a", "b": "a", "c": "c", "d": "d"}
ID = "per_00000000000{}".format
OWNER = {"a": PersonId(ID(1)), "b": PersonId(ID(1)), "c": PersonId(ID(2)), "d": PersonId(ID(3))}


def against(again: dict[str, str], owner: dict[str, PersonId] = OWNER) -> Rerun:
    return compared("again", FIRST, owner, again, count(10), 1.0)


def test_a_merge_redirects_a_split_leads_elsewhere_and_newcomers_change_nothing() -> None:
    same = against(FIRST)
    assert (same.same_partition, same.changed, same.needless, same.kept) == (True, 0, 0, 1.0)
    merged = against({**FIRST, "c": "a"})
    assert (merged.changed, merged.merged_into_others, merged.needless) == (0, 1, 0)
    split = against({**FIRST, "b": "b"})
    assert (split.changed, split.needless) == (1, 0)
    more = against({**FIRST, "e": "c", "f": "f"})
    assert (more.records, more.changed, more.needless, more.kept) == (6, 0, 0, 1.0)


def test_an_id_that_changes_although_its_people_do_not_is_needless() -> None:
    older = {**OWNER, "e": PersonId(ID(0))}
    taken = compared("again", FIRST, older, {**FIRST, "e": "c"}, count(10), 1.0)
    assert taken.needless == 1  # the newcomer's older id took c's over
    (bar,) = bars([replace(taken, name="further records")])
    assert not bar.ok


def test_the_hash_of_a_partition_tells_two_partitions_apart() -> None:
    assert partition_hash(FIRST) == partition_hash(dict(reversed(FIRST.items())))
    assert partition_hash(FIRST) != partition_hash({**FIRST, "c": "a"})


def test_a_small_file_keeps_its_ids_in_another_order_and_with_a_saved_model(tmp_path) -> None:
    pq.write_table(world(30), tmp_path / "people.parquet")
    out, model = tmp_path / "groups.parquet", str(tmp_path / "model.json")
    files = (str(tmp_path / "people.parquet"),)
    found = []
    for more in ({"save_model": model}, {"shuffle": 1, "model": model}):
        link(Job(files=files, record="rec", ignore=("who",), out=str(out), **more))
        table = pq.read_table(out)
        found.append(dict(zip(table.column("record").to_pylist(), table.column("group").to_pylist(), strict=True)))
    assert partition_hash(found[0]) == partition_hash(found[1])
    assert 25 < len(set(found[0].values())) < len(found[0])
