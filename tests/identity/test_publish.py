"""A published graph: ids that hold, redirects, doubts, history, the feed, and who is told."""

from datetime import UTC, datetime

import numpy as np
import pytest

from identity import past_store
from identity.clusters import Clusters, Refusal
from identity.errors import RecordNotFound
from identity.identifiers import Identifier
from identity.linkage import Edges
from identity.past_store import Moment

pytestmark = pytest.mark.anyio


def clusters(labels, refused=()):
    return Clusters(np.array(labels, dtype=np.int64), tuple(Refusal(*r) for r in refused))


def edges(*triples):
    left, right, weight = zip(*triples, strict=True)
    return Edges(np.array(left), np.array(right), np.array(weight, dtype=float))


async def start(kernel, identity, record, count):
    async with kernel.db.transaction() as conn:
        ids = await identity.add_records(conn, [record(str(n), ("login_id", f"u{n}")) for n in range(count)])
        return ids, await identity.people(conn)


async def publish(kernel, identity, ids, labels, refused=(), links=None):
    async with kernel.db.transaction() as conn:
        return await identity.publish(conn, clusters(labels, refused), ids, links)


async def partition(kernel, identity):
    async with kernel.db.reading() as conn:
        people = await identity.people(conn)
        return {p: set(m.records) for p, m in (await identity.members(conn, people)).items()}


async def test_the_oldest_survives_a_merge_and_the_other_redirects(kernel, identity, record):
    ids, (a, b, c) = await start(kernel, identity, record, 3)
    version = await publish(kernel, identity, ids, [0, 0, 2], links=edges((0, 1, 3.0)))
    assert await partition(kernel, identity) == {a: {ids[0], ids[1]}, c: {ids[2]}}
    async with kernel.db.reading() as conn:
        assert await identity.lookup(conn, b) == a
        assert (await identity.members(conn, [a]))[a].sure == pytest.approx(8 / 9)
        assert (await identity.members(conn, [a]))[a].graph_version == version == 1
        feed = await identity.changes(conn)
    assert [(ch.kind, ch.person, ch.other, ch.records) for _, _, ch in feed] == [("merged", b, a, (ids[1],))]


async def test_redirect_chains_collapse_to_one_step(kernel, identity, record):
    ids, (a, b, c) = await start(kernel, identity, record, 3)
    await publish(kernel, identity, ids, [0, 1, 1])  # c -> b
    await publish(kernel, identity, ids, [0, 0, 0])  # b -> a, so c -> a
    async with kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT person_id, redirect_to FROM identity.people")).fetchall()
        assert {r["person_id"]: r["redirect_to"] for r in rows} == {a: None, b: a, c: a}
        assert await identity.current(conn, [a, b, c]) == {a: a, b: a, c: a}


async def past(conn, people, version):
    return await past_store.records(conn, people, Moment(datetime.max.replace(tzinfo=UTC), version))


async def test_on_a_split_most_records_keep_the_id_and_history_is_exact(kernel, identity, record):
    ids, (a, _b, _c, d) = await start(kernel, identity, record, 4)
    await publish(kernel, identity, ids, [0, 0, 0, 3])
    await publish(kernel, identity, ids, [0, 1, 1, 3])
    now = await partition(kernel, identity)
    (new,) = set(now) - {a, d}
    assert now == {a: {ids[1], ids[2]}, new: {ids[0]}, d: {ids[3]}}
    async with kernel.db.reading() as conn:
        assert await past(conn, [a], 0) == {a: [ids[0]]}
        assert await past(conn, [a], 1) == {a: ids[:3]}
        assert await past(conn, [a, new], 2) == {a: ids[1:3], new: ids[:1]}


async def test_publishing_the_same_again_changes_nothing_but_the_version(kernel, identity, record):
    ids, _ = await start(kernel, identity, record, 4)
    await publish(kernel, identity, ids, [0, 0, 2, 3])
    before = await partition(kernel, identity)
    heard = []

    async def listen(_conn, people):
        heard.extend(people)

    identity.on_people_changed.append(listen)
    assert await publish(kernel, identity, list(reversed(ids)), [0, 1, 2, 2]) == 2
    assert await partition(kernel, identity) == before
    assert heard == []
    async with kernel.db.reading() as conn:
        assert len(await identity.changes(conn)) == 1


async def test_a_refused_pair_makes_people_loose_and_both_are_told(kernel, identity, record):
    ids, (a, b) = await start(kernel, identity, record, 2)
    heard = []

    async def listen(_conn, people):
        heard.append(people)

    identity.on_people_changed.append(listen)
    await publish(kernel, identity, ids, [0, 1], refused=[(0, 1, 4.0, "first_name")], links=edges((0, 1, 4.0)))
    assert heard == [[a, b]]
    async with kernel.db.reading() as conn:
        held = await identity.members(conn, [a, b])
        view = await identity.show(conn, a)
        why = await identity.why(conn, *ids)
    assert (held[a].loose, held[b].loose) == ((b,), (a,))
    assert view.as_json()["ambiguous"] == [{"a": ids[0], "b": ids[1], "weight": 4.0, "cause": "first_name"}]
    assert not why.same
    assert why.refused.cause == "first_name"
    await publish(kernel, identity, ids, [0, 0])  # the doubt is resolved
    async with kernel.db.reading() as conn:
        assert (await identity.members(conn, [a]))[a].loose == ()


async def test_records_that_came_after_the_table_stay_with_their_person(kernel, identity, record):
    ids, (a, _b) = await start(kernel, identity, record, 2)
    async with kernel.db.transaction() as conn:
        (late,) = await identity.add_records(conn, [record("late", ("login_id", "u1"), source="crm")])
    await publish(kernel, identity, ids, [0, 0])
    assert await partition(kernel, identity) == {a: {*ids, late}}


async def test_an_earlier_version_of_a_row_follows_the_current_one(kernel, identity, record):
    ids, (a, _b) = await start(kernel, identity, record, 2)
    async with kernel.db.transaction() as conn:
        (newer,) = await identity.add_records(conn, [record("1", ("login_id", "u1"), city="Paris")])
    await publish(kernel, identity, [ids[0], newer], [0, 0])
    assert await partition(kernel, identity) == {a: {ids[0], ids[1], newer}}


async def test_why_shows_the_strongest_path_and_its_weakest_link(kernel, identity, record):
    ids, _ = await start(kernel, identity, record, 3)
    await publish(kernel, identity, ids, [0, 0, 0], links=edges((0, 1, 5.0), (1, 2, 2.0)))
    async with kernel.db.reading() as conn:
        shown = (await identity.why(conn, ids[0], ids[2])).as_json()
    assert shown["same"]
    assert shown["edge"] is None
    assert [e["weight"] for e in shown["path"]] == [5.0, 2.0]
    assert shown["weakest"]["weight"] == 2.0


async def test_the_log_holds_one_entry_for_the_graph_and_one_for_each_merge_and_split(kernel, identity, record):
    ids, _ = await start(kernel, identity, record, 4)
    await publish(kernel, identity, ids, [0, 0, 0, 3])
    await publish(kernel, identity, ids, [0, 1, 1, 3])
    async with kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT tag FROM audit.entries ORDER BY entry_id")).fetchall()
    assert [r["tag"] for r in rows if r["tag"] != "graph.changed"] == [
        "graph.published", "person.merged", "graph.published", "person.split",
    ]  # fmt: skip
    assert sum(r["tag"] == "graph.changed" for r in rows) == 2


async def test_the_hot_index_follows_a_published_graph(kernel, identity, record):
    ids, (a, _b) = await start(kernel, identity, record, 2)
    asked = [[Identifier("login_id", "u1")]]
    await identity.resolve_hot(asked)
    await publish(kernel, identity, ids, [0, 0])
    assert (await identity.resolve_hot(asked))[0].person == a


async def test_clusters_of_another_table_are_refused_and_nothing_is_written(kernel, identity, record):
    ids, _ = await start(kernel, identity, record, 2)
    with pytest.raises(RecordNotFound):
        await publish(kernel, identity, ids[:1], [0, 0])
    async with kernel.db.reading() as conn:
        assert await identity.graph_version(conn) == 0
