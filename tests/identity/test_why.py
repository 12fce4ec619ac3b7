"""Why: a waterfall that sums to the stored weight, from words opened in memory; the weakest link where there is no direct edge."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import fsum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.building import build
from identity.errors import RecordNotFound
from identity.evidence_store import Refused
from identity.judgements import Reason
from identity.people import Edge
from identity.regrouping import By
from identity.why_not import Cause, Pair, judge
from kernel.clock import FrozenClock
from kernel.ids import RecordId
from tests.identity.running import run, shop, take


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 3, 5, 12, tzinfo=UTC))


async def test_every_stored_weight_is_told_term_by_term_and_a_pair_without_one_by_its_weakest_link(
    kernel, identity
) -> None:
    await take(kernel, identity, shop(25))
    made = await run(kernel, identity)
    async with kernel.db.reading() as conn:
        before = await identity.why(conn, *await two(conn))
        cursor = await conn.execute("SELECT record_a, record_b, weight FROM identity.edges ORDER BY 1, 2")
        edges = await cursor.fetchall()
        assert len(edges) > 20
        for edge in edges:
            told = await identity.reasons.why(conn, edge["record_a"], edge["record_b"], words=True)
            drawn = told.waterfall
            assert drawn is not None
            assert drawn.stored
            assert drawn.explained
            assert drawn.model == made.card.model
            assert abs(fsum(bar.weight for bar in drawn.bars) - edge["weight"]) < 1e-9
    assert before.waterfall is not None
    assert {bar.sort for bar in before.waterfall.bars} >= {"start", "field", "relatives", "rounding"}
    assert before.waterfall.words is None
    async with kernel.db.transaction() as conn:
        cursor = await conn.execute(
            "SELECT record_a, record_b FROM identity.edges e JOIN identity.members a ON a.record_id = e.record_a JOIN identity.members b ON b.record_id = e.record_b AND b.person_id = a.person_id"
        )
        pairs = [(r["record_a"], r["record_b"]) async for r in cursor]
        near: dict[str, list[str]] = {}
        for a, b in pairs:
            near.setdefault(a, []).append(b)
            near.setdefault(b, []).append(a)
        middle, ends = next((one, others) for one, others in sorted(near.items()) if len(others) > 1)
        left, right = sorted(ends[:2])
        await conn.execute("DELETE FROM identity.edges WHERE record_a = %s AND record_b = %s", (left, right))
        told = await identity.reasons.why(conn, left, right)
        assert told.edge is None
        assert middle in {end for edge in told.path for end in (edge.a, edge.b)}
        assert told.waterfall is not None
        assert told.weakest is not None
        assert {told.waterfall.a, told.waterfall.b} == {told.weakest.a, told.weakest.b}
        assert abs(told.waterfall.total - told.weakest.weight) < 1e-9
        history = await identity.reasons.how(conn, told.people[0])
        assert {r for j in history.building.joins for r in (j.edge.a, j.edge.b)} <= set(history.records)
        assert history.steps
        with pytest.raises(RecordNotFound):
            await identity.reasons.why(conn, left, left)


async def two(conn):
    cursor = await conn.execute("SELECT record_a, record_b FROM identity.edges ORDER BY weight DESC LIMIT 1")
    row = await cursor.fetchone()
    return row["record_a"], row["record_b"]


RECORDS = [RecordId(f"rec_{n}") for n in range(7)]
EDGES = st.lists(st.tuples(st.sampled_from(RECORDS), st.sampled_from(RECORDS), st.integers(-2, 4)), max_size=14)


@settings(max_examples=60)
@given(EDGES)
def test_bridges_are_the_edges_whose_loss_splits_a_person(drawn) -> None:
    edges = list({(min(a, b), max(a, b)): Edge(min(a, b), max(a, b), float(w)) for a, b, w in drawn if a != b}.values())
    strong = [e for e in edges if e.weight >= 1]

    def groups(among: list[Edge]) -> set[frozenset[RecordId]]:
        found = {r: {r} for r in RECORDS}
        for e in among:
            if found[e.a] is not found[e.b]:
                found[e.a] |= found[e.b]
                for r in found[e.b]:
                    found[r] = found[e.a]
        return {frozenset(g) for g in found.values()}

    built = build(RECORDS, edges, 1.0)
    whole = groups(strong)
    splitting = {e for e in strong if groups([x for x in strong if x is not e]) != whole}
    assert {b.edge for b in built.bridges} == splitting
    for bridge in built.bridges:
        without = groups([x for x in strong if x is not bridge.edge])
        assert {frozenset(part) for part in bridge.parts} <= without
    assert len(built.joins) == len(RECORDS) - len(whole)
    assert {frozenset(g) for g in built.untied} <= whole
    assert len(built.untied) == len(whole) - 1


async def test_every_pair_of_two_people_has_one_cause_and_each_stage_its_own(kernel, identity, record) -> None:
    ids = await take(kernel, identity, shop(14))
    older = await take(kernel, identity, [record("v", ("email", "v@example.org"), first_name="Vera", last_name="Old")])
    await take(kernel, identity, [record("v", ("email", "v@example.org"), first_name="Vera", last_name="New")])
    one, other, near, far = await take(kernel, identity, [
        record("t1", ("login_id", "t1"), first_name="Theodora", last_name="Twinning", birth_date="1970-02-03"),
        record("t2", ("login_id", "t2"), first_name="Theodora", last_name="Twinning", birth_date="1970-02-03"),
        record("n", first_name="Ottokar", last_name="Nearby", birth_date="1955-05-05", street="1 Elm street"),
        record("f", first_name="Brunhild", last_name="Farther", birth_date="1955-05-05", street="88 Oak lane"),
    ])  # fmt: skip
    async with kernel.db.reading() as conn:
        assert (await identity.reasons.why_not(conn, ids[0], one)).cause is Cause.NO_RUN
    await run(kernel, identity)
    kernel.clock.advance(timedelta(minutes=1))
    (late,) = await take(kernel, identity, [record("late", first_name="Lately", last_name="Come")])
    seen: Counter[Cause | None] = Counter()
    async with kernel.db.reading() as conn:
        assert (await identity.reasons.why_not(conn, ids[0], older[0])).cause is Cause.OLDER_VERSION
        assert (await identity.reasons.why_not(conn, ids[0], late)).cause is Cause.SINCE_THE_RUN
        twins = await identity.reasons.why_not(conn, one, other, words=True)
        assert twins.cause is Cause.UNIQUE_IDENTIFIER
        assert twins.waterfall is not None
        assert twins.waterfall.words is not None
        assert twins.waterfall.words["last"] == ("twinning", "twinning")
        below = await identity.reasons.why_not(conn, near, far)
        assert (below.cause, below.keys) == (Cause.BELOW_THRESHOLD, ("birth",))
        for place, a in enumerate(ids):
            for b in ids[place + 1 :: 9]:
                told = await identity.reasons.why_not(conn, a, b)
                seen[told.cause] += 1
                if told.cause is Cause.NO_SHARED_KEY:
                    assert not told.keys
    assert seen[Cause.NO_SHARED_KEY] > 0
    assert seen[Cause.OTHER] == 0


async def test_what_staff_kept_apart_is_told_so(kernel, identity, record) -> None:
    rows = [
        record(
            str(n),
            ("email", "both@example.org"),
            source=f"s{n}",
            first_name="Petra",
            last_name="Pair",
            birth_date="1960-01-02",
        )
        for n in range(2)
    ]
    a, b = (await take(kernel, identity, [*rows, *shop(8)]))[:2]
    async with kernel.db.transaction() as conn:
        person = (await identity.why(conn, a, b)).people[0]
        await identity.judging.split(conn, person, [b], By("stf_ada", Reason.LOOKED))
    await run(kernel, identity)
    async with kernel.db.reading() as conn:
        told = await identity.reasons.why_not(conn, a, b)
    assert told.cause is Cause.JUDGEMENT


FINE = Pair(
    run=True,
    current=True,
    in_run=True,
    judged_apart=False,
    keys=("email",),
    edge=5.0,
    weight=5.0,
    threshold=1.0,
    faintest=0.0,
    refused=None,
)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"current": False, "judged_apart": True}, Cause.OLDER_VERSION),
        ({"judged_apart": True, "keys": ()}, Cause.JUDGEMENT),
        ({"run": False}, Cause.NO_RUN),
        ({"in_run": False}, Cause.SINCE_THE_RUN),
        *(({"refused": Refused(RecordId("a"), RecordId("b"), 15.0, "limit"), **more}, Cause.LIMIT) for more in ({}, {"run": False}, {"in_run": False})),
        ({"edge": None, "keys": ()}, Cause.NO_SHARED_KEY),
        ({"edge": None}, Cause.BLOCK_LEFT_OUT),
        ({"edge": None, "weight": -3.0}, Cause.BELOW_THRESHOLD),
        ({"edge": 0.5}, Cause.BELOW_THRESHOLD),
        ({}, Cause.OTHER),
        *(({"refused": Refused(RecordId("a"), RecordId("b"), 5.0, one)}, Cause(one)) for one in ("unique_identifier", "first_name", "birth_date", "contact", "ambiguous", "cohesion", "size", "judgement")),
    ],
)  # fmt: skip
def test_the_first_stage_that_stood_in_the_way_is_the_cause(change: dict[str, object], cause: Cause) -> None:
    assert judge(replace(FINE, **change)) is cause
