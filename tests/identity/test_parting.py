"""Records that go take only what they held together apart; the files of the last run forget them at once, whatever happens next."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.errors import LinkageNotReady
from identity.linkage import Edges
from identity.linkage_files import LinkageFiles
from identity.parting import parts
from identity.people import Edge
from kernel.ids import PersonId, RecordId
from tests.identity.running import run, shop, take

ALL = [RecordId(f"rec_{n}") for n in range(8)]
HERS = dict.fromkeys(ALL, PersonId("per_1"))
TIES = st.lists(st.tuples(st.sampled_from(ALL), st.sampled_from(ALL)), max_size=12)


def reached(start: RecordId, ties: list[tuple[RecordId, RecordId]], out: set[RecordId]) -> set[RecordId]:
    """By walking: the slow way to say the same."""
    seen, ends = {start}, [start]
    while ends:
        here = ends.pop()
        for a, b in ties:
            for one, other in ((a, b), (b, a)):
                if one == here and other not in seen and other not in out:
                    seen.add(other)
                    ends.append(other)
    return seen


@settings(max_examples=60)
@given(TIES, st.sets(st.sampled_from(ALL), max_size=3))
def test_only_what_hung_on_the_records_that_go_is_parted(drawn, gone) -> None:
    labels = parts(HERS, [Edge(a, b, 5.0) for a, b in drawn], gone)
    left = [r for r in ALL if r not in gone]
    assert set(labels) in (set(), set(left))
    tied = {r: (reached(r, drawn, set()), reached(r, drawn, gone)) for r in left}
    torn = any(b in before and b not in after for before, after in tied.values() for b in left)
    assert bool(labels) == torn
    for a in left if labels else []:
        for b in left:
            before, after = tied[a]
            if b in after:
                assert labels[a] == labels[b]
            elif b in before:
                assert labels[a] != labels[b]


def test_who_left_is_met_by_no_reader_and_goes_with_the_next_writing(tmp_path) -> None:
    files, ids = LinkageFiles(tmp_path), [RecordId(f"rec_{n}") for n in range(5)]
    files.without(ids[:1])
    assert not (tmp_path / "linkage").exists()
    weights = np.array([1.0, 2.0, 3.0])
    files.write_edges(Edges(np.array([0, 1, 3]), np.array([1, 2, 4]), weights), ids)
    files.write_rows(ids, np.ones(5, bool))
    held = (tmp_path / "linkage" / "edges.parquet").read_bytes()
    files.without(ids[1:2])
    assert (tmp_path / "linkage" / "edges.parquet").read_bytes() == held
    for step in ("noted", "written"):
        assert files.read_edges(ids).weight.tolist() == [3.0], step
        assert files.read_weights().tolist() == [3.0], step
        assert sorted(files.ends()) == [ids[3], ids[4]], step
        assert sorted(files.read_rows()) == [ids[n] for n in (0, 2, 3, 4)], step
        assert files.compact() == (1 if step == "noted" else 0)
    assert ids[1].encode() not in (tmp_path / "linkage" / "edges.parquet").read_bytes()
    assert files.gone() == frozenset()
    with pytest.raises(LinkageNotReady):
        LinkageFiles(tmp_path / "none").read_weights()


async def test_a_bridge_that_goes_parts_whom_it_held_and_its_values_hashes_go_with_it(kernel, identity) -> None:
    await take(kernel, identity, shop(25))
    await run(kernel, identity)
    async with kernel.db.transaction() as conn:
        cursor = await conn.execute(
            "SELECT person_id, array_agg(record_id ORDER BY record_id) AS held FROM identity.members"
            " GROUP BY person_id HAVING count(*) = 3 ORDER BY 1 LIMIT 1"
        )
        row = await cursor.fetchone()
        person, (left, bridge, right) = row["person_id"], row["held"]
        # What holds the outer two goes; every record of the shop stands alone but for its edges.
        await conn.execute(
            "DELETE FROM identity.record_identifiers WHERE record_id = ANY(%s)", ([left, bridge, right],)
        )
        await conn.execute("DELETE FROM identity.edges WHERE record_a = %s AND record_b = %s", (left, right))
        for a, b in ((left, bridge), (bridge, right)):
            await conn.execute(
                "INSERT INTO identity.edges VALUES (%s, %s, 20, 1) ON CONFLICT (record_a, record_b) DO UPDATE SET weight = 20",
                (a, b),
            )
        hashes = await (
            await conn.execute("SELECT sum(rows - gone) AS n FROM identity.bearers WHERE rows > 0")
        ).fetchone()
        keys = await identity.aging.drop(conn, [bridge])
        assert keys
    async with kernel.db.reading() as conn:
        owners = await identity.subjects(conn, [left, right])
        feed = [change for _, _, change in await identity.changes(conn, 0, 1000)][-2:]
        less = await (
            await conn.execute("SELECT sum(rows - gone) AS n FROM identity.bearers WHERE rows > 0")
        ).fetchone()
    assert owners[left].people != owners[right].people
    assert person in (owners[left].people[0], owners[right].people[0])
    assert [change.kind for change in feed] == ["expired", "split"]
    assert less["n"] < hashes["n"]
    assert (await identity.ledger.verify()).ok
