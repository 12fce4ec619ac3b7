"""What staff decide: it happens at once, outlives every run, and can be taken back to exactly what was."""

import numpy as np
import psycopg
import pytest

from identity.clusters import Clusters
from identity.errors import RecordNotFound, UnknownJudgement
from identity.judgements import Reason, Verdict
from identity.linkage import Edges
from identity.regrouping import By

pytestmark = pytest.mark.anyio
ANN, BEN = By("staff:ann"), By("staff:ben")


@pytest.fixture
def graph(kernel, identity, record):
    return Graph(kernel, identity, record)


class Graph:
    """A room with short words for what the tests do with it."""

    def __init__(self, kernel, identity, record):
        self.kernel, self.identity, self.record = kernel, identity, record
        self.ids = {}

    async def add(self, *keys, **shared):
        """A record for each key, with a login of its own, or with the identifiers given."""
        async with self.kernel.db.transaction() as conn:
            new = [self.record(key, *shared.get(key, [("login_id", key)])) for key in keys]
            self.ids |= dict(zip(keys, await self.identity.add_records(conn, new), strict=True))

    async def person(self, key):
        async with self.kernel.db.reading() as conn:
            return (await self.identity.subjects(conn, [self.ids[key]]))[self.ids[key]].people[0]

    async def do(self, act, *args, by=ANN):
        async with self.kernel.db.transaction() as conn:
            return await getattr(self.identity.judging, act)(conn, *args, by)

    async def merge(self, a, b, by=ANN):
        return await self.do("merge", await self.person(a), await self.person(b), by=by)

    async def publish(self, groups, links=()):
        """Clusters as texts, ``"ab c"``; links as ``("ab", 4.0)``."""
        keys = sorted("".join(groups.split()))
        label = {key: keys.index(min(part)) for part in groups.split() for key in part}
        place = {key: n for n, key in enumerate(keys)}
        pairs = [(place[pair[0]], place[pair[1]], weight) for pair, weight in links]
        left, right, weight = zip(*pairs, strict=True) if pairs else ((), (), ())
        found = Edges(np.array(left, np.int64), np.array(right, np.int64), np.array(weight, float))
        clusters = Clusters(np.array([label[key] for key in keys], np.int64), ())
        async with self.kernel.db.transaction() as conn:
            return await self.identity.publish(conn, clusters, [self.ids[key] for key in keys], found)

    async def groups(self):
        """The partition as texts."""
        name = {record: key for key, record in self.ids.items()}
        async with self.kernel.db.reading() as conn:
            people = await self.identity.people(conn)
            held = await self.identity.members(conn, people)
        return " ".join(sorted("".join(sorted(name[r] for r in m.records)) for m in held.values()))

    async def snapshot(self):
        """Everything that an unmerge must bring back, byte for byte; versions count on."""
        async with self.kernel.db.reading() as conn:
            people = await self.identity.people(conn)
            held = await self.identity.members(conn, people)
            rows = await conn.execute(
                "SELECT person_id, redirect_to, retired_at, erased_at, created_at, sure FROM identity.people ORDER BY 1"
            )
            records = await self.identity.records(conn, people)
            return repr((
                [(p, m.records, m.identifiers, m.key_ids, m.loose, m.sure) for p, m in sorted(held.items())],
                [tuple(r.values()) for r in await rows.fetchall()],
                sorted((p, [(r.id, r.traits) for r in rs]) for p, rs in records.items()),
            ))  # fmt: skip


async def test_a_merge_holds_at_once_and_in_every_later_graph(graph):
    await graph.add("a", "b", "c")
    oldest = await graph.person("a")
    refused = await graph.merge("a", "b")
    assert refused.refused == "unique_identifier"  # two logins
    await graph.add("d", "e", d=[("device_id", "1")], e=[("device_id", "2")])
    done = await graph.merge("a", "d")
    assert (done.people, [c.kind for c in done.changes]) == ((oldest,), ["merged"])
    assert await graph.groups() == "ad b c e"
    for groups in ("a b c d e", "a b cd e", "a b c de"):
        await graph.publish(groups)
        assert await graph.person("a") == await graph.person("d") == oldest
    assert (await graph.merge("a", "d")).refused == "same_person"


async def test_unmerge_gives_back_what_was_byte_for_byte_and_arrivals_go_where_they_belong(graph):
    await graph.add("a", "b", a=[("email", "a@example.org")], b=[("email", "b@example.org")])
    founder, other = await graph.person("a"), await graph.person("b")
    before = await graph.snapshot()
    await graph.merge("a", "b")
    await graph.do("unmerge", founder)
    assert await graph.snapshot() == before
    await graph.merge("a", "b")
    await graph.do("unmerge", other)  # by the id that was retired, too
    assert await graph.snapshot() == before

    await graph.merge("a", "b")
    await graph.add("x", "y", x=[("email", "b@example.org")], y=[("email", "a@example.org")])
    done = await graph.do("unmerge", founder)
    assert await graph.groups() == "ay bx"
    assert (await graph.person("a"), await graph.person("b")) == (founder, other)
    assert {(c.kind, c.person, c.other) for c in done.changes} == {("restored", founder, other)}
    assert (await graph.do("unmerge", founder)).refused == "nothing_to_unmerge"


async def test_an_unmerged_pair_is_never_joined_again_by_runs_or_bridges(graph):
    await graph.add("a", "b", a=[("phone", "+49301")], b=[("phone", "+49302")])
    await graph.publish("ab", [("ab", 9.0)])
    assert await graph.groups() == "ab"
    await graph.do("unmerge", await graph.person("a"))
    names = await graph.person("a"), await graph.person("b")
    for again in range(10):
        key = chr(ord("c") + again)
        await graph.add(key, **{key: [("phone", "+49301"), ("phone", "+49302")]})  # a bridging record each time
        keys = "".join(sorted(graph.ids))
        await graph.publish(keys, [("ab", 9.0), *((pair, 20.0) for one in keys[2:] for pair in ("a" + one, "b" + one))])
        assert (await graph.person("a"), await graph.person("b")) == names
    done = await graph.merge("a", "b")  # staff may change their mind
    assert done.refused is None
    await graph.publish("".join(sorted(graph.ids)))
    assert await graph.person("a") == await graph.person("b") == names[0]


@pytest.mark.parametrize("evidence", ["a", "b"])
async def test_nested_the_third_goes_where_the_evidence_says_not_where_the_order_does(graph, evidence):
    mail = {"a": [("email", "a@example.org")], "b": [("email", "b@example.org")]}
    await graph.add("a", "b", "c", **mail, c=[("phone", "+49303")])
    ids = {key: await graph.person(key) for key in "abc"}
    await graph.publish("a b c", [(evidence + "c", 0.5)])
    await graph.merge("a", "b")
    await graph.merge("a", "c")
    await graph.do("unmerge", ids["b"])
    assert await graph.groups() == {"a": "ac b", "b": "a bc"}[evidence]
    assert (await graph.person("a"), await graph.person("b")) == (ids["a"], ids["b"])
    await graph.publish("a b c", [(evidence + "c", 0.5)])
    assert await graph.groups() == {"a": "ac b", "b": "a bc"}[evidence]


async def test_some_records_are_split_off_and_stay_off_with_their_versions(graph):
    await graph.add(*"abcd", **{key: [("device_id", key)] for key in "abcd"})
    await graph.publish("abcd", [("ab", 5.0), ("bc", 5.0), ("cd", 5.0)])
    person = await graph.person("a")
    async with graph.kernel.db.transaction() as conn:
        newer = graph.record("d", ("device_id", "d"), city="Paris")
        graph.ids["e"] = (await graph.identity.add_records(conn, [newer]))[0]
    await graph.do("split", person, [graph.ids["e"], graph.ids["c"]])
    assert await graph.groups() == "ab cde"
    assert await graph.person("c") == person  # most records keep the id
    del graph.ids["d"]
    await graph.publish("abce", [("ab", 5.0), ("bc", 5.0), ("ce", 5.0)])
    assert await graph.person("c") == await graph.person("e") == person != await graph.person("a")
    assert (await graph.do("split", person, [graph.ids["c"], graph.ids["e"]])).refused == "whole_person"
    with pytest.raises(RecordNotFound):
        await graph.do("split", person, [graph.ids["a"]])


async def test_a_pinned_record_stays_where_it_was_pinned(graph):
    await graph.add(*"abc", **{key: [("device_id", key)] for key in "abc"})
    await graph.publish("ab c", [("ab", 9.0)])
    target = await graph.person("c")
    await graph.do("pin", graph.ids["b"], target)
    assert (await graph.groups(), await graph.person("b")) == ("a bc", target)
    await graph.publish("ab c", [("ab", 9.0)])
    assert (await graph.groups(), await graph.person("b")) == ("a bc", target)


async def test_a_row_that_was_kept_apart_does_not_come_back_by_its_next_version(graph):
    await graph.add("a", "b", a=[("login_id", "ada")], b=[("email", "b@example.org")])
    await graph.publish("ab", [("ab", 9.0)])
    await graph.do("split", await graph.person("a"), [graph.ids["b"]])
    apart = await graph.person("b")
    async with graph.kernel.db.transaction() as conn:  # it now names Ada's login; and its own person has another
        await graph.identity.add_records(conn, [graph.record("other", ("login_id", "bob"), ("email", "b@example.org"))])
        newer = graph.record("b", ("login_id", "ada"), ("email", "b@example.org"))
        graph.ids["b"] = (await graph.identity.add_records(conn, [newer]))[0]
    assert await graph.person("b") not in {apart, await graph.person("a")}


async def test_answers_move_people_until_reviewers_disagree(graph):
    await graph.add(*"abc", **{key: [("device_id", key)] for key in "abc"})
    a, b = graph.ids["a"], graph.ids["b"]
    await graph.do("answer", a, b, Verdict.UNSURE)
    assert await graph.groups() == "a b c"
    await graph.do("answer", a, b, Verdict.POSITIVE)
    assert await graph.groups() == "ab c"
    await graph.do("answer", b, a, Verdict.NEGATIVE, by=BEN)  # they disagree: nobody moves, the runs decide
    assert await graph.groups() == "ab c"
    await graph.publish("a b c")
    assert await graph.groups() == "a b c"
    await graph.do("answer", a, b, Verdict.NEGATIVE)  # ann thought again: both say no
    await graph.publish("ab c", [("ab", 9.0)])
    assert await graph.groups() == "a b c"
    assert (await graph.merge("a", "b")).refused is None  # an act outweighs answers
    await graph.do("answer", a, b, Verdict.NEGATIVE)
    assert await graph.groups() == "a b c"


async def test_a_judgement_taken_back_binds_nobody_and_is_still_there(graph):
    await graph.add("a", "b", a=[("device_id", "1")], b=[("device_id", "2")])
    done = await graph.merge("a", "b", By("staff:ann", Reason.DUPLICATE))
    await graph.do("revoke", done.act_id)
    await graph.publish("a b")
    assert await graph.groups() == "a b"
    with pytest.raises(UnknownJudgement):
        await graph.do("revoke", done.act_id)
    async with graph.kernel.db.reading() as conn:
        (kept,) = await graph.identity.judging.about(conn, await graph.person("a"))
    assert (kept.id, kept.reason, kept.revoked_by is not None) == (done.act_id, Reason.DUPLICATE, True)


async def test_the_database_refuses_to_change_a_judgement_and_the_log_holds_ids_only(graph):
    await graph.add("a", "b", a=[("email", "ada@example.org")], b=[("device_id", "2")])
    done = await graph.merge("a", "b")
    for statement in ("UPDATE identity.judgements SET actor = 'x'", "DELETE FROM identity.judged_records"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with graph.kernel.db.transaction() as conn:
                await conn.execute(statement)
    async with graph.kernel.db.reading() as conn:
        rows = await (await conn.execute("SELECT tag FROM audit.entries ORDER BY entry_id")).fetchall()
        refs = await (await conn.execute("SELECT ref FROM audit.refs WHERE kind = 'judgement'")).fetchall()
    assert [r["tag"] for r in rows] == ["person.pinned", "person.merged", "graph.changed"]
    assert [r["ref"] for r in refs] == [done.act_id]
